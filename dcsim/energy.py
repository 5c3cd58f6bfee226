"""Account: the change log of a simulation and a weather year become the interval table, vectorised over intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.build import Facility
from dcsim.clean_power import carbon_left_kg
from dcsim.columns import INTERVALS, JOBS, OF_POOLS, POOLS
from dcsim.errors import CapacityError
from dcsim.metering import meter
from dcsim.physics.rack_supplies import compute_power_w
from dcsim.pools import BuiltPool
from dcsim.serving.plan import Outcome
from dcsim.sim.engine import PoolResult
from dcsim.sim.recorder import OFF, QUEUED_AGAIN, STATUSES, SimResult
from dcsim.steps import StepSeries, sum_by
from dcsim.units import J_PER_KWH, SECONDS_PER_HOUR, mwh_from_j
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


def held_power(pool: BuiltPool, result: SimResult) -> StepSeries:
    """Power [W] and server fan power [W] of the GPUs that jobs hold in a pool, and their number, as columns."""
    gpus = result.segment_gpus
    held = np.column_stack([*_segment_power_w(pool, result), gpus])
    times_s = np.concatenate([result.segment_start_s, result.segment_end_s])
    return StepSeries.from_changes(times_s, np.concatenate([held, -held]))


def _segment_power_w(pool: BuiltPool, result: SimResult) -> tuple[Floats, Floats]:
    job_class = result.jobs.class_index[result.segment_job]
    gpus = result.segment_gpus
    services = pool.services
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


def lent_nodes(facility: Facility, result: SimResult) -> Floats:
    """Mean nodes of a pool that services held in each interval, shape (n,). [node]"""
    if not len(result.lent_time_s):
        return np.zeros(len(facility.edges_s) - 1)
    return np.asarray(result.nodes_lent().integral(facility.edges_s) / facility.interval_s, dtype=float)


def account(
    facility: Facility,
    results: Sequence[PoolResult],
    services: Sequence[Sequence[Outcome]] | None = None,
    energy_usd_per_kwh: Floats | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Interval table of a plan.

    Parameters
    ----------
    facility : Facility
        Pools, ratings by phase, plant, power chain, weather and carbon.
    results : sequence of PoolResult
        What the jobs did in each pool.
    services : sequence of sequence of Outcome, or None
        What the services did in each pool; none if None.
    energy_usd_per_kwh : ndarray, shape (n,), or None
        Price of a kilowatt-hour more in each interval, for a battery that follows it. [USD/kWh]

    Returns
    -------
    intervals, pools : DataFrame
        The declared columns of both tables, the latter pool after pool; every power is the exact mean over its
        interval.

    Raises
    ------
    CapacityError
        If a load exceeds the rating of what must carry it.
    """
    edges_s = facility.edges_s
    duration_s = np.diff(edges_s)
    of_pools = [
        _of_pool(pool, one.result, served, lent_nodes(facility, one.result), edges_s, facility.interval_s)
        for pool, one, served in zip(facility.pools, results, services or [()] * len(results), strict=True)
    ]

    def total(name: str) -> Floats:
        return np.asarray(sum(one[name] for one in of_pools))

    table: dict[str, NDArray[Any]] = {
        "start_s": edges_s[:-1],
        "duration_s": duration_s,
        "dry_bulb_c": np.asarray(facility.climate.year.dry_bulb_c)[facility.climate.row],
        "wet_bulb_c": np.asarray(facility.climate.year.wet_bulb_c)[facility.climate.row],
        "carbon_intensity_kg_per_kwh": facility.carbon[facility.climate.month - 1, facility.climate.hour],
    }
    table |= {name: total(name) for name in OF_POOLS}
    # Cold plates take their share of what the electronics of their servers draw.
    liquid_w = np.asarray(
        sum(
            of.server.liquid_frac
            * (one["job_power_w"] + one["service_power_w"] + one["idle_power_w"] - one["server_fan_power_w"])
            for of, one in zip(facility.design.pools, of_pools, strict=True)
        )
    )
    _surround(facility, table, liquid_w)
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
    meter(facility, table, energy_usd_per_kwh)
    table["water_kg"] = table["evaporation_kg"] + table["blowdown_kg"] + table["drift_kg"]
    energy_kwh = table["grid_power_w"] * duration_s / J_PER_KWH
    table["carbon_kg"] = energy_kwh * table["carbon_intensity_kg_per_kwh"]
    table["carbon_fuel_kg"] = table["generator_fuel_l"] * facility.diesel_kg_per_l
    intensity = table["carbon_intensity_kg_per_kwh"]
    if facility.residual_mix_kg_per_kwh is not None:
        intensity = np.full(len(duration_s), facility.residual_mix_kg_per_kwh)
    clean_kwh = table["clean_power_w"] * duration_s / J_PER_KWH
    table["carbon_market_kg"], table["carbon_hourly_kg"] = carbon_left_kg(
        energy_kwh, clean_kwh, intensity, facility.climate.calendar_year
    )
    return (
        pd.DataFrame({column.name: table[column.name] for column in INTERVALS}, copy=False),
        _pool_table(facility, edges_s, of_pools),
    )


def _of_pool(
    pool: BuiltPool,
    result: SimResult,
    served: Sequence[Outcome],
    lent: Floats,
    edges_s: Floats,
    interval_s: int,
) -> dict[str, Floats]:
    """Columns of ``OF_POOLS`` of one pool, whose services held *lent* nodes."""

    def mean(series: StepSeries) -> Floats:
        return series.integral(edges_s) / interval_s

    held, queue = mean(held_power(pool, result)), mean(waiting(result))
    energised, down = mean(result.gpus_energised()), mean(result.gpus_down())
    # A failed node stays powered while it is diagnosed, so it idles; one that is started or stopped draws as if it did.
    off = mean(result.nodes_by_power_state())[:, OFF]
    idle_gpus = np.maximum(energised - held[:, 2] - (off + lent) * result.gpus_per_node, 0.0)
    none = np.zeros(len(lent))
    service_w, service_fan_w = (
        np.asarray(sum((getattr(one, name) for one in served), none)) for name in ("power_w", "fan_w")
    )
    services, gpus = pool.services, pool.gpus_per_slot
    return {
        "gpus_energised": energised * gpus,
        "gpus_down": down * gpus,
        "gpus_allocated": held[:, 2] * gpus,
        "jobs_queued": queue[:, 0],
        "gpus_queued": queue[:, 1] * gpus,
        "gpus_serving": lent * result.gpus_per_node * gpus,
        "job_power_w": held[:, 0],
        "service_power_w": service_w,
        "idle_power_w": idle_gpus * services.idle_gpu_power_w + off * pool.node_off_w,
        "server_fan_power_w": held[:, 1] + service_fan_w + idle_gpus * services.idle_gpu_fan_w,
    }


def _pool_table(facility: Facility, edges_s: Floats, of_pools: Sequence[dict[str, Floats]]) -> pd.DataFrame:
    """The pools by interval, one after the other."""
    n = len(edges_s) - 1
    names = np.array([pool.name for pool in facility.pools], dtype=object)
    table: dict[str, NDArray[Any]] = {
        "pool": np.repeat(names, n),
        "start_s": np.tile(edges_s[:-1], len(names)),
        "duration_s": np.tile(np.diff(edges_s), len(names)),
        **{name: np.concatenate([one[name] for one in of_pools]) for name in OF_POOLS},
    }
    return pd.DataFrame({column.name: table[column.name] for column in POOLS}, copy=False)


def pool_findings(pools: pd.DataFrame, jobs: pd.DataFrame) -> list[dict[str, Any]]:
    """What each pool did over the plan: GPUs at its end, share of them that jobs held, waits, energy of its servers."""
    found = []
    for name, of in pools.groupby("pool", sort=False):
        seconds = of["duration_s"].to_numpy()
        held, serving, energised = (
            float(of[column].to_numpy() @ seconds) for column in ("gpus_allocated", "gpus_serving", "gpus_energised")
        )
        energy_j = float((of["job_power_w"] + of["service_power_w"] + of["idle_power_w"]).to_numpy() @ seconds)
        went = jobs[(jobs["pool"] == name) & jobs["start_s"].notna()]
        found.append(
            {
                "pool": str(name),
                "gpus": float(of["gpus_energised"].iloc[-1]),
                "allocated_frac": (held + serving) / energised if energised else None,
                "jobs_started": len(went),
                "mean_wait_h": float((went["start_s"] - went["ready_s"]).mean()) / SECONDS_PER_HOUR
                if len(went)
                else None,
                "it_mwh": mwh_from_j(energy_j),
            }
        )
    return found


def _surround(facility: Facility, table: dict[str, NDArray[Any]], plates_w: Floats) -> None:
    """Add the network, the plant and the power chain around the servers, with the ratings of each phase in its time.

    *plates_w* is what cold plates take.
    """
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
        servers_w = table["job_power_w"][rows] + table["service_power_w"][rows] + table["idle_power_w"][rows]
        it_w = servers_w + table["fabric_power_w"][rows] + table["support_power_w"][rows]
        try:
            losses, plant = facility.design.power(capacity, it_w, plates_w[rows], facility.climate.rows(rows))
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


def job_table(facility: Facility, demand: Demand, results: Sequence[PoolResult]) -> pd.DataFrame:
    """Table of the jobs, skipped ones last; the energy is that of the GPUs they held, their idle power included."""
    tables = [_jobs_of_pool(pool, one.result) for pool, one in zip(facility.pools, results, strict=True)]
    if len(tables) == 1:
        (done,) = tables
    else:
        order = np.argsort(np.concatenate([one.rows for one in results]), kind="stable")
        done = pd.concat(tables, ignore_index=True).iloc[order].reset_index(drop=True)
    if not len(demand.skipped):
        return done
    return pd.concat([done, _skipped(facility, demand.skipped)], ignore_index=True)


def job_columns(result: SimResult, pool: str, energy_j: Floats, per_slot: float = 1.0) -> dict[str, NDArray[Any]]:
    """Columns of the jobs table for the jobs of one pool, with their energy [J] and the GPUs of what they are given."""
    jobs = result.jobs
    return {
        "job_id": jobs.job_id,
        "job_class": np.array(jobs.class_names, dtype=object)[jobs.class_index],
        "pool": np.full(len(jobs), pool, dtype=object),
        "submit_s": jobs.submit_s,
        "ready_s": result.ready_s,
        "deadline_s": _deadline_s(jobs),
        "start_s": result.first_start_s,
        "end_s": result.end_s,
        "gpus": jobs.gpus if per_slot else np.zeros_like(jobs.gpus),
        "gpus_held": result.gpus_held * per_slot,
        "nodes": -(-jobs.gpus // result.gpus_per_node),
        "leaves": result.span,
        "restarts": result.restarts,
        "run_s": result.held_s,
        "useful_s": result.useful_s,
        "energy_j": energy_j,
        "status": np.array(STATUSES, dtype=object)[result.status],
    }


def _jobs_of_pool(pool: BuiltPool, result: SimResult) -> pd.DataFrame:
    """Jobs that went to a pool."""
    power_w, _ = _segment_power_w(pool, result)
    segment_s = result.segment_end_s - result.segment_start_s
    energy_j = sum_by(result.segment_job, power_w * segment_s, len(result.jobs))
    columns = job_columns(result, pool.name, energy_j, pool.gpus_per_slot)
    return pd.DataFrame({declared.name: columns[declared.name] for declared in JOBS}, copy=False)


def _skipped(facility: Facility, jobs: Jobs) -> pd.DataFrame:
    """Jobs that were left out, as jobs that never came to the first pool."""
    none, zero = np.full(len(jobs), np.nan), np.zeros(len(jobs))
    columns = {
        "job_id": jobs.job_id,
        "job_class": np.array(jobs.class_names, dtype=object)[jobs.class_index],
        "pool": np.full(len(jobs), "", dtype=object),
        "submit_s": jobs.submit_s,
        "ready_s": jobs.submit_s,
        "deadline_s": _deadline_s(jobs),
        "start_s": none,
        "end_s": none,
        "gpus": jobs.gpus,
        "gpus_held": zero,
        "nodes": -(-jobs.gpus // facility.pools[0].services.gpus_per_node),
        "leaves": zero.astype(np.int64),
        "restarts": zero.astype(np.int64),
        "run_s": zero,
        "useful_s": zero,
        "energy_j": zero,
        "status": np.full(len(jobs), "skipped", dtype=object),
    }
    return pd.DataFrame({declared.name: columns[declared.name] for declared in JOBS}, copy=False)


def _deadline_s(jobs: Jobs) -> NDArray[np.float64]:
    """Deadlines, NaN for jobs without one."""
    if jobs.deadline_s is None:
        return np.full(len(jobs), np.nan)
    return np.where(np.isfinite(jobs.deadline_s), jobs.deadline_s, np.nan)
