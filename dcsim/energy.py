"""Account: the change log of a simulation and a weather year become the interval table, vectorised over intervals."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.build import Facility
from dcsim.clean_power import carbon_left_kg
from dcsim.columns import INTERVALS, JOBS
from dcsim.errors import CapacityError
from dcsim.physics.rack_supplies import compute_power_w
from dcsim.sim.recorder import OFF, QUEUED_AGAIN, STATUSES, SimResult
from dcsim.steps import StepSeries, sum_by
from dcsim.units import J_PER_KWH
from dcsim.workload.demand import Demand
from dcsim.workload.jobs import Jobs

Floats = NDArray[np.float64]

SURROUNDINGS = (
    "it_power_w",
    "fabric_power_w",
    "support_power_w",
    "lighting_power_w",
    "pdu_loss_w",
    "ups_loss_w",
    "transformer_loss_w",
    "room_fan_power_w",
    "pump_power_w",
    "chiller_power_w",
    "rejection_power_w",
    "plant_base_power_w",
    "heat_rejected_w",
    "heat_reused_w",
    "compute_power_w",
    "generator_fuel_l",
    "cooling_margin_frac",
    "supply_air_c",
    "supply_water_c",
    "evaporation_kg",
    "blowdown_kg",
    "drift_kg",
)


def held_power(facility: Facility, result: SimResult) -> StepSeries:
    """Power [W] and server fan power [W] of the GPUs that jobs hold, and their number, as columns."""
    gpus = result.gpus_held[result.segment_job]
    held = np.column_stack([*_segment_power_w(facility, result), gpus])
    times_s = np.concatenate([result.segment_start_s, result.segment_end_s])
    return StepSeries.from_changes(times_s, np.concatenate([held, -held]))


def _segment_power_w(facility: Facility, result: SimResult) -> tuple[Floats, Floats]:
    job_class = result.jobs.class_index[result.segment_job]
    gpus = result.gpus_held[result.segment_job]
    services = facility.services
    span = np.minimum(result.segment_span, services.work_rate.shape[1] - 1)
    return gpus * services.gpu_power_w[job_class, span], gpus * services.gpu_fan_w[job_class, span]


def waiting(result: SimResult) -> StepSeries:
    """Jobs submitted and not running, and the GPUs that they ask for, as columns."""
    asked = np.column_stack([np.ones(len(result.jobs)), result.jobs.gpus])
    submitted = result.ready_s < result.horizon_s
    again = np.isin(result.segment_reason, QUEUED_AGAIN)
    times_s = np.concatenate([result.ready_s[submitted], result.segment_start_s, result.segment_end_s[again]])
    started = asked[result.segment_job]
    return StepSeries.from_changes(times_s, np.concatenate([asked[submitted], -started, started[again]]))


def account(facility: Facility, result: SimResult) -> pd.DataFrame:
    """Interval table of a plan.

    Parameters
    ----------
    facility : Facility
        Ratings by phase, plant, power chain, weather and carbon.
    result : SimResult
        What the jobs did.

    Returns
    -------
    DataFrame
        The declared columns of the intervals table; every power is the exact mean over its interval.

    Raises
    ------
    CapacityError
        If a load exceeds the rating of what must carry it.
    """
    edges_s = facility.edges_s
    duration_s = np.diff(edges_s)
    services = facility.services

    def mean(series: StepSeries) -> Floats:
        integral = series.integral(edges_s)
        return integral / (duration_s if integral.ndim == 1 else duration_s[:, None])

    held, queue = mean(held_power(facility, result)), mean(waiting(result))
    energised, down = mean(result.gpus_energised()), mean(result.gpus_down())
    # A failed node stays powered while it is diagnosed, so it idles; one that is started or stopped draws as if it did.
    off = mean(result.nodes_by_power_state())[:, OFF]
    idle_gpus = np.maximum(energised - held[:, 2] - off * result.gpus_per_node, 0.0)
    table: dict[str, NDArray[Any]] = {
        "start_s": edges_s[:-1],
        "duration_s": duration_s,
        "gpus_energised": energised,
        "gpus_down": down,
        "gpus_allocated": held[:, 2],
        "jobs_queued": queue[:, 0],
        "gpus_queued": queue[:, 1],
        "job_power_w": held[:, 0],
        "idle_power_w": idle_gpus * services.idle_gpu_power_w + off * facility.node_off_w,
        "server_fan_power_w": held[:, 1] + idle_gpus * services.idle_gpu_fan_w,
        "dry_bulb_c": np.asarray(facility.climate.year.dry_bulb_c)[facility.climate.row],
        "wet_bulb_c": np.asarray(facility.climate.year.wet_bulb_c)[facility.climate.row],
        "carbon_intensity_kg_per_kwh": facility.carbon[facility.climate.month - 1, facility.climate.hour],
    }
    _surround(facility, table)
    table["electrical_loss_w"] = table["pdu_loss_w"] + table["ups_loss_w"] + table["transformer_loss_w"]
    table["cooling_power_w"] = (
        table["room_fan_power_w"]
        + table["pump_power_w"]
        + table["chiller_power_w"]
        + table["rejection_power_w"]
        + table["plant_base_power_w"]
    )
    table["other_power_w"] = table["lighting_power_w"]
    table["facility_power_w"] = (
        table["it_power_w"] + table["electrical_loss_w"] + table["cooling_power_w"] + table["other_power_w"]
    )
    table["water_kg"] = table["evaporation_kg"] + table["blowdown_kg"] + table["drift_kg"]
    energy_kwh = table["facility_power_w"] * duration_s / J_PER_KWH
    table["carbon_kg"] = energy_kwh * table["carbon_intensity_kg_per_kwh"]
    table["carbon_fuel_kg"] = table["generator_fuel_l"] * facility.diesel_kg_per_l
    table["clean_power_w"] = sum((supply.power_w for supply in facility.clean), np.zeros(len(duration_s)))
    intensity = table["carbon_intensity_kg_per_kwh"]
    if facility.residual_mix_kg_per_kwh is not None:
        intensity = np.full(len(duration_s), facility.residual_mix_kg_per_kwh)
    clean_kwh = table["clean_power_w"] * duration_s / J_PER_KWH
    table["carbon_market_kg"], table["carbon_hourly_kg"] = carbon_left_kg(
        energy_kwh, clean_kwh, intensity, facility.climate.calendar_year
    )
    return pd.DataFrame({column.name: table[column.name] for column in INTERVALS}, copy=False)


def _surround(facility: Facility, table: dict[str, NDArray[Any]]) -> None:
    """Add the network, the plant and the power chain around the servers, with the ratings of each phase in its time."""
    n = len(table["start_s"])
    for name in SURROUNDINGS:
        table[name] = np.zeros(n)
    table["cooling_mode"] = np.zeros(n, dtype=np.int64)
    starts = [phase.capacity.start_s for phase in facility.phases] + [facility.horizon_s]
    for phase, fuel_l_s, start_s, end_s in zip(
        facility.phases, facility.test_fuel_l_s, starts[:-1], starts[1:], strict=True
    ):
        rows = slice(round(start_s / facility.interval_s), round(end_s / facility.interval_s))
        capacity = phase.capacity
        table["fabric_power_w"][rows] = capacity.fabric_power_w
        table["support_power_w"][rows] = capacity.support_power_w
        table["lighting_power_w"][rows] = capacity.lighting_power_w
        servers_w = table["job_power_w"][rows] + table["idle_power_w"][rows]
        it_w = servers_w + table["fabric_power_w"][rows] + table["support_power_w"][rows]
        liquid_w = facility.design.server.liquid_frac * (servers_w - table["server_fan_power_w"][rows])
        try:
            losses, plant = facility.design.power(capacity, it_w, liquid_w, facility.climate.rows(rows))
        except CapacityError as error:
            ratio = facility.design.power_oversubscription
            if ratio == 1.0:
                raise
            raise CapacityError(
                f"phase '{phase.name}': {error}; or lower facility.power_oversubscription from {ratio:g}, since these "
                "jobs draw more at once"
            ) from None
        seconds = table["duration_s"][rows]
        for name, values in (
            ("it_power_w", it_w),
            ("pdu_loss_w", losses.pdu_loss_w),
            ("ups_loss_w", losses.ups_loss_w),
            ("transformer_loss_w", losses.transformer_loss_w),
            ("room_fan_power_w", plant.room_fan_w),
            ("pump_power_w", plant.pump_w),
            ("chiller_power_w", plant.chiller_w),
            ("rejection_power_w", plant.rejection_w),
            ("plant_base_power_w", plant.base_w),
            ("evaporation_kg", plant.evaporation_kg_s * seconds),
            ("blowdown_kg", plant.blowdown_kg_s * seconds),
            ("drift_kg", plant.drift_kg_s * seconds),
            ("cooling_mode", plant.mode),
            ("cooling_margin_frac", plant.margin_frac),
            ("supply_air_c", plant.supply_air_c),
            ("supply_water_c", plant.supply_water_c),
            # Transformers stand outdoors and give their loss to the air themselves.
            ("heat_rejected_w", plant.heat_rejected_w + losses.transformer_loss_w),
            ("heat_reused_w", plant.heat_reused_w),
            ("generator_fuel_l", fuel_l_s * seconds),
            (
                "compute_power_w",
                compute_power_w(
                    facility.design.chain.rack_supply, it_w, table["server_fan_power_w"][rows], capacity.it_design_w
                ),
            ),
        ):
            table[name][rows] = values


def it_peak_frac(facility: Facility, intervals: pd.DataFrame) -> float:
    """Highest IT power of an interval over the critical rating that stands in it. [1]"""
    starts_s = np.array([phase.capacity.start_s for phase in facility.phases])
    ratings_w = np.array([phase.capacity.critical_rating_w for phase in facility.phases])
    stands = np.searchsorted(starts_s, intervals["start_s"].to_numpy(), side="right") - 1
    # Before the first phase nothing draws power.
    share = np.where(stands >= 0, intervals["it_power_w"].to_numpy() / ratings_w[np.maximum(stands, 0)], 0.0)
    return float(share.max())


def job_table(facility: Facility, demand: Demand, result: SimResult) -> pd.DataFrame:
    """Table of the jobs, skipped ones last; the energy is that of the GPUs they held, their idle power included."""
    jobs = result.jobs
    power_w, _ = _segment_power_w(facility, result)
    segment_s = result.segment_end_s - result.segment_start_s
    energy_j = sum_by(result.segment_job, power_w * segment_s, len(jobs))
    gpus_per_node = facility.gpus_per_server
    n_skipped = len(demand.skipped)
    skipped = demand.skipped

    def column(done: NDArray[Any], left_out: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([done, left_out])

    none, zero = np.full(n_skipped, np.nan), np.zeros(n_skipped)
    names = np.array(jobs.class_names, dtype=object)
    columns = {
        "job_id": column(jobs.job_id, skipped.job_id),
        "job_class": column(names[jobs.class_index], names[skipped.class_index]),
        "submit_s": column(jobs.submit_s, skipped.submit_s),
        "ready_s": column(result.ready_s, skipped.submit_s),
        "deadline_s": column(_deadline_s(jobs), _deadline_s(skipped)),
        "start_s": column(result.first_start_s, none),
        "end_s": column(result.end_s, none),
        "gpus": column(jobs.gpus, skipped.gpus),
        "gpus_held": column(result.gpus_held, zero.astype(np.int64)),
        "nodes": column(-(-jobs.gpus // gpus_per_node), -(-skipped.gpus // gpus_per_node)),
        "leaves": column(result.span, zero.astype(np.int64)),
        "restarts": column(result.restarts, zero.astype(np.int64)),
        "run_s": column(result.held_s, zero),
        "useful_s": column(result.useful_s, zero),
        "energy_j": column(energy_j, zero),
        "status": column(np.array(STATUSES, dtype=object)[result.status], np.full(n_skipped, "skipped", dtype=object)),
    }
    return pd.DataFrame({declared.name: columns[declared.name] for declared in JOBS}, copy=False)


def _deadline_s(jobs: Jobs) -> NDArray[np.float64]:
    """Deadlines, NaN for jobs without one."""
    if jobs.deadline_s is None:
        return np.full(len(jobs), np.nan)
    return np.where(np.isfinite(jobs.deadline_s), jobs.deadline_s, np.nan)
