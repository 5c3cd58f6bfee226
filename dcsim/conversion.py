"""From air to liquid within a plan: what stands after the day, what leaves, and how the two parts become one table.

The GPUs stay what they are, so jobs run as they would have; from the day on nodes draw and plant cools as new parts do.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dcsim.assets import Asset, Upkeep, accounts
from dcsim.build import Facility
from dcsim.catalog.hardware import server_gpu
from dcsim.catalog.load import Assumptions
from dcsim.errors import InputError
from dcsim.model.facility import Conversion
from dcsim.model.load import Loaded
from dcsim.model.tree import Place
from dcsim.model.workload import Maintenance
from dcsim.units import SECONDS_PER_DAY, kw_from_w

PLACE: Place = ("facility", "conversion")
# What leaves with air: nodes and what fits them alone, and the plant; network, storage and power stay.
OF_NODES = ("servers", "GPUs", "spares")
OLD_PLANT = "cooling plant"


@dataclass(frozen=True)
class Converted:
    """The site after its conversion, and the moment from which it stands. [s]"""

    stated: Conversion
    facility: Facility
    start_s: float


def with_outage(loaded: Loaded) -> Loaded:
    """The scenario with the outage of its conversion as planned work on nodes.

    Raises
    ------
    InputError
        If the conversion cannot be modelled: several pools, services, planned work besides, phases after it.
    """
    scenario = loaded.scenario
    stated = scenario.facility.conversion
    if stated is None:
        return loaded
    faults = []
    if len(scenario.facility.pool_names) > 1:
        faults.append((PLACE, "a site of several pools cannot be converted; leave facility.pools out"))
    if scenario.economics.tenure.kind != "own":
        faults.append((PLACE, "a tenant converts nothing; leave it out or own the site (economics.tenure)"))
    if scenario.workload.services:
        faults.append((PLACE, "a site with workload.services cannot be converted"))
    if scenario.workload.maintenance is not None:
        faults.append((PLACE, "its outage takes the place of workload.maintenance; state one of them"))
    late = [phase.name for phase in scenario.facility.phases if phase.energised > stated.on]
    if late:
        faults.append(((*PLACE, "on"), f"phase '{late[0]}' is energised after it; convert later or build it liquid"))
    if not scenario.plan.start < stated.on < scenario.plan.end:
        faults.append(((*PLACE, "on"), f"{stated.on} lies outside the plan"))
    if server_gpu(stated.server) != server_gpu(scenario.facility.server):
        faults.append(((*PLACE, "server"), "holds other GPUs; a new generation is a pool with phases of its own"))
    if faults:
        raise loaded.faults(faults)
    if stated.outage_days == 0:
        return loaded
    outage = Maintenance(
        first_day=float((stated.on - scenario.plan.start).days),
        every_days=1e6,
        duration_h=24.0 * stated.outage_days,
        share_at_once=stated.share_at_once,
    )
    workload = scenario.workload.model_copy(update={"maintenance": outage})
    return replace(loaded, scenario=scenario.model_copy(update={"workload": workload}))


def converted(loaded: Loaded, facility: Facility, build: Callable[[Loaded], Facility]) -> Converted | None:
    """Build the site as it stands after its conversion; None where the scenario states none.

    Raises
    ------
    InputError
        If the servers of the site do not fit the new plant.
    """
    scenario = loaded.scenario
    stated = scenario.facility.conversion
    if stated is None:
        return None
    before_w = 0.0
    phases = []
    for phase, built in zip(scenario.facility.phases, facility.phases, strict=True):
        rating_w = built.capacity.critical_rating_w
        phases.append(
            phase.model_copy(
                update={
                    "servers": built.added,
                    # The power chain stays; the plant is the new one.
                    "critical_kw": kw_from_w(rating_w - before_w),
                    "cooling_kw": None,
                    "budget_usd": None,
                    "hardware": stated.hardware,
                    "energised": phase.energised,
                }
            )
        )
        before_w = rating_w
    changed = scenario.facility.model_copy(
        update={"server": stated.server, "cooling": stated.cooling, "phases": tuple(phases)}
    )
    try:
        after = build(replace(loaded, scenario=scenario.model_copy(update={"facility": changed})))
    except InputError as error:
        raise loaded.fault(PLACE, f"the converted site cannot be built: {error}") from None
    return Converted(stated, after, (stated.on - scenario.plan.start).days * SECONDS_PER_DAY)


def assets_with(used: Assumptions, facility: Facility, of: Converted | None) -> tuple[Asset, ...]:
    """Assets of a site that is converted: old nodes and plant leave on the day, new ones and the retrofit come."""
    if of is None:
        return facility.assets
    stated = of.stated
    kept = [
        replace(asset, retires=stated.on)
        if asset.asset_class in OF_NODES or asset.item in (OLD_PLANT, "liquid cooling premium")
        else asset
        for asset in facility.assets
    ]
    come = [
        replace(asset, schedule=stated.hardware, energised=stated.on)
        for asset in of.facility.assets
        if asset.asset_class in OF_NODES
    ]
    return (*kept, *come, *_retrofit(used, facility, stated))


def _retrofit(used: Assumptions, facility: Facility, stated: Conversion) -> list[Asset]:
    key, parameter = "liquid-retrofit", "usd_per_critical_kw"
    row = used.catalog.row("prices", key, parameter)
    price = stated.usd_per_critical_kw
    if price is None:
        price = used.use("conversion to liquid", "prices", key, parameter)
    frac = used.use("conversion to liquid", "prices", key, "maintenance_frac_per_year")
    found = []
    before_kw = 0.0
    for phase in facility.phases:
        critical_kw = kw_from_w(phase.capacity.critical_rating_w)
        found.append(
            Asset(
                phase=phase.name,
                schedule=stated.construction,
                energised=stated.on,
                asset_class="MEP",
                item="conversion to liquid",
                quantity=critical_kw - before_kw,
                unit="kW critical",
                unit_price_usd=price,
                price_year=row.price_year if stated.usd_per_critical_kw is None else None,
                source=row.source if stated.usd_per_critical_kw is None else "scenario",
                life_years=used.use("conversion to liquid", "prices", key, "life_years"),
                upkeep=Upkeep(frac, used.catalog.row("prices", key, "maintenance_frac_per_year").source),
                hardware=False,
                accounts=accounts(used, "MEP", hardware=False),
            )
        )
        before_kw = critical_kw
    return found


def spliced(before: pd.DataFrame, after: pd.DataFrame, start_s: float, moment: str = "start_s") -> pd.DataFrame:
    """Rows of *before* up to a moment and those of *after* from it on; both tables hold the same rows."""
    late = before[moment].to_numpy() >= start_s
    columns = {name: np.where(late, after[name].to_numpy(), before[name].to_numpy()) for name in before.columns}
    return pd.DataFrame(columns).astype(before.dtypes.to_dict())
