"""The power chain from the meter to the rack inputs: transformer, UPS, power distribution, and their redundancy."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import ArrayLike, NDArray

from dcsim.errors import CapacityError, RangeError
from dcsim.registry import lookup

Floats = NDArray[np.float64]

ROUNDING = 1e-9


def quadratic_loss_w(
    load_w: ArrayLike, rating_w: ArrayLike, *, fixed_frac: float, linear_frac: float, square_frac: float, what: str
) -> Floats:
    r"""Loss of a converter at part load.

    Parameters
    ----------
    load_w : array_like, shape (n,)
        Output power, 0 to the rating. [W]
    rating_w : array_like, shape (n,)
        Sum of the ratings of the units that share the load equally; 0 where nothing is installed. [W]
    fixed_frac, linear_frac, square_frac : float
        Losses over the rating: without load, proportional to load, and proportional to its square. [1]
    what : str
        Name of the equipment, for the error.

    Returns
    -------
    ndarray, shape (n,)
        Loss. [W]

    Raises
    ------
    CapacityError
        If the load exceeds the rating anywhere.

    Notes
    -----
    .. math:: P_{loss} = P_r (c_0 + c_1 x + c_2 x^2), \quad x = P / P_r, \quad 0 \le x \le 1

    References
    ----------
    .. [1] V. Avelar, "Making large UPS systems more efficient," APC White Paper 108, rev. 2 (no-load, proportional and
       square-law losses).
    """
    load, rating = np.broadcast_arrays(np.asarray(load_w, dtype=float), np.asarray(rating_w, dtype=float))
    _require_capacity(load, rating, f"the {what} would carry", "its rating", "raise the rating or lower the load")
    x = np.divide(load, rating, out=np.zeros(load.shape), where=rating > 0)
    loss_w: Floats = rating * (fixed_frac + x * (linear_frac + square_frac * x))
    return loss_w


def _require_capacity(load: Floats, rating: Floats, what: str, limit: str, way_out: str) -> None:
    load, rating = np.broadcast_arrays(load, rating)
    over = load > rating * (1 + ROUNDING) + ROUNDING
    if np.any(over):
        worst = int(np.argmax(np.where(over, load - rating, 0.0)))
        raise CapacityError(
            f"{what} {load.flat[worst] / 1e3:,.1f} kW, above {limit} of {rating.flat[worst] / 1e3:,.1f} kW; {way_out}"
        )


@dataclass(frozen=True)
class LossCurve:
    """Losses of a converter over its rating, and where they come from.

    ``status`` is ``secondary`` for a published figure quoted by another document, ``fit`` for a curve through such
    figures and ``assumption`` for a value without a source that can be cited.
    """

    fixed_frac: float
    linear_frac: float
    square_frac: float
    meaning: str
    source: str
    status: Literal["secondary", "fit", "assumption"]

    def efficiency(self, load_frac: ArrayLike) -> Floats:
        """Output over input at a load above 0, up to 1, as a share of the rating. [1]"""
        x = np.asarray(load_frac, dtype=float)
        return x / (x + self.fixed_frac + x * (self.linear_frac + self.square_frac * x))

    def loss_w(self, load_w: ArrayLike, rating_w: ArrayLike, what: str) -> Floats:
        """Loss of units of this curve; see :func:`quadratic_loss_w`. [W]"""
        return quadratic_loss_w(
            load_w,
            rating_w,
            fixed_frac=self.fixed_frac,
            linear_frac=self.linear_frac,
            square_frac=self.square_frac,
            what=what,
        )


_WP108 = "APC White Paper 108"

UPS: dict[str, LossCurve] = {
    "delta": LossCurve(
        0.01333, 0.00640, 0.01081, "delta conversion, 94.1/96.3/96.9/97.0 % at 25/50/75/100 %", _WP108, "secondary"
    ),
    "legacy": LossCurve(
        0.0223, 0.0062, 0.0366, "double conversion, 500 kVA of the 2000s, 90.5/93.6/94.0/93.9 %", _WP108, "fit"
    ),
    "modern": LossCurve(
        0.0107,
        -0.0014,
        0.0247,
        "transformer-free three-level, 95.5/96.9/97.0/96.7 %",
        "makers' class values",
        "assumption",
    ),
    "eco": LossCurve(
        0.0076, -0.0069, 0.0094, "line-interactive bypass, 97.5/98.7/99.0/99.0 %", "makers' 98 to 99 %", "assumption"
    ),
    "none": LossCurve(0.0, 0.0, 0.0, "no UPS: racks are fed from the transformers", "definition", "assumption"),
}

PDU: dict[str, LossCurve] = {
    "busway": LossCurve(
        0.0, 0.0, 0.005, "busway and breakers, 99.5 % at full load (98.5 to 99.8)", "recalled", "assumption"
    ),
    "transformer": LossCurve(
        0.005,
        0.0,
        0.010,
        "high-efficiency PDU with transformer, 98.5 % at full load (97 to 99)",
        "ENERGY STAR",
        "secondary",
    ),
    "standard": LossCurve(
        0.012, 0.0, 0.028, "standard PDU with transformer, 96 % at full load (95 to 97)", "ENERGY STAR", "secondary"
    ),
}

TRANSFORMER: dict[str, LossCurve] = {
    "none": LossCurve(0.0, 0.0, 0.0, "no transformer behind the meter", "definition", "assumption"),
    "liquid-2500kva": LossCurve(
        0.0010,
        0.0,
        0.0054,
        "medium to low voltage, liquid-filled, 99.53 % at half load (99.48 to 99.6)",
        "10 CFR 431.196, half-load value; its split into core and copper is assumed",
        "fit",
    ),
}


# Peak efficiency index of 25 MVA, 99.70 %, which is reached at the share of the rating where core and copper are equal:
# fixed = (1 - PEI) k / 2 and square = (1 - PEI) / (2 k), with k = 0.4 assumed.
SUBSTATION: dict[str, LossCurve] = {
    "none": LossCurve(0.0, 0.0, 0.0, "the meter is at medium voltage", "definition", "assumption"),
    "liquid-25mva": LossCurve(
        0.0006,
        0.0,
        0.00375,
        "high to medium voltage, liquid-filled, 99.70 % at 40 % load",
        "Regulation (EU) 548/2014, tier 2 of 25 MVA, recalled; its split is assumed",
        "fit",
    ),
}


@dataclass(frozen=True)
class Redundancy:
    """Installed over required capacity, and in how many equal blocks of which all share the load."""

    installed_over_required: float
    blocks: int
    meaning: str

    @property
    def load_factor(self) -> float:
        """Load of a block over its rating when all blocks work at the full design load. [1]"""
        return 1.0 / self.installed_over_required

    def surviving_load_frac(self, load_frac: ArrayLike, blocks_out: int = 1) -> Floats:
        """Load of each surviving block over its rating, at a share of the design load; above 1 it trips. [1]

        Raises
        ------
        RangeError
            If no block survives.
        """
        if not 0 <= blocks_out < self.blocks:
            raise RangeError(
                f"{blocks_out} of {self.blocks} blocks out leaves none; at most {self.blocks - 1} may fail"
            )
        return np.asarray(load_frac, dtype=float) * self.load_factor * self.blocks / (self.blocks - blocks_out)


REDUNDANCY: dict[str, Redundancy] = {
    "N": Redundancy(1.0, 1, "no redundancy"),
    "N+1": Redundancy(5 / 4, 5, "five blocks of which any four carry the load"),
    "2N": Redundancy(2.0, 2, "two systems of which either carries the load"),
    "4N/3": Redundancy(4 / 3, 4, "distributed redundant: four blocks of which any three carry the load"),
    "3N/2": Redundancy(3 / 2, 3, "distributed redundant: three blocks of which any two carry the load"),
}


@dataclass(frozen=True)
class PowerChain:
    """Power chain of a site.

    Parameters
    ----------
    redundancy : str
        Topology of UPS and PDU, key of ``REDUNDANCY``; 4N/3 is usual for AI halls, N+1 at hyperscale, 2N in colocation.
    ups : str
        UPS curve, key of ``UPS``, or ``custom`` for the three coefficients below. Default APC White Paper 108.
    ups_fixed_frac, ups_linear_frac, ups_square_frac : float
        Coefficients of a custom UPS, 0 unless ``ups`` is ``custom``. Losses over rating; -0.05 to 0.2. [1]
    pdu : str
        Power distribution, key of ``PDU``.
    transformer : str
        Utility transformers, key of ``TRANSFORMER``.
    transformer_redundancy : str
        Their topology, key of ``REDUNDANCY``; assumption N+1.
    substation : str
        Transformers of the site's own substation where the meter is at high voltage, key of ``SUBSTATION``.
    substation_redundancy : str
        Their topology, key of ``REDUNDANCY``; assumption 2N, two that carry half each.
    rack_supply : str
        Server supplies on AC, or shelves at 50 V or on 800 V DC, key of
        ``rack_supplies.RACK_SUPPLY``; it moves TUE, not PUE.
    mechanical_ups_frac : float
        Share of the plant's power that the UPS feeds, so that pumps and fans ride through an outage; the rest hangs on
        the transformers. 0 suits air-cooled halls, whose air is cooled again when generators run; cold plates lose
        their flow within a minute, so their coolant pumps belong on the UPS, 0.2 to 0.4 of the plant's power.
        Assumption; 0 to 1. [1]
    """

    redundancy: Literal["N", "N+1", "2N", "4N/3", "3N/2"] = "4N/3"
    ups: Literal["delta", "legacy", "modern", "eco", "none", "custom"] = "delta"
    ups_fixed_frac: Annotated[float, Ge(0.0), Le(0.2)] = 0.0
    ups_linear_frac: Annotated[float, Ge(-0.05), Le(0.2)] = 0.0
    ups_square_frac: Annotated[float, Ge(0.0), Le(0.2)] = 0.0
    pdu: Literal["busway", "transformer", "standard"] = "busway"
    transformer: Literal["liquid-2500kva", "none"] = "liquid-2500kva"
    transformer_redundancy: Literal["N", "N+1", "2N", "4N/3", "3N/2"] = "N+1"
    substation: Literal["none", "liquid-25mva"] = "none"
    substation_redundancy: Literal["N", "N+1", "2N", "4N/3", "3N/2"] = "2N"
    rack_supply: Literal["psu_titanium", "shelf_50v", "shelf_800v"] = "psu_titanium"
    mechanical_ups_frac: Annotated[float, Ge(0.0), Le(1.0)] = 0.0


def ups_curve(chain: PowerChain) -> LossCurve:
    """Loss curve of a chain's UPS.

    Raises
    ------
    RangeError
        If coefficients are given that the chosen UPS would ignore.
    UnknownNameError
        If the UPS is not registered.
    """
    own = (chain.ups_fixed_frac, chain.ups_linear_frac, chain.ups_square_frac)
    if chain.ups == "custom":
        return LossCurve(*own, "as stated", "scenario", "assumption")
    if any(own):
        raise RangeError(
            f"ups '{chain.ups}' has its own loss curve and would ignore {own}; set ups: custom or drop them"
        )
    return lookup(UPS, chain.ups, "UPS")


@dataclass(frozen=True)
class ChainLosses:
    """Losses of each stage, those of a substation with its transformers, arrays of one shape. [W]"""

    pdu_loss_w: Floats
    ups_loss_w: Floats
    transformer_loss_w: Floats

    @property
    def indoor_w(self) -> Floats:
        """Heat that the plant must remove: PDU and UPS stand indoors, transformers outdoors. [W]"""
        return self.pdu_loss_w + self.ups_loss_w

    @property
    def total_w(self) -> Floats:
        """All losses. [W]"""
        return self.indoor_w + self.transformer_loss_w


def indoor_losses_w(
    chain: PowerChain,
    it_power_w: ArrayLike,
    *,
    critical_rating_w: ArrayLike,
    mechanical_w: ArrayLike = 0.0,
    mechanical_rating_w: ArrayLike = 0.0,
) -> tuple[Floats, Floats]:
    """Losses of PDU and UPS, which are heat for the plant; parameters and errors as for :func:`chain_losses`. [W]"""
    it, critical = np.asarray(it_power_w, dtype=float), np.asarray(critical_rating_w, dtype=float)
    _require_capacity(
        it,
        critical,
        "IT power would be",
        f"what a {chain.redundancy} chain carries with one block out, its critical rating",
        "raise the critical rating or install fewer servers",
    )
    redundancy = lookup(REDUNDANCY, chain.redundancy, "redundancy")
    installed = critical * redundancy.installed_over_required
    pdu = lookup(PDU, chain.pdu, "PDU")
    pdu_loss = pdu.loss_w(it, installed, "PDU")
    on_ups = chain.mechanical_ups_frac * np.asarray(mechanical_w, dtype=float)
    on_ups_rating = chain.mechanical_ups_frac * np.asarray(mechanical_rating_w, dtype=float)
    required = critical + pdu.loss_w(critical, installed, "PDU") + on_ups_rating
    output = it + pdu_loss + on_ups
    limit = f"what a {chain.redundancy} UPS carries with one block out, its rating"
    _require_capacity(output, required, "the UPS would carry", limit, "raise the plant's design power")
    return pdu_loss, ups_curve(chain).loss_w(output, required * redundancy.installed_over_required, "UPS")


def chain_losses(
    chain: PowerChain,
    it_power_w: ArrayLike,
    mechanical_w: ArrayLike,
    other_w: ArrayLike,
    *,
    critical_rating_w: ArrayLike,
    utility_rating_w: ArrayLike,
    mechanical_rating_w: ArrayLike = 0.0,
) -> ChainLosses:
    r"""Losses between the meter and the rack inputs.

    Parameters
    ----------
    chain : PowerChain
    it_power_w : array_like, shape (n,)
        Power at the rack inputs. [W]
    mechanical_w : array_like, shape (n,)
        Power of the cooling plant. [W]
    other_w : array_like, shape (n,)
        Lighting and building services, fed by the transformers. [W]
    critical_rating_w : array_like, shape (n,)
        IT power that the chain carries with one redundant block out; UPS and PDU installed are larger by the
        redundancy, and the UPS also by the PDU's loss and the plant's share on it. [W]
    utility_rating_w : array_like, shape (n,)
        Power that the meter may read; the transformers carry it with one redundant unit out. [W]
    mechanical_rating_w : array_like, shape (n,)
        Design power of the plant; needed only where ``chain.mechanical_ups_frac`` is above 0. [W]

    Returns
    -------
    ChainLosses
        ``pdu_loss_w``, ``ups_loss_w`` and ``transformer_loss_w``, shape (n,).

    Raises
    ------
    CapacityError
        If IT exceeds the critical rating, the UPS its rating, or the meter the utility rating.

    Notes
    -----
    .. math:: P_{meter} = P_{IT} + L_{PDU} + L_{UPS} + P_{mech} + P_{other} + L_{TX} + L_{HV}

    The plant's heat includes PDU and UPS loss (:func:`indoor_losses_w`), so the order is: indoor losses, plant, this
    function. With a share of the plant on the UPS the two depend on each other; a second pass leaves an error of 1e-5.
    """
    it, mechanical, other = np.broadcast_arrays(
        *(np.asarray(x, dtype=float) for x in (it_power_w, mechanical_w, other_w))
    )
    pdu_loss, ups_loss = indoor_losses_w(
        chain,
        it,
        critical_rating_w=critical_rating_w,
        mechanical_w=mechanical,
        mechanical_rating_w=mechanical_rating_w,
    )
    behind = it + pdu_loss + ups_loss + mechanical + other
    utility = np.asarray(utility_rating_w, dtype=float)
    limit = "the utility rating"
    way_out = "raise the utility power or install fewer servers"
    _require_capacity(behind, utility, "the transformers would carry", limit, way_out)
    curve = lookup(TRANSFORMER, chain.transformer, "transformer")
    units = lookup(REDUNDANCY, chain.transformer_redundancy, "redundancy")
    transformer_loss = curve.loss_w(behind, utility * units.installed_over_required, "transformers")
    if chain.substation != "none":
        stepped = behind + transformer_loss
        _require_capacity(stepped, utility, "the substation would carry", limit, way_out)
        of_site = lookup(REDUNDANCY, chain.substation_redundancy, "redundancy").installed_over_required
        curve = lookup(SUBSTATION, chain.substation, "substation")
        transformer_loss = transformer_loss + curve.loss_w(stepped, utility * of_site, "substation")
    _require_capacity(behind + transformer_loss, utility, "the meter would read", limit, way_out)
    return ChainLosses(*np.broadcast_arrays(pdu_loss, ups_loss, transformer_loss))
