"""A site's plant for a year without a scenario: PUE, water, hours by mode, month by month, and designs ranked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcsim.catalog.normals import sites
from dcsim.catalog.weather import WeatherYear, from_normals, stations, weather
from dcsim.climate import design_hour, outdoor_year
from dcsim.errors import RangeError
from dcsim.physics.cooling import COOLING, plant, size
from dcsim.physics.electrical import ChainLosses, PowerChain, chain_losses, indoor_losses_w
from dcsim.physics.plant import HeatLoad, Outdoor, PlantHour
from dcsim.registry import lookup
from dcsim.units import J_PER_KWH

Floats = NDArray[np.float64]

# Design IT power that a plant is worked out for; shares do not depend on it. [W]
IT_W = 10e6
MODES = ("free", "partial", "mechanical")
DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# Share of IT heat that cold plates or a bath take, by kind of plant; tables of racks of 2024 to 2026. [1]
LIQUID_FRAC = {"single_phase_immersion": 0.95}
USUAL_LIQUID_FRAC = 0.85
# Utility power that transformers are rated for, over the power of the design hour. [1]
UTILITY_MARGIN = 1.05


@dataclass(frozen=True)
class Design:
    """A plant and its power chain.

    Parameters
    ----------
    cooling : dataclass
        Part of a registered cooling system.
    chain : PowerChain
    liquid_frac : float
        Share of the IT power that liquid takes. [1]
    lighting_frac : float
        Lighting and services over the design IT power. [1]
    meaning : str
    """

    cooling: Any
    chain: PowerChain = field(default_factory=PowerChain)
    liquid_frac: float = 0.0
    lighting_frac: float = 0.01
    meaning: str = ""


def designs() -> dict[str, Design]:
    """Designs by name: every cooling system with its defaults under a modern chain of its kind."""
    out = {}
    for kind, system in COOLING.items():
        liquid = LIQUID_FRAC.get(kind, USUAL_LIQUID_FRAC) if system.takes_liquid else 0.0
        chain = PowerChain(redundancy="4N/3" if system.takes_liquid else "N+1", ups="modern")
        out[kind] = Design(system.part(), chain, liquid, 0.005 if system.takes_liquid else 0.01, system.meaning)
    return out


@dataclass(frozen=True)
class PlantYear:
    """What a plant does over a year at a constant IT load.

    Parameters
    ----------
    site, design : str
    it_load_frac : float
        IT power over the design IT power. [1]
    it_w : float
        IT power at the rack inputs. [W]
    facility_w : ndarray, shape (n,)
        Power at the meter, hour by hour. [W]
    losses, hours : ChainLosses, PlantHour
        Of the power chain and of the plant.
    design_pue : float
        Facility over IT power at full load in the design hour. [1]
    notes : tuple of str
    """

    site: str
    design: str
    it_load_frac: float
    it_w: float
    facility_w: Floats
    losses: ChainLosses
    hours: PlantHour
    design_pue: float
    notes: tuple[str, ...]

    @property
    def pue(self) -> float:
        """Energy of the facility over that of IT, ISO/IEC 30134-2 category 3. [1]"""
        return float(self.facility_w.mean()) / self.it_w

    @property
    def wue_l_per_kwh(self) -> float:
        """Water of the site over IT energy, ISO/IEC 30134-9. [L/kWh]"""
        return float(self.hours.water_kg_s.mean()) * J_PER_KWH / self.it_w

    @property
    def ere(self) -> float:
        """Energy reuse effectiveness: facility energy less heat given to a user, over IT energy. [1]"""
        return float((self.facility_w - self.hours.heat_reused_w).mean()) / self.it_w

    def mode_hours(self) -> dict[str, int]:
        """Hours by mode."""
        count = np.bincount(self.hours.mode, minlength=3)
        return {name: int(number) for name, number in zip(MODES, count, strict=True)}

    def shares(self) -> dict[str, float]:
        """Mean power of each part over IT power. [1]"""
        of = self.hours
        parts = {
            "transformers": self.losses.transformer_loss_w,
            "UPS": self.losses.ups_loss_w,
            "distribution": self.losses.pdu_loss_w,
            "room fans": of.room_fan_w,
            "pumps": of.pump_w,
            "compressors": of.chiller_w,
            "heat rejection": of.rejection_w,
            "plant base": of.base_w,
        }
        known = {name: float(np.mean(values)) / self.it_w for name, values in parts.items()}
        return {**known, "lighting": self.pue - 1.0 - sum(known.values())}

    def monthly(self) -> list[dict[str, float]]:
        """PUE, water and hours by mode of each month."""
        edges = np.cumsum([0, *DAYS]) * 24
        rows = []
        for month in range(12):
            part = slice(edges[month], edges[month + 1])
            count = np.bincount(self.hours.mode[part], minlength=3)
            rows.append(
                {
                    "month": month + 1,
                    "pue": float(self.facility_w[part].mean()) / self.it_w,
                    "wue_l_per_kwh": float(self.hours.water_kg_s[part].mean()) * J_PER_KWH / self.it_w,
                    **{f"{name}_h": int(number) for name, number in zip(MODES, count, strict=True)},
                }
            )
        return rows

    def record(self) -> dict[str, Any]:
        """All of it for JSON."""
        return {
            "site": self.site,
            "design": self.design,
            "it_load_frac": self.it_load_frac,
            "pue": self.pue,
            "pue_design_hour": self.design_pue,
            "wue_l_per_kwh": self.wue_l_per_kwh,
            "ere": self.ere,
            "worst_margin_frac": float(np.min(self.hours.margin_frac)),
            "hours": self.mode_hours(),
            "shares": self.shares(),
            "monthly": self.monthly(),
            "notes": list(self.notes),
        }


def plant_year(
    of: Design,
    air: Outdoor,
    design_air: Outdoor,
    it_load_frac: float,
    *,
    site: str,
    name: str,
    notes: Sequence[str] = (),
) -> PlantYear:
    """Work out a design over prepared hours.

    Parameters
    ----------
    of : Design
    air : Outdoor
        Hours of a year, shape (n,).
    design_air : Outdoor
        Hour on which plant and feed are sized.
    it_load_frac : float
        IT power over the design IT power, above 0 to 1. [1]
    site, name, notes
        Labels of the answer.

    Raises
    ------
    RangeError
        If the load is not above 0 and at most 1.
    """
    if not 0.0 < it_load_frac <= 1.0:
        raise RangeError(f"--it-load-frac must be above 0 and at most 1, got {it_load_frac:g}")
    lighting_w = of.lighting_frac * IT_W
    pdu_w, ups_w = (float(x) for x in indoor_losses_w(of.chain, IT_W, critical_rating_w=IT_W))
    full = HeatLoad((1.0 - of.liquid_frac) * IT_W + pdu_w + ups_w + lighting_w, of.liquid_frac * IT_W)
    rating = size(of.cooling, full, design_air)
    plant_w = float(np.max(plant(of.cooling, full, design_air, rating).power_w))
    behind_w = IT_W + pdu_w + ups_w + plant_w + lighting_w
    utility_w = UTILITY_MARGIN * 1.02 * behind_w
    ratings = {"critical_rating_w": IT_W, "utility_rating_w": utility_w, "mechanical_rating_w": plant_w}
    at_design = chain_losses(of.chain, IT_W, plant_w, lighting_w, **ratings)
    it_w = it_load_frac * IT_W
    pdu, ups = indoor_losses_w(of.chain, it_w, critical_rating_w=IT_W)
    heat = HeatLoad((1.0 - of.liquid_frac) * it_w + pdu + ups + lighting_w, of.liquid_frac * it_w)
    hours = plant(of.cooling, heat, air, rating)
    losses = chain_losses(of.chain, it_w, hours.power_w, lighting_w, **ratings)
    facility_w = it_w + hours.power_w + losses.total_w + lighting_w
    design_pue = (IT_W + plant_w + lighting_w + float(at_design.total_w)) / IT_W
    return PlantYear(site, name, it_load_frac, it_w, facility_w, losses, hours, design_pue, tuple(notes))


@dataclass(frozen=True)
class Prepared:
    """A site's air, prepared once for any number of designs."""

    name: str
    air: Outdoor
    design_air: Outdoor
    notes: tuple[str, ...]


def prepare(year: WeatherYear, margin_k: float = 2.0) -> Prepared:
    """Hours and design hour of a weather year; *margin_k* is added to its extremes unless a longer record is known."""
    own_margin = 0.0 if year.extremes_c else margin_k
    return Prepared(year.name, outdoor_year(year, 3600), design_hour(year, own_margin), year.notes)


def site_names() -> list[str]:
    """Sites that the catalog knows."""
    return [*stations(), *sites()]


def at_site(site: str, path: Path | None = None) -> Prepared:
    """Air of a site: a weather year of the catalog, a site with normals, or a file.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    """
    return prepare(weather(site, lambda: path or Path(site)))


def compare(places: Sequence[Prepared], of: Mapping[str, Design], it_load_frac: float) -> list[PlantYear]:
    """Every design at every site, the lowest PUE first."""
    found = [
        plant_year(design, site.air, site.design_air, it_load_frac, site=site.name, name=name, notes=site.notes)
        for site in places
        for name, design in of.items()
    ]
    return sorted(found, key=lambda year: year.pue)


def between_years(site: str, of: Design, it_load_frac: float, draws: int, seed: int) -> dict[str, list[float]]:
    """P10 and P90 of PUE and water over years that differ as years do, for a site with normals."""
    pues, waters = [], []
    for draw in range(draws):
        ready = prepare(from_normals(site, seed=seed, draw=draw))
        year = plant_year(of, ready.air, ready.design_air, it_load_frac, site=site, name="")
        pues.append(year.pue)
        waters.append(year.wue_l_per_kwh)
    return {
        "pue": [float(x) for x in np.quantile(pues, (0.1, 0.9))],
        "wue_l_per_kwh": [float(x) for x in np.quantile(waters, (0.1, 0.9))],
    }


def stated(name: str, sets: Sequence[str]) -> Design:
    """A design with parameters of its plant or chain changed, each ``name=value``.

    Raises
    ------
    UnknownNameError
        If there is no such design or parameter.
    RangeError
        If a value is no number.
    """
    of = lookup(designs(), name, "design")
    for text in sets:
        key, _, value = text.partition("=")
        target = of.chain if hasattr(of.chain, key) else of.cooling
        known = {field: getattr(target, field) for field in target.__dataclass_fields__}
        before = lookup(known, key, f"parameter of {name}")
        try:
            after: Any = value if isinstance(before, str) else type(before)(value)
        except ValueError:
            raise RangeError(f"--set {text}: '{value}' is no number") from None
        changed = replace(target, **{key: after})
        of = replace(of, chain=changed) if target is of.chain else replace(of, cooling=changed)
    return of


def lines(record: dict[str, Any]) -> list[str]:
    """One design at one site: the answer, where the power goes, month by month."""
    spread = record.get("between_years", {})

    def between(name: str) -> str:
        return f"  ({spread[name][0]:.3f} to {spread[name][1]:.3f}, eight years in ten)" if name in spread else ""

    hours = ", ".join(f"{name} {count}" for name, count in record["hours"].items())
    shares = sorted(record["shares"].items(), key=lambda item: -item[1])
    found = [
        f"{record['design']} at {record['site']}, IT load {record['it_load_frac']:.0%}",
        f"PUE              {record['pue']:.3f}{between('pue')}; {record['pue_design_hour']:.3f} in the design hour",
        f"WUE              {record['wue_l_per_kwh']:.2f} L/kWh{between('wue_l_per_kwh')}",
        f"hours            {hours}",
        f"least margin     {record['worst_margin_frac']:.1%} of the plant's capacity, without redundant units",
        "over IT power    " + ", ".join(f"{name} {100 * share:.2f} %" for name, share in shares if share > 5e-5),
    ]
    if record["ere"] < record["pue"] - 1e-9:
        found.append(f"ERE              {record['ere']:.3f}, heat that a user takes counted")
    found.append(f"{'month':>6}{'PUE':>8}{'WUE':>8}{'free h':>8}{'partial':>9}{'mechanical':>12}")
    found += [
        f"{row['month']:>6}{row['pue']:>8.3f}{row['wue_l_per_kwh']:>8.2f}{row['free_h']:>8}{row['partial_h']:>9}"
        f"{row['mechanical_h']:>12}"
        for row in record["monthly"]
    ]
    return [*found, *(f"note: {note}" for note in record["notes"])]
