"""Air-cooled chillers, with or without a free-cooling coil before them, for one water loop or for rooms directly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.physics import chillers, dry_coolers
from dcsim.physics.fluids import affinity_power_w
from dcsim.physics.plant import Path, over

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AirCooledSide:
    """What the heat of a loop meets: a coil on outdoor air where there is one, and air-cooled machines.

    Fields are those of :class:`dcsim.physics.cooling_liquid.DirectLiquidDryCooler`; ``coil_approach_k`` is null without
    a free-cooling coil. ``names`` prefixes the ratings, so that a plant may have two such sides.
    """

    supply_c: float
    delta_t_k: float
    coil_approach_k: float | None
    coil_fan_frac: float
    carnot_frac: float
    evaporator_approach_k: float
    condenser_approach_k: float
    chillers: float
    redundant_chillers: float

    def cop(self, dry_bulb_c: Floats) -> Floats:
        """Full-load efficiency in air of a temperature [degC]. [1]"""
        return chillers.carnot_cop(
            self.supply_c - self.evaporator_approach_k,
            dry_bulb_c + self.condenser_approach_k,
            carnot_frac=self.carnot_frac,
        )


def size(side: AirCooledSide, load_w: float, design_dry_bulb_c: float) -> dict[str, float]:
    """Ratings for a loop's heat: machines by count, their heat and power, coil fans, and the air of the design hour."""
    return {
        "chillers": float(side.chillers),
        "redundant_chillers": float(side.redundant_chillers),
        "chiller_heat_w": load_w,
        "chiller_w": load_w / float(side.cop(np.asarray(design_dry_bulb_c))),
        "free_cooling_fan_w": load_w * side.coil_fan_frac,
        "design_dry_bulb_c": float(design_dry_bulb_c),
    }


def run(side: AirCooledSide, load_w: Floats, dry_bulb_c: Floats, parts: dict[str, float]) -> Path:
    r"""Coil and, in series behind it, air-cooled machines, for the heat of a loop in each hour.

    Notes
    -----
    The coil takes the share of the load that its design approach allows, and its fans turn as fast as that or the set
    point needs at load q, since a closer approach would cost more than it saves:

    .. math:: f = \mathrm{clip}\left(
              \frac{T_{return} - T_{db} - \Delta T_a}{T_{return} - T_{supply}}, 0, 1\right), \quad
              v = \left(\frac{q \, \Delta T_a}{\max(T_{supply} - T_{db}, \Delta T_a)}\right)^{1.1}
    """
    load_frac = over(load_w, parts["chiller_heat_w"])
    free_frac, coil_w = np.zeros(load_w.shape), np.zeros(load_w.shape)
    if side.coil_approach_k is not None:
        approach_k = side.coil_approach_k
        coldest_c = dry_bulb_c + np.maximum(load_frac, 1.0) * approach_k
        free_frac = np.clip(1.0 - (coldest_c - side.supply_c) / side.delta_t_k, 0.0, 1.0)
        held_c = np.maximum(side.supply_c, dry_bulb_c + approach_k)
        speed = dry_coolers.speed_frac_for(load_frac, held_c, dry_bulb_c, design_approach_k=approach_k)
        coil_w = affinity_power_w(parts["free_cooling_fan_w"], np.minimum(speed, 1.0), exponent=3, floor_frac=0.0)
        coil_w = np.where(free_frac > 0.0, coil_w, 0.0)

    mechanical_w = load_w * (1.0 - free_frac)
    units, redundant = parts["chillers"], parts["redundant_chillers"]
    chiller_w = chillers.compressor_w(
        mechanical_w, side.cop(dry_bulb_c), parts["chiller_heat_w"], units=units, redundant_units=redundant
    )
    hotter_k = dry_bulb_c - parts["design_dry_bulb_c"]
    installed_w = parts["chiller_heat_w"] * (1.0 + redundant / units)
    return Path(
        chiller_w=chiller_w,
        rejection_w=coil_w,
        heat_w=load_w,
        mechanical_w=mechanical_w,
        margin_frac=1.0 - load_frac / chillers.capacity_frac(hotter_k),
        supply_c=side.supply_c + chillers.supply_rise_k(over(mechanical_w, installed_w), hotter_k),
    )
