/* A driver library that simulates one to sixteen GPUs under a square wave of power, for the real nvidia-ml-py.
 *
 * SIM_NVML_* in the environment sets the wave, the update of counters and what goes wrong. Energy is the closed integral
 * of the wave from the epoch of CLOCK_MONOTONIC on, shown as of the last update. */
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, TOO_SMALL = 7 };

struct gpu { int index; };
typedef struct gpu *gpu_t;

static struct gpu gpus[16];
static int count = 2, architecture = 9, open_count = 0, calls = 0, mig = 0, no_energy = 0;
static double idle_w = 70, peak_w = 700, period_s = 0.13, duty = 0.5, update_s = 0.1, started_s = 0, reset_after_s = 0;
static int fail_code = 0, fail_after = 0;
static char name[64] = "NVIDIA H100 80GB HBM3";

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static double integral_j(double t) {
    double whole = floor(t / period_s), rest = t - whole * period_s, on = duty * period_s;
    double high = rest < on ? rest : on;
    return whole * (on * peak_w + (period_s - on) * idle_w) + high * peak_w + (rest - high) * idle_w;
}

static double shown_s(void) { return floor(now_s() / update_s) * update_s; }

static double number(const char *key, double fallback) {
    const char *text = getenv(key);
    return text ? atof(text) : fallback;
}

static int check(gpu_t device) {
    if (!open_count) return UNINITIALIZED;
    if (fail_code && ++calls > fail_after) return fail_code;
    return device < gpus || device >= gpus + count ? INVALID : SUCCESS;
}
#define CHECK(device) do { int rc = check(device); if (rc) return rc; } while (0)

EXPORT int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    if (getenv("SIM_NVML_INIT")) return atoi(getenv("SIM_NVML_INIT"));
    count = (int)number("SIM_NVML_COUNT", 2);
    architecture = (int)number("SIM_NVML_ARCHITECTURE", 9);
    idle_w = number("SIM_NVML_IDLE_W", 70);
    peak_w = number("SIM_NVML_PEAK_W", 700);
    period_s = number("SIM_NVML_PERIOD_S", 0.13);
    duty = number("SIM_NVML_DUTY", 0.5);
    update_s = number("SIM_NVML_UPDATE_S", 0.1);
    mig = (int)number("SIM_NVML_MIG", 0);
    no_energy = (int)number("SIM_NVML_NO_ENERGY", 0);
    fail_code = (int)number("SIM_NVML_FAIL", 0);
    fail_after = (int)number("SIM_NVML_FAIL_AFTER", 0);
    reset_after_s = number("SIM_NVML_RESET_AFTER_S", 0);
    if (getenv("SIM_NVML_NAME")) snprintf(name, sizeof name, "%s", getenv("SIM_NVML_NAME"));
    for (int i = 0; i < 16; i++) gpus[i].index = i;
    started_s = now_s();
    open_count++;
    return SUCCESS;
}
EXPORT int nvmlShutdown(void) { return open_count ? (open_count--, SUCCESS) : UNINITIALIZED; }
EXPORT const char *nvmlErrorString(int code) { return code == 15 ? "GPU is lost" : "simulated error"; }
EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned n) { snprintf(text, n, "580.0-simulated"); return SUCCESS; }
EXPORT int nvmlSystemGetNVMLVersion(char *text, unsigned n) { snprintf(text, n, "13.580"); return SUCCESS; }
EXPORT int nvmlDeviceGetCount_v2(unsigned *n) { *n = count; return open_count ? SUCCESS : UNINITIALIZED; }
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned i, gpu_t *device) {
    if ((int)i >= count) return INVALID;
    *device = gpus + i;
    return SUCCESS;
}
EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, gpu_t *device) {
    unsigned i = uuid ? (unsigned)atoi(uuid + 4) : 99;
    return nvmlDeviceGetHandleByIndex_v2(i, device);
}
EXPORT int nvmlDeviceGetName(gpu_t device, char *text, unsigned n) { CHECK(device); snprintf(text, n, "%s", name); return SUCCESS; }
EXPORT int nvmlDeviceGetUUID(gpu_t device, char *text, unsigned n) {
    CHECK(device);
    snprintf(text, n, "GPU-%d-simulated", device->index);
    return SUCCESS;
}
EXPORT int nvmlDeviceGetArchitecture(gpu_t device, unsigned *out) { CHECK(device); *out = architecture; return SUCCESS; }
EXPORT int nvmlDeviceGetPowerUsage(gpu_t device, unsigned *milliwatts) {
    CHECK(device);
    double t = shown_s(), window = architecture >= 8 ? 1.0 : 0.025;
    *milliwatts = (unsigned)(1000 * (integral_j(t) - integral_j(t - window)) / window);
    return SUCCESS;
}
typedef struct {
    unsigned field, scope;
    long long timestamp, latency;
    unsigned type, code;
    union { double d; unsigned u; unsigned long long ull; } value;
} field_t;
_Static_assert(sizeof(field_t) == 40, "a field value of NVML has 40 bytes");
EXPORT int nvmlDeviceGetFieldValues(gpu_t device, int n, field_t *values) {
    CHECK(device);
    double t = shown_s();
    for (int i = 0; i < n; i++) {
        double window = values[i].field == 185 ? 1.0 : 0.025;
        int known = values[i].field == 186 || (values[i].field == 185 && architecture >= 8);
        values[i].code = known && values[i].scope == 0 ? SUCCESS : NOT_SUPPORTED;
        values[i].type = 1;
        values[i].value.u = (unsigned)(1000 * (integral_j(t) - integral_j(t - window)) / window);
    }
    return SUCCESS;
}
EXPORT int nvmlDeviceGetTotalEnergyConsumption(gpu_t device, unsigned long long *millijoules) {
    CHECK(device);
    if (no_energy) return NOT_SUPPORTED;
    double t = shown_s(), from = started_s - 100;
    if (reset_after_s > 0 && t > started_s + reset_after_s) from = started_s + reset_after_s;
    *millijoules = (unsigned long long)(1000 * (integral_j(t) - integral_j(from)));
    return SUCCESS;
}
EXPORT int nvmlDeviceGetTemperature(gpu_t device, int sensor, unsigned *c) { (void)sensor; CHECK(device); *c = 45; return SUCCESS; }
#ifdef OLD_DRIVER
EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(gpu_t device, unsigned long long *out) { CHECK(device); *out = 1; return SUCCESS; }
#else
EXPORT int nvmlDeviceGetCurrentClocksEventReasons(gpu_t device, unsigned long long *out) { CHECK(device); *out = 4; return SUCCESS; }
#endif
EXPORT int nvmlDeviceGetClockInfo(gpu_t device, int kind, unsigned *mhz) { (void)kind; CHECK(device); *mhz = 1980; return SUCCESS; }
EXPORT int nvmlDeviceGetEnforcedPowerLimit(gpu_t device, unsigned *mw) { CHECK(device); *mw = 700000; return SUCCESS; }
static unsigned limit_mw(void) {
    /* The limit outlives a process, as a driver's does: it is kept in a file. */
    const char *path = getenv("SIM_NVML_LIMIT_FILE");
    FILE *file = path ? fopen(path, "r") : NULL;
    unsigned mw = 700000;
    if (file) {
        if (fscanf(file, "%u", &mw) != 1) mw = 700000;
        fclose(file);
    }
    return mw;
}
EXPORT int nvmlDeviceGetPowerManagementLimit(gpu_t device, unsigned *mw) { CHECK(device); *mw = limit_mw(); return SUCCESS; }
EXPORT int nvmlDeviceGetPowerManagementLimitConstraints(gpu_t device, unsigned *low, unsigned *high) {
    CHECK(device);
    *low = 200000;
    *high = 700000;
    return SUCCESS;
}
EXPORT int nvmlDeviceSetPowerManagementLimit(gpu_t device, unsigned mw) {
    CHECK(device);
    const char *path = getenv("SIM_NVML_LIMIT_FILE");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return NO_PERMISSION;
    fprintf(file, "%u", mw);
    fclose(file);
    return SUCCESS;
}
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process_t;
EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(gpu_t device, unsigned *n, process_t *out) {
    CHECK(device);
    const char *pid = getenv("SIM_NVML_OTHER_PID");
    if (!pid) return *n = 0, SUCCESS;
    if (*n < 1 || !out) return *n = 1, TOO_SMALL;
    *n = 1;
    out[0] = (process_t){(unsigned)atoi(pid), 1 << 20, 0xffffffff, 0xffffffff};
    return SUCCESS;
}
EXPORT int nvmlDeviceGetMigMode(gpu_t device, unsigned *current, unsigned *pending) {
    CHECK(device);
    *current = *pending = mig;
    return SUCCESS;
}
