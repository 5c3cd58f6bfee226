"""Uncertain inputs of a plan as columns of numbers, and the scenario that a row of them states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError

from dcsim.costing import stated_catalog
from dcsim.errors import InputError, UsageError
from dcsim.model.distributions import Choice
from dcsim.model.load import Loaded
from dcsim.model.price_path import PricePath
from dcsim.model.scenario import Scenario
from dcsim.model.tree import Place, Tree
from dcsim.model.uncertain import Uncertain
from dcsim.names import check_names
from dcsim.study.figures.touched import touches_simulation
from dcsim.study.sensitivity.model import Quantiles

Floats = NDArray[np.float64]

SEED: Place = ("plan", "seed")
# A draw of the calibration is no place of a scenario.
CALIBRATION = "calibration"
MONTHS_PER_YEAR = 12
# The number of the price path that a single run takes, which is none of those drawn.
TREND = -1.0


@dataclass(frozen=True)
class Input:
    """One input as a column of numbers.

    A name is the number of its place among the stated values; a price path the number of its place among the drawn
    ones, which ascend by their mean, so that quantiles and correlations of both mean what they say.

    Parameters
    ----------
    name : str
        As :attr:`Uncertain.name`.
    place : tuple
        Where its values stand in a scenario; empty for the draws of a calibration.
    of : Quantiles
        Quantiles of a number; of ``values`` where there are any, then of the place among them.
    base : float
        The number of a single run.
    whole : bool
        Whether numbers are rounded.
    simulated : bool
        Whether it changes more than prices.
    values : tuple
        What the numbers stand for, where they are places.
    trend : tuple of float or None
        The price path of a single run, where the values are price paths.
    """

    name: str
    place: Place
    of: Quantiles
    base: float
    whole: bool
    simulated: bool
    values: tuple[Any, ...] = ()
    trend: tuple[float, ...] | None = None

    @property
    def is_path(self) -> bool:
        """Whether the values are price paths."""
        return self.trend is not None

    @property
    def is_number(self) -> bool:
        """Whether its numbers are what the scenario states."""
        return not self.values

    def ppf(self, u: ArrayLike) -> Floats:
        """Quantiles as numbers of the column, for shares from 0 to 1."""
        if self.values:
            return np.asarray(self.of.ppf(u), dtype=float)
        found = np.asarray(self.of.ppf(u), dtype=float)
        return np.round(found) if self.whole else found

    def value(self, number: float) -> Any:
        """What a scenario states for a number of the column."""
        if self.trend is not None and number == TREND:
            return self.trend
        if self.values:
            return self.values[int(number)]
        # A whole number reads as one, which a field of any kind of number takes.
        return round(number) if self.whole or number == round(number) else float(number)

    def label(self, number: float) -> float | str:
        """The number or name that a table shows; of a price path the mean of its factors."""
        value = self.value(number)
        if self.is_path:
            return float(np.mean(value)) if value else 1.0
        is_name = isinstance(value, bool) or not isinstance(value, (int, float))
        return str(value) if is_name else float(value)


@dataclass(frozen=True)
class _Places:
    """Quantiles of the place among values with weights."""

    weights: tuple[float, ...]

    def ppf(self, u: ArrayLike) -> Floats:
        n = len(self.weights)
        return np.asarray(Choice(values=tuple(range(n)), weights=self.weights).ppf(u), dtype=float)


def inputs_of(loaded: Loaded, n_paths: int) -> tuple[Input, ...]:
    """Uncertain inputs of a plan in the order of its file, then seeds and draws of the calibration.

    Parameters
    ----------
    loaded : Loaded
        The plan.
    n_paths : int
        How many price paths to draw of each price that is one.

    Raises
    ------
    UsageError
        If nothing is uncertain, or a single run takes a value that is none of a choice.
    """
    scenario = loaded.scenario
    stated = scenario.uncertainty
    found = [_input(loaded, of, n_paths) for of in loaded.uncertain]
    if stated.seeds > 1:
        seeds = tuple(scenario.plan.seed + i for i in range(stated.seeds))
        found.append(Input("plan.seed", SEED, _Places((1.0,) * len(seeds)), 0.0, True, True, seeds))
    if stated.calibration:
        draws = (None, *range(stated.calibration))
        # A single run takes the middle of the intervals, which is no draw.
        found.append(Input(CALIBRATION, (), _Places((0.0,) + (1.0,) * stated.calibration), 0.0, True, True, draws))
    if not found:
        raise UsageError(
            f"{loaded.path}: no input is a distribution; state one in place of a number, for example "
            "--set 'economics.revenue.sold_frac={distribution: beta, mean: 0.8, sd: 0.1}'"
        )
    return tuple(found)


def _input(loaded: Loaded, of: Uncertain, n_paths: int) -> Input:
    simulated = touches_simulation(loaded.scenario, of.place, [other.place for other in loaded.uncertain])
    if isinstance(of.distribution, PricePath):
        months = loaded.scenario.plan.years * MONTHS_PER_YEAR
        n = n_paths + n_paths % 2
        price = of.distribution.sample(n, months, 1.0 / MONTHS_PER_YEAR, loaded.scenario.plan.seed, of.name).price
        ranked = price[np.argsort(price.mean(axis=1), kind="stable")]
        paths = tuple(tuple(path) for path in ranked.tolist())
        return Input(of.name, of.place, _Places((1.0,) * n), TREND, True, simulated, paths, tuple(of.base))
    if isinstance(of.distribution, Choice):
        values = of.distribution.values
        if of.base not in values:
            raise loaded.fault(of.place, f"its base {of.base!r} is none of its values {', '.join(map(str, values))}")
        weights = of.distribution.weights or (1.0,) * len(values)
        return Input(of.name, of.place, _Places(weights), float(values.index(of.base)), True, simulated, values)
    return Input(of.name, of.place, of.distribution, float(of.base), of.whole, simulated)


def with_values(values: Mapping[str, Any], places: Sequence[Place], stated: Sequence[Any]) -> dict[str, Any]:
    """A copy of a scenario's values with others at some places; what is not on the way to them is shared."""
    found: dict[str, Any] = dict(values)
    copied: dict[Place, Any] = {(): found}
    for place, value in zip(places, stated, strict=True):
        target: Any = found
        for depth, key in enumerate(place[:-1], 1):
            here = place[:depth]
            if here not in copied:
                below = target[key] if isinstance(key, int) else target.get(key, {})
                copied[here] = target[key] = list(below) if isinstance(below, list) else dict(below)
            target = copied[here]
        target[place[-1]] = value
    return found


def check_ends(loaded: Loaded, inputs: Sequence[Input], columns: Mapping[str, Floats]) -> None:
    """Refuse inputs whose least or greatest drawn value, or any of whose names, no scenario may have.

    Raises
    ------
    InputError
        All of them, each at its place with the value.
    """
    faults = []
    for of in inputs:
        if not of.place or of.is_path:
            continue
        drawn = np.unique(columns[of.name]).tolist()
        for number in drawn if of.values else dict.fromkeys((drawn[0], drawn[-1])):
            told = f"draws reach {of.label(number)}: "
            try:
                _check(loaded, of, number)
            except ValidationError as error:
                reason = error.errors()[0]["msg"].removeprefix("Value error, ")
                faults.append((of.place, f"{told}{reason[0].lower()}{reason[1:]}; narrow it"))
            except InputError as error:
                faults += [(of.place, told + problem.message) for problem in error.problems]
    if faults:
        raise loaded.faults(faults)


def _check(loaded: Loaded, of: Input, number: float) -> None:
    """Check a plan with one value of an input, and the names in it where that is one."""
    values = with_values(stated_values(loaded), [of.place], [of.value(number)])
    scenario = Scenario.model_validate(values)
    if of.values:
        changed = replace(loaded, scenario=scenario, tree=Tree(values, loaded.tree.origins))
        check_names(changed, stated_catalog(changed))


def stated_values(loaded: Loaded) -> dict[str, Any]:
    """Values of a plan as its file states them, with the single values of its uncertain inputs."""
    return {key: value for key, value in loaded.tree.values.items() if key != "extends"}
