"""What stands between a rack's input and its boards: inside the boundary of PUE, and seen by TUE alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dcsim.physics.electrical import Floats, LossCurve
from dcsim.registry import lookup


@dataclass(frozen=True)
class RackSupply:
    """What turns the power at a rack's input into that of boards: its curve, and its load at the design IT power."""

    curve: LossCurve
    load_at_design: float


# Inside the boundary of PUE: what these lose is IT energy there, and shows in TUE alone.
RACK_SUPPLY: dict[str, RackSupply] = {
    "psu_titanium": RackSupply(
        LossCurve(
            0.01762,
            -0.06468,
            0.14581,
            "server supplies, 80 PLUS Titanium, 90/94/96/91 % at 10/20/50/100 %",
            "80 PLUS Titanium at 230 V, recalled",
            "fit",
        ),
        0.45,
    ),
    "shelf_50v": RackSupply(
        LossCurve(
            0.00677,
            -0.00067,
            0.03002,
            "rectifier shelf at 50 V, 96.5 % from 30 to 100 %, 97.5 % at best",
            "Open Rack V3 shelf specification, recalled",
            "fit",
        ),
        0.75,
    ),
    "shelf_800v": RackSupply(
        LossCurve(
            0.00436,
            -0.00129,
            0.01729,
            "conversion from 800 V DC at the rack, 98.5 % at best",
            "makers' aims",
            "assumption",
        ),
        0.75,
    ),
}


def compute_power_w(rack_supply: str, it_w: ArrayLike, server_fan_w: ArrayLike, it_design_w: float) -> Floats:
    """Power that reaches boards: IT power less the losses of rack supplies and the fans inside servers. [W]

    Parameters
    ----------
    rack_supply : str
        Key of ``RACK_SUPPLY``.
    it_w, server_fan_w : array_like, shape (n,)
        Power at the rack inputs, and of the fans in servers. [W]
    it_design_w : float
        Design IT power. [W]
    """
    supply = lookup(RACK_SUPPLY, rack_supply, "rack supply")
    it, fans = np.asarray(it_w, dtype=float), np.asarray(server_fan_w, dtype=float)
    share = np.clip(it / it_design_w if it_design_w > 0 else np.zeros(it.shape), 1e-3, 1.0)
    boards: Floats = np.maximum(it * supply.curve.efficiency(share * supply.load_at_design) - fans, 0.0)
    return boards
