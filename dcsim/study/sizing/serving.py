"""How many GPUs serve requests under latency limits, by hour and at peak; or how many requests some GPUs serve."""

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.catalog.fitted import Z90
from dcsim.catalog.load import catalog
from dcsim.errors import RangeError
from dcsim.serving.capacity import KNOTS, carries, figures, needed
from dcsim.serving.demand import Asked
from dcsim.study.estimate import Figure, exact, gpu_hour_usd, log_sd_of_range, spread
from dcsim.study.sizing.ask import Ask
from dcsim.study.sizing.find import Found, at_peak, candidates, carried, most_carried
from dcsim.study.summary import number
from dcsim.units import HOURS_PER_YEAR, J_PER_KWH, SECONDS_PER_HOUR, w_from_mw
from dcsim.workload.jobs import Floats

# A rate below this, and a limit above it, are likely a slip of units and said so. [1/s], [s]
_SLOW_LOG_PER_S, _LONG_TOKEN_S = 0.01, 2.0


@dataclass(frozen=True)
class Answer:
    """What was found: figures by name, hours, and in words what they rest on."""

    figures: dict[str, Figure]
    hours: list[dict[str, float]]
    binding: str
    profile: str
    notes: list[str]
    full_on: str | None = None

    def record(self) -> dict[str, Any]:
        """Form of the JSON output."""
        return {
            "figures": {name: figure.record() for name, figure in self.figures.items()},
            "binding": self.binding,
            "hours": self.hours,
            "profile": self.profile,
            "notes": self.notes,
            "full_on": self.full_on,
        }


def serving(ask: Ask) -> Answer:
    """Answer an ask.

    Raises
    ------
    UnknownNameError
        If a model or GPU is not known.
    RangeError
        If a figure is outside its range, the model or a request does not fit, or nothing keeps the limits; says what
        would.
    """
    asked = ask.asked()
    if ask.gpus is not None:
        return _answer(ask, asked, carried(ask, asked, ask.gpus))
    found, refusals = [], []
    for of in candidates(ask, asked):
        try:
            found.append(at_peak(ask, asked, of))
        except RangeError as error:
            refusals.append(error)
    if not found:
        raise refusals[0]
    # The fewest GPUs; of as many, the replica of more of them, which answers sooner.
    best = min(found, key=lambda one: (one.replicas * one.of.gpus, -one.of.gpus))
    return _answer(ask, asked, best)


def _hours(ask: Ask, asked: Asked, found: Found) -> tuple[Floats, list[int]]:
    """Requests a second by hour and the fewest replicas for each."""
    rates = ask.rates()
    if found.of_hours is not None:
        return rates, found.of_hours
    peak_each = found.per_s / found.replicas
    if np.ptp(rates) == 0:
        return rates, [found.replicas] * len(rates)
    # What each of a smaller fleet carries is less, since it spreads bursts over fewer.
    least = 2 if ask.options.prefill_per_decode else 1
    knots = [n for n in KNOTS if least <= n < found.replicas]

    def carried_each(replicas: int) -> float:
        of, options = found.of, ask.options
        one = carries(of, asked, ask.limits, replicas=replicas, options=options, seed=ask.seed, halvings=4)
        return min(one.per_s, peak_each)

    each = [carried_each(n) for n in knots]
    return rates, needed(rates, [*knots, found.replicas], [*each, peak_each], found.replicas).tolist()


def _answer(ask: Ask, asked: Asked, found: Found) -> Answer:
    """All figures of what was found."""
    of, replicas, done = found.of, found.replicas, figures(found.served, found.since_s)
    gpus = replicas * of.gpus
    busy_w = float(of.power_of_windows(found.served.did)[0])
    gpus_w = done["busy_frac"] * busy_w + (1.0 - done["busy_frac"]) * of.idle_w * of.gpus
    pue, pue_sd = _stated_or_row(ask.pue, "pue")
    kwh_usd, _ = _stated_or_row(ask.usd_per_kwh, "usd_per_kwh")
    power_w = float(of.node_power_w(gpus_w)) * replicas * pue
    tokens_per_s = found.per_s * float(found.served.requests.output.mean())
    j_per_token = power_w / tokens_per_s
    # What is needed for a token moves with how many GPUs it takes, or how many requests they carry.
    needed_sd = _log_sd(ask, asked, found)
    power_sd = math.hypot(of.power_log_sd, pue_sd, needed_sd)
    hour, hour_from = gpu_hour_usd(ask.gpu, ask.usd_per_gpu_h)
    if hour.value is None:
        rent = Figure(None, None, None, "USD", hour.reason)
        hour_sd = 0.0
    else:
        hour_sd = log_sd_of_range(hour.value, hour.p10, hour.p90)
        rent_usd = hour.value * gpus / SECONDS_PER_HOUR / tokens_per_s * 1e6
        rent = spread(rent_usd, math.hypot(needed_sd, hour_sd), "USD")
    sized = ask.gpus is None
    per_s_sd = 0.0 if sized else needed_sd
    values = {
        "gpus": _count(replicas, needed_sd if sized else 0.0, "GPU", of.gpus),
        "replicas": _count(replicas, needed_sd if sized else 0.0, "1"),
        "gpus_per_replica": exact(of.gpus, "GPU"),
        "requests_per_s": spread(found.per_s, per_s_sd, "1/s"),
        "output_tokens_per_s": spread(tokens_per_s, per_s_sd, "token/s"),
        "load_frac": exact(found.per_s / replicas / of.most_per_s(asked.mean, ask.options.most_requests), "1"),
        "batch": exact(done["batch"], "1"),
        **{name: _time(value, of.step_log_sd) for name, value in done.items() if name.endswith("_s")},
        "gpu_power_w": spread(gpus_w / of.gpus, of.power_log_sd, "W"),
        "power_mw": spread(power_w / w_from_mw(1.0), power_sd if sized else math.hypot(of.power_log_sd, pue_sd), "MW"),
        "j_per_token": spread(j_per_token, power_sd, "J"),
        "tokens_per_j": spread(1.0 / j_per_token, power_sd, "1/J"),
        "electricity_usd_per_million_tokens": spread(j_per_token * 1e6 / J_PER_KWH * kwh_usd, power_sd, "USD"),
        "gpu_cost_usd_per_million_tokens": rent,
    }
    notes = [
        f"serving fit {of.profile}; its error on a sweep that it never saw is the interval: dcsim validate inference",
        f"electricity at PUE {pue:g} and {kwh_usd:g} USD/kWh; node {of.node.name}",
        f"GPU-hours: {hour_from or hour.reason}",
        "a token is one of an answer; prompts are not counted as sold",
        "an engine is taken to know how long an answer will be, and to admit a request only when all of it fits",
        "Not measured on a GPU by dcsim",
    ]
    stood = int(found.served.replicas.values.max())
    if stood < replicas:
        notes.insert(1, f"{stood} replicas stand for all {replicas:,}: bursts are taken to grow with the demand")
    if hour.value is not None and ask.usd_per_gpu_h is None and "contract price" not in hour_from:
        notes.append("no rental price of this GPU is known: not comparable with a contract price; say --usd-per-gpu-h")
    if ask.rate is not None and ask.gpus is not None and float(ask.rates().max()) > found.per_s:
        notes.insert(0, f"the peak of {float(ask.rates().max()):.4g} requests a second is more than these GPUs carry")
    if found.per_s < _SLOW_LOG_PER_S:
        notes.insert(0, f"{found.per_s:.2g} requests a second: are the times of the log in seconds?")
    if any(limit.metric == "tpot" and limit.most_s > _LONG_TOKEN_S for limit in ask.limits):
        notes.insert(0, "a limit on tpot is in seconds a token")
    full_on = None
    if sized:
        rates, counts = _hours(ask, asked, found)
        static, scaled_to = replicas * len(rates), sum(counts)
        values["static_gpu_h"] = _count(static, needed_sd, "GPU h", of.gpus)
        values["autoscaled_gpu_h"] = _count(scaled_to, needed_sd, "GPU h", of.gpus)
        values["saved_frac"] = exact(1.0 - scaled_to / static, "1")
        of_all = float(rates.sum()) * SECONDS_PER_HOUR * float(found.served.requests.output.mean()) / 1e6
        for name, gpu_h in (("static", static * of.gpus), ("autoscaled", scaled_to * of.gpus)):
            # Of all hours that are looked at; the figures above are those of the busiest.
            values[f"{name}_usd_per_million_tokens"] = rent
            if hour.value is not None:
                usd = hour.value * gpu_h / of_all
                values[f"{name}_usd_per_million_tokens"] = spread(usd, math.hypot(needed_sd, hour_sd), "USD")
        notes.insert(1, "autoscaled: the fewest in each hour, known before it begins; no delay, no spare")
        if len(rates) > 1 and np.ptp(rates) > 0:
            what = "a day of that shape" if ask.rate is not None else "the hours"
            notes.insert(0, f"figures are those of the busiest hour; static_ and autoscaled_ ones are of {what}")
    else:
        rates, counts = np.array([found.per_s]), [replicas]
        if ask.growth_per_month > 0 and ask.rate is not None:
            months, full_on = _full(ask, found.per_s)
            reach = Z90 * needed_sd / math.log1p(ask.growth_per_month)
            values["months_until_full"] = Figure(months, max(months - reach, 0.0), months + reach, "month")
    hours = [
        {"hour": index, "requests_per_s": float(rate), "replicas": count, "gpus": count * of.gpus}
        for index, (rate, count) in enumerate(zip(rates.tolist(), counts, strict=True))
    ]
    return Answer(values, hours, found.binding, of.profile, notes, full_on)


def _stated_or_row(stated: float | None, parameter: str) -> tuple[float, float]:
    """A figure of the planner, else of the catalog with the standard deviation of its logarithm."""
    row = catalog().row("operations", "estimate", parameter)
    return (stated, 0.0) if stated is not None else (row.value, log_sd_of_range(row.value, row.low, row.high))


def _count(value: float, log_sd: float, unit: str, of_each: int = 1) -> Figure:
    """A whole number with bounds that are whole, too, times what each is made of."""
    factor = math.exp(Z90 * log_sd)
    low, high = max(math.floor(value / factor), 1), math.ceil(value * factor)
    return Figure(value * of_each, low * of_each, high * of_each, unit)


def _time(value: float, log_sd: float) -> Figure:
    """A latency, where any request has it."""
    if math.isnan(value):
        return Figure(None, None, None, "s", "no answer has a second token")
    return spread(value, log_sd, "s")


def _log_sd(ask: Ask, asked: Asked, found: Found) -> float:
    """Standard deviation of the logarithm of what is needed or carried, by faster and slower steps. [1]

    Where slower steps could not keep the limits at all, the faster ones stand for both.
    """
    factor = math.exp(Z90 * found.of.step_log_sd)
    ends = []
    for slower in (1.0 / factor, factor):
        of = found.of.slowed(slower)
        try:
            if ask.gpus is None:
                ends.append(at_peak(ask, asked, of, max(round(found.replicas * slower), 1)).replicas / found.replicas)
            else:
                ends.append(found.per_s / most_carried(ask, asked, of, found.replicas).per_s)
        except RangeError:
            continue
    reach = [abs(math.log(end)) for end in ends]
    return sum(reach) / len(reach) / Z90 if reach else found.of.step_log_sd


def _full(ask: Ask, most_per_s: float) -> tuple[float, str | None]:
    """Months until the growing peak passes what the GPUs carry, and the date where the start is known."""
    peak_per_s = float(ask.rates().max())
    months = max(math.log(most_per_s / peak_per_s) / math.log1p(ask.growth_per_month), 0.0)
    if ask.start is None:
        return months, None
    return months, str(ask.start + datetime.timedelta(hours=months * HOURS_PER_YEAR / 12.0))


def lines(answer: Answer) -> list[str]:
    """What was found, for a terminal."""
    of = answer.figures
    found = [f"{_head(of)}; what binds: {answer.binding}"]
    if answer.full_on:
        months = of["months_until_full"]
        found.append(
            f"demand passes them on {answer.full_on}, after {shown(months)} months"
            if months.value
            else "demand is above what they carry already"
        )
    found += ["", f"{'':40}{'value':>12}{'P10':>12}{'P90':>12}"]
    for name, figure in of.items():
        if figure.value is None:
            found.append(f"{name:<40}{'-':>12}  {figure.reason}")
        else:
            bounds = [value for value in (figure.value, figure.p10, figure.p90) if value is not None]
            found.append(f"{name:<40}{''.join(f'{number(value):>12}' for value in bounds)}  {figure.unit}")
    if len({one["requests_per_s"] for one in answer.hours}) > 1:
        found += ["", f"{'hour':>5}{'requests/s':>12}{'replicas':>10}{'GPUs':>8}"]
        for one in answer.hours:
            found.append(f"{one['hour']:>5}{one['requests_per_s']:>12.4g}{one['replicas']:>10,}{one['gpus']:>8,}")
    return [*found, "", *(f"note: {note}" for note in answer.notes)]


def _head(of: Mapping[str, Figure]) -> str:
    """The answer in one line, with the bounds of what was asked for."""
    split = number(of["gpus_per_replica"].value or 0.0)
    return f"{shown(of['gpus'])} GPUs in replicas of {split} serve {shown(of['requests_per_s'])} requests a second"


def shown(figure: Figure) -> str:
    """A figure with its bounds where they differ."""
    text = number(figure.value or 0.0)
    if figure.p10 is None or figure.p90 is None or figure.p10 == figure.p90:
        return text
    return f"{text} ({number(figure.p10)} to {number(figure.p90)})"
