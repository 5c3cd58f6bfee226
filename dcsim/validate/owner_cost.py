"""A site of one kind of server, built as a scenario is, and what a GPU-hour costs owners who differ in their money."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import isinf

import numpy as np

from dcsim.build import Facility, build
from dcsim.catalog.load import Assumptions, Catalog, catalog
from dcsim.climate import outdoor_year
from dcsim.finance.levelised import OwnerCost, capital_usd_per_year, owner_cost_usd_per_gpu_h, wacc_frac
from dcsim.model.load import load
from dcsim.units import HOURS_PER_YEAR, kw_from_w, w_from_mw
from dcsim.validate.common import NotPredicted
from dcsim.workload.demand import job_classes

# The shipped scenario whose air, power chain, network and prices a site has; servers and their cooling are its own.
SCENARIO = "baseline-10mw-h100"
LIQUID_PLANT = "direct_liquid_dry_cooler"
# Power at the meter of the site; networks of three tiers hold it. [MW]
SITE_MW = 100.0
# Power at the meter of the site that the catalog's staff is for, by the name of its row. [MW]
STAFFED_MW = 10.0
OPERATIONS = "us-10mw"
RATED, PEAK = "rated_power_w", "peak_power_w"


@dataclass(frozen=True)
class Site:
    """A built site: its parts and GPUs, and its mean power at the meter with every server at its design power. [W]"""

    facility: Facility
    n_gpus: int
    mean_w: float

    @property
    def kw_per_gpu(self) -> float:
        """Power at the meter a GPU, mean of a year. [kW]"""
        return float(kw_from_w(self.mean_w)) / self.n_gpus

    @property
    def design_kw_per_gpu(self) -> float:
        """Power at the meter a GPU in the design hour. [kW]"""
        return float(kw_from_w(self.facility.final.facility_design_w)) / self.n_gpus

    @property
    def pue(self) -> float:
        """Energy of the facility over that of IT. [1]"""
        return self.mean_w / self.facility.final.it_design_w

    @property
    def built_frac(self) -> float:
        """Buildings, power and cooling plant and land over all that is built and bought. [1]"""
        assets = self.facility.assets
        return sum(of.cost_usd for of in assets if not of.hardware) / sum(of.cost_usd for of in assets)

    def capex_usd(self) -> dict[str, float]:
        """Price of what is built and bought, by class of asset. [USD]"""
        found: dict[str, float] = {}
        for asset in self.facility.assets:
            found[asset.asset_class] = found.get(asset.asset_class, 0.0) + asset.cost_usd
        return found


@cache
def site(server: str, basis: str, buyer: str = "") -> Site:
    """Site filled with servers of the catalog, sized on their rated or their measured peak power.

    Parameters
    ----------
    server : str
        Key or spelling in the catalog's servers.
    basis : {"rated_power_w", "peak_power_w"}
    buyer : str
        Key of an owner in the catalog's operations, whose own price of the server is taken where there is one.

    Raises
    ------
    NotPredicted
        If the server has no GPUs.
    DcsimError
        If the catalog has no such server, or no site can be built of it.
    """
    key = catalog().resolve("servers", server)
    part = catalog().part("servers", key)
    if not part["gpus"].value:
        raise NotPredicted(f"server '{key}' has no GPUs")
    known = _priced(key, buyer)
    plant = (f"facility.cooling={{kind: {LIQUID_PLANT}}}",) if part["liquid_frac"].value else ()
    server_kw = kw_from_w(catalog().row("servers", key, basis).value)
    phase = (
        f"{{name: all, utility_mw: {SITE_MW:g}, rack_slots: 100000, servers: max, energised: 2027-01-01, "
        "construction: {order: 2025-07-01, delivery: 2026-11-01}, "
        "hardware: {order: 2026-06-01, delivery: 2026-12-01}}"
    )
    loaded = load(
        SCENARIO,
        (
            f"site.utility_mw={SITE_MW:g}",
            f"facility.server={key}",
            f"facility.server_design_kw={server_kw:g}",
            "facility.racks={feed_kw: 250, height_u: 48}",
            f"facility.phases=[{phase}]",
            *plant,
        ),
    )
    facility = build(loaded, Assumptions(known), job_classes(loaded))
    return Site(facility, facility.gpus(facility.final), _mean_w(facility))


def _priced(server: str, buyer: str) -> Catalog:
    """Catalog with the price that a buyer pays for a server, where a source has one."""
    row = catalog().part("operations", buyer).get(f"price_usd:{server}") if buyer else None
    if row is None:
        return catalog()
    return catalog().replaced({f"servers.{server}.price_usd": (row.value, f"{buyer}, {row.source}")})


def _mean_w(facility: Facility) -> float:
    """Mean power at the meter over the weather year with all servers at their design power. [W]"""
    capacity, air = facility.final, outdoor_year(facility.weather, 3600)
    hours = np.ones(facility.weather.hours)
    liquid_w = sum(
        n * pool.server.liquid_frac * max(pool.server_design_w - pool.server.fan_max_w, 0.0)
        for n, pool in zip(capacity.pool_servers, facility.design.pools, strict=True)
    )
    losses, plant = facility.design.power(capacity, capacity.it_design_w * hours, liquid_w * hours, air)
    return float(np.mean(capacity.it_design_w + plant.power_w + losses.total_w + capacity.lighting_power_w))


@dataclass(frozen=True)
class Owner:
    """What tells owners apart: the life over which they write servers off and what their capital costs."""

    key: str
    life_years: float
    wacc_frac: float


def owner(name: str) -> Owner:
    """An owner of the catalog, ``hyperscaler`` or ``neocloud``.

    Raises
    ------
    UnknownNameError
        If the catalog has no such owner.
    """
    part = {parameter: row.value for parameter, row in catalog().part("operations", f"owner-{name}").items()}
    cost = wacc_frac(1.0 - part["debt_frac"], part["equity_cost_frac"], part["debt_cost_frac"], part["tax_frac"])
    return Owner(f"owner-{name}", part["life_years"], cost)


def energy_price() -> float:
    """Price of electricity that owners pay. [USD/kWh]"""
    return catalog().row("operations", "estimate", "usd_per_kwh").value


@cache
def owner_cost(server: str, name: str, own_price: bool = True) -> OwnerCost:
    """Cost of a GPU-hour that is owned, sold or not, by component. [USD/GPU-h]

    Servers run at their measured peak all hours; hardware keeps the market value that the catalog has at the end of its
    life; buildings and plant are owned too and end at nothing; staff is that of a site of 10 MW, by the megawatt.
    """
    of = owner(name)
    built = site(server, PEAK, of.key if own_price else "")
    known = catalog()

    def operation(parameter: str) -> float:
        return known.row("operations", OPERATIONS, parameter).value

    yearly: dict[str, float] = {}

    def add(component: str, usd: float) -> None:
        yearly[component] = yearly.get(component, 0.0) + usd

    for asset in built.facility.assets:
        life_years, left = asset.life_years, 0.0
        if asset.hardware and asset.value_decay_frac is not None and not isinf(life_years):
            life_years = of.life_years
            left = asset.value_decay_frac**life_years
        add(asset.asset_class, capital_usd_per_year(asset.cost_usd, life_years, of.wacc_frac, residual_frac=left))
        add("upkeep", asset.cost_usd * asset.upkeep.frac)
        if asset.asset_class != "land":
            add("insurance", asset.cost_usd * operation("insurance_frac"))
    add("energy", float(kw_from_w(built.mean_w)) * HOURS_PER_YEAR * energy_price())
    people = operation("staff_fte") * built.facility.final.facility_design_w / float(w_from_mw(STAFFED_MW))
    add("staff", people * operation("usd_per_fte_year"))
    return owner_cost_usd_per_gpu_h(yearly, built.n_gpus)


def shares(parts: Mapping[str, float], least_frac: float = 0.02) -> str:
    """Parts of a whole in words, the largest first, in percent; those below a share together."""
    whole = sum(parts.values())
    big = {name: value for name, value in parts.items() if value >= least_frac * whole}
    rest = whole - sum(big.values())
    listed = [*sorted(big.items(), key=lambda item: -item[1]), *([("rest", rest)] if rest > 0 else [])]
    return ", ".join(f"{name} {100 * value / whole:.0f}" for name, value in listed)
