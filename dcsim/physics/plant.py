"""What every cooling plant takes and gives: heat, outdoor air, ratings, and the powers and water of each hour."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcsim.errors import CapacityError, RangeError

Floats = NDArray[np.float64]

FREE, PARTIAL, MECHANICAL = 0, 1, 2


@dataclass(frozen=True)
class Outdoor:
    """Outdoor air, scalars or arrays that broadcast with the heat load.

    Parameters
    ----------
    dry_bulb_c, wet_bulb_c : array_like, shape (n,)
        Temperatures, -60 to 60. [degC]
    humidity_ratio : array_like, shape (n,)
        Humidity ratio. [kg/kg]
    pressure_pa : array_like, shape (n,)
        Total pressure. [Pa]
    """

    dry_bulb_c: ArrayLike
    wet_bulb_c: ArrayLike
    humidity_ratio: ArrayLike
    pressure_pa: ArrayLike


@dataclass(frozen=True)
class HeatLoad:
    """Heat that a plant must remove, scalars or arrays that broadcast with the outdoor air.

    Parameters
    ----------
    air_w : array_like, shape (n,)
        Heat that the rooms' air takes: servers less their cold plates, switches, losses of PDU and UPS, lighting. [W]
    liquid_w : array_like, shape (n,)
        Heat that cold plates take. [W]
    """

    air_w: ArrayLike
    liquid_w: ArrayLike = 0.0

    def paths_w(self) -> tuple[Floats, Floats]:
        """Heat of the liquid and of the air path as arrays. [W]

        Raises
        ------
        RangeError
            If a heat is negative.
        """
        liquid, air = np.asarray(self.liquid_w, dtype=float), np.asarray(self.air_w, dtype=float)
        if np.any(liquid < 0) or np.any(air < 0):
            raise RangeError("the heat of a path must be at least 0")
        return liquid, air


@dataclass(frozen=True)
class PlantRating:
    """Ratings of a plant, from its design hour.

    Parameters
    ----------
    liquid_w, air_w : float
        Design heat of the two paths. [W]
    installed_frac : float
        Capacity with redundant units over design heat, at least 1: above the design heat they are called in and the
        margin is negative; above this the plant refuses. [1]
    parts : dict
        Capacity of each component, as the plant's ``size`` lists them. Names end with their unit, or are counts.
    """

    liquid_w: float
    air_w: float
    installed_frac: float
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def heat_w(self) -> float:
        """Design heat of both paths. [W]"""
        return self.liquid_w + self.air_w

    def plus(self, other: "PlantRating") -> "PlantRating":
        """Rating of two plants of one kind side by side; of design temperatures the higher one counts."""
        parts = {
            name: max(value, other.parts[name]) if name.endswith("_c") else value + other.parts[name]
            for name, value in self.parts.items()
        }
        installed_frac = min(self.installed_frac, other.installed_frac)
        return PlantRating(self.liquid_w + other.liquid_w, self.air_w + other.air_w, installed_frac, parts)

    def require(self, liquid_w: Floats, air_w: Floats) -> None:
        """Refuse heat above what is installed.

        Raises
        ------
        CapacityError
            If the heat of a path exceeds its design heat by more than the redundant units carry.
        """
        for path, load, rated in (("liquid", liquid_w, self.liquid_w), ("air", air_w, self.air_w)):
            limit = rated * self.installed_frac
            if np.any(load > limit * (1 + 1e-9) + 1e-6):
                raise CapacityError(
                    f"the {path} path of the plant would have to remove {load.max() / 1e3:,.1f} kW; it is rated for "
                    f"{rated / 1e3:,.1f} kW and carries {limit / 1e3:,.1f} kW with its redundant units; size it for a "
                    "larger design heat or lower the load"
                )


@dataclass(frozen=True)
class PlantHour:
    """What a plant draws and gives, arrays of one shape.

    Parameters
    ----------
    room_fan_w, pump_w, chiller_w, rejection_w, base_w : ndarray
        Power of air handlers, pumps, compressors, tower or dry-cooler fans, and controls. [W]
    evaporation_kg_s, drift_kg_s, blowdown_kg_s : ndarray
        Water. [kg/s]
    heat_rejected_w, heat_reused_w : ndarray
        Heat given to the outdoors and to a user of heat; together the heat load and all that the plant draws. [W]
    mode : ndarray of int8
        0 free, 1 partly mechanical, 2 fully mechanical.
    margin_frac : ndarray
        (Capacity at this hour - load) / capacity, of the tighter path, without redundant units: it falls in hours
        hotter than the design hour, and below 0 redundant units are needed. [1]
    supply_air_c, supply_water_c : ndarray
        Air reached at the servers' inlets, and chilled or, in a liquid plant, facility water reached. [degC]
    """

    room_fan_w: Floats
    pump_w: Floats
    chiller_w: Floats
    rejection_w: Floats
    base_w: Floats
    evaporation_kg_s: Floats
    drift_kg_s: Floats
    blowdown_kg_s: Floats
    heat_rejected_w: Floats
    heat_reused_w: Floats
    mode: NDArray[np.int8]
    margin_frac: Floats
    supply_air_c: Floats
    supply_water_c: Floats

    @property
    def power_w(self) -> Floats:
        """All power that the plant draws. [W]"""
        return self.room_fan_w + self.pump_w + self.chiller_w + self.rejection_w + self.base_w

    @property
    def water_kg_s(self) -> Floats:
        """Make-up water. [kg/s]"""
        return self.evaporation_kg_s + self.drift_kg_s + self.blowdown_kg_s


NONE = np.zeros(1)


@dataclass(frozen=True)
class Path:
    """What one path of heat draws and gives, arrays that broadcast; fields as in :class:`PlantHour`.

    ``heat_w`` is what is taken from the path, its own fans and pumps included; ``mechanical_w`` the part of it that
    machines take; ``supply_c`` the temperature reached; ``outside_pump_w`` the pumps that are not in ``heat_w``, as
    those of condenser water, and are part of ``pump_w``.
    """

    heat_w: Floats
    mechanical_w: Floats
    margin_frac: Floats
    supply_c: Floats
    room_fan_w: Floats = field(default_factory=lambda: NONE)
    pump_w: Floats = field(default_factory=lambda: NONE)
    outside_pump_w: Floats = field(default_factory=lambda: NONE)
    chiller_w: Floats = field(default_factory=lambda: NONE)
    rejection_w: Floats = field(default_factory=lambda: NONE)
    evaporation_kg_s: Floats = field(default_factory=lambda: NONE)
    drift_kg_s: Floats = field(default_factory=lambda: NONE)
    blowdown_kg_s: Floats = field(default_factory=lambda: NONE)
    heat_reused_w: Floats = field(default_factory=lambda: NONE)

    def on(self, *, room_fan_w: Floats = NONE, pump_w: Floats = NONE, evaporation_kg_s: Floats = NONE) -> "Path":
        """The same path with fans, pumps and humidifiers that stand before it; their heat is in its heat already."""
        return replace(
            self,
            room_fan_w=self.room_fan_w + room_fan_w,
            pump_w=self.pump_w + pump_w,
            evaporation_kg_s=self.evaporation_kg_s + evaporation_kg_s,
        )


def hours(paths: Sequence[Path], base_w: float, supply_air_c: Floats, supply_water_c: Floats) -> PlantHour:
    """A plant's hours from its paths and a power that never stops. [W], [degC]"""
    shape = np.broadcast_shapes(*(path.heat_w.shape for path in paths))

    def total(name: str) -> Floats:
        added: Floats = np.zeros(shape)
        for path in paths:
            added = added + getattr(path, name)
        return added

    drawn = {name: total(name) for name in ("room_fan_w", "pump_w", "chiller_w", "rejection_w")}
    water = {name: total(name) for name in ("evaporation_kg_s", "drift_kg_s", "blowdown_kg_s")}
    heat_w, reused_w, base = total("heat_w"), total("heat_reused_w"), np.full(shape, base_w)
    # Fans and pumps before a path are in its heat; machines and what rejects heat come on top.
    after_w = drawn["chiller_w"] + drawn["rejection_w"] + total("outside_pump_w")
    margin = np.min(np.broadcast_arrays(*(path.margin_frac for path in paths)), axis=0)
    return PlantHour(
        **drawn,
        base_w=base,
        **water,
        heat_rejected_w=heat_w + after_w + base - reused_w,
        heat_reused_w=reused_w,
        mode=mode(total("mechanical_w"), heat_w),
        margin_frac=margin,
        supply_air_c=np.zeros(shape) + supply_air_c,
        supply_water_c=np.zeros(shape) + supply_water_c,
    )


class CoolingPart(Protocol):
    """What the parameters of every plant have."""

    @property
    def kind(self) -> str:
        """Key in the registry."""

    @property
    def supply_air_temp_c(self) -> float:
        """Air at the servers' inlets. [degC]"""


@dataclass(frozen=True)
class CoolingSystem:
    """A registered plant: its part, how it is sized for a design hour, what it does in any hour, and its meaning.

    ``takes_liquid`` tells whether it serves cold plates; a plant that does not cannot take liquid heat.
    """

    part: type[Any]
    size: Callable[[Any, HeatLoad, Outdoor], PlantRating]
    plant: Callable[[Any, HeatLoad, Outdoor, PlantRating], PlantHour]
    takes_liquid: bool
    meaning: str


def over(load: Floats, rating: float) -> Floats:
    """Load over rating, 0 where nothing is installed. [1]"""
    return load / rating if rating > 0 else np.zeros(load.shape)


def mode(mechanical_w: Floats, heat_w: Floats) -> NDArray[np.int8]:
    """0 where machines take none of the heat, 2 where they take all, else 1; 0 where there is no heat."""
    some, every = mechanical_w > 0.0, mechanical_w >= heat_w
    return some.astype(np.int8) + (some & every).astype(np.int8)
