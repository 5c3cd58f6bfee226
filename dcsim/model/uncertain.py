"""Inputs of a scenario that are stated as distributions, and how they hang together."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from dcsim.model.base import Count, Stated
from dcsim.model.distributions import (
    Beta,
    Choice,
    Discrete,
    Empirical,
    Lognormal,
    Normal,
    Pert,
    Scalar,
    Triangular,
    Uniform,
)
from dcsim.model.price_path import PricePath
from dcsim.model.tree import Place, Tree, dotted
from dcsim.registry import unknown

# The key that makes a mapping a distribution, wherever a scenario has a scalar.
MARK = "distribution"
BASE = "base"

Stateable = Annotated[
    Normal | Lognormal | Triangular | Pert | Beta | Uniform | Discrete | Empirical | Choice | PricePath,
    Field(discriminator=MARK),
]
_READ: TypeAdapter[Any] = TypeAdapter(Stateable)

Fault = tuple[Place, str]
Kind = Literal["whole", "list", "other"]

FITS_LIST = (
    "a price_path is one number a month, which fits a list of them alone, as economics.revenue.monthly_price_factors"
)
FITS_NUMBER = "one number a month stands here: state a price_path, or the numbers"


class Correlation(Stated):
    """How two uncertain inputs hang together."""

    between: tuple[str, str] = Field(description="two inputs, each by its path")
    r: Annotated[float, Field(strict=True, ge=-1, le=1)] = Field(description="correlation of their normal scores")

    @model_validator(mode="after")
    def _are_two(self) -> Self:
        if self.between[0] == self.between[1]:
            raise ValueError(f"'{self.between[0]}' is correlated with itself by 1 always; leave it out")
        return self


class Uncertainty(Stated):
    """What else an uncertainty study draws, and correlations of what it draws."""

    seeds: Count = Field(default=1, description="seeds of arrivals and failures, from plan.seed on, each alike")
    calibration: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=0, description="draws of the calibration within its intervals; its middle if 0"
    )
    correlations: tuple[Correlation, ...] = ()

    @model_validator(mode="after")
    def _pairs_are_stated_once(self) -> Self:
        pairs = [frozenset(of.between) for of in self.correlations]
        for of, pair in zip(self.correlations, pairs, strict=True):
            if pairs.count(pair) > 1:
                raise ValueError(f"correlation of {' and '.join(of.between)} is stated twice; keep one of them")
        return self


@dataclass(frozen=True)
class Uncertain:
    """One uncertain input: where it stands, its distribution, and the value that a single run takes.

    ``whole`` inputs are numbers without decimals, so draws are rounded to them.
    """

    place: Place
    distribution: Normal | Lognormal | Triangular | Pert | Beta | Uniform | Discrete | Empirical | Choice | PricePath
    base: Any
    whole: bool = False

    @property
    def name(self) -> str:
        """Path as ``--set`` has it; a value of the catalog as ``overrides.table.key.parameter``."""
        of_catalog = self.place[:1] == ("overrides",) and self.place[2:] == ("value",)
        return dotted(self.place[:2] if of_catalog else self.place)


def take_uncertain(
    tree: Tree, kind: Callable[[Place], Kind], n_months: Callable[[], int]
) -> tuple[tuple[Uncertain, ...], list[Fault]]:
    """Replace every distribution of *tree*, in place, by the value that a single run takes.

    Parameters
    ----------
    tree : Tree
        Values of a scenario. A mapping with the key ``distribution`` is one; its ``base`` is the value of a single run,
        else the median, for a price path its trend.
    kind : callable
        What stands at a place: a number without decimals, a list of numbers, or something else.
    n_months : callable
        Months of the plan, for price paths.

    Returns
    -------
    tuple
        The inputs in the order of the file, and what is wrong with them.
    """
    found: list[Uncertain] = []
    faults: list[Fault] = []

    def walk(value: Any, place: Place) -> Any:
        if isinstance(value, dict) and MARK in value:
            stated = {key: of for key, of in value.items() if key != BASE}
            try:
                of = _READ.validate_python(stated)
            except ValidationError as error:
                faults.extend(_told(error, place))
                return value.get(BASE)
            if isinstance(of, PricePath) != (kind(place) == "list"):
                faults.append((place, FITS_LIST if isinstance(of, PricePath) else FITS_NUMBER))
                return value.get(BASE)
            whole = kind(place) == "whole"
            base = value[BASE] if BASE in value else single(of, whole, n_months)
            found.append(Uncertain(place, of, base, whole))
            return base
        if isinstance(value, dict):
            return {key: walk(of, (*place, key)) for key, of in value.items()}
        if isinstance(value, list):
            return [walk(of, (*place, index)) for index, of in enumerate(value)]
        return value

    tree.values.update({key: walk(value, (key,)) for key, value in tree.values.items()})
    return tuple(found), faults


def stateable_schema() -> dict[str, Any]:
    """JSON Schema of a distribution."""
    return _READ.json_schema()


def single(of: Any, whole: bool, n_months: Callable[[], int]) -> Any:
    """Value that a single run takes of a distribution that states no base: its median, of a price path its trend."""
    if not isinstance(of, PricePath):
        return plain(of.ppf(np.array([0.5]))[0], whole)
    trend: list[float] = of.trend(n_months(), 1.0 / 12.0).tolist()
    # Factors of 1 say nothing.
    return [] if set(trend) == {1.0} else trend


def plain(value: Any, whole: bool) -> Scalar:
    """A quantile as a scenario states it."""
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return round(number) if whole else number
    return value  # type: ignore[no-any-return]


def _told(error: ValidationError, place: Place) -> list[Fault]:
    """Faults of a distribution, at their places in the file."""
    found: list[Fault] = []
    for item in error.errors():
        location = item["loc"][1:]  # behind the name of the distribution
        text = item["msg"].removeprefix("Value error, ")
        if len(location) == 3:  # one of the kinds that a value of a choice may have
            location, text = location[:2], "is no number, name, date, true or false"
        if item["type"] == "union_tag_invalid":
            text = unknown(str(item["ctx"]["tag"]), re.findall(r"'([^']+)'", item["ctx"]["expected_tags"]), MARK)
            location = (MARK,)
        found.append(((*place, *location), text[0].lower() + text[1:]))
    return list(dict.fromkeys(found))
