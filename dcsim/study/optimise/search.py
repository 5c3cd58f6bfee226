"""Search by NSGA-II: generations of designs that were not tried before, from those that are best so far."""

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dcsim.errors import UsageError
from dcsim.rng import stream
from dcsim.study.optimise.design import Choice, Point, point

# A design that cannot be built is worse than any that breaks a limit.
REFUSED = 1e9
# Sampling is given up when so many draws in turn were tried before.
MOST_DRAWS = 500
SMALLEST, LARGEST = 10, 50


@dataclass(frozen=True)
class Outcome:
    """What a design is worth to the search: its objectives, more being better, and by how much it breaks limits."""

    gains: tuple[float, ...]
    violation: float = 0.0


Evaluate = Callable[[Sequence[Point]], Sequence[Outcome]]


def needs_optuna() -> Any:
    """Optuna, which comes with an extra.

    Raises
    ------
    UsageError
        If it is not installed.
    """
    try:
        return importlib.import_module("optuna")
    except ImportError:
        raise UsageError(
            "more designs than --trials need Optuna, which is not installed: pip install 'dcsim[optimise]'; or raise "
            "--trials so that every design is tried"
        ) from None


def population(trials: int) -> int:
    """Designs in a generation: a tenth of all, since ten generations learn more than two, within bounds."""
    return max(2, min(trials, max(SMALLEST, min(LARGEST, math.ceil(trials / 10)))))


def nsga2(of: Sequence[Choice], n_objectives: int, evaluate: Evaluate, trials: int, seed: int) -> list[int]:
    """Try so many designs, a generation at a time; the number of designs in each generation.

    A generation is asked for whole before any of it is evaluated, and told in the order in which it was asked for, so
    what is tried does not depend on which design is finished first. No design is tried twice.

    Parameters
    ----------
    of : sequence of Choice
        What may be chosen.
    n_objectives : int
        How many objectives an outcome has.
    evaluate : callable
        Outcomes of the designs of a generation, in their order.
    trials : int
        How many designs to try; fewer where no new ones are found.
    seed : int
        Seed of the search.

    Raises
    ------
    UsageError
        If Optuna is not installed.

    References
    ----------
    .. [1] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II," IEEE Trans. Evol. Comput. 6
       (2002) 182-197.
    """
    optuna = needs_optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(
        population_size=population(trials), seed=int(stream(seed, "optimise/nsga2").integers(2**31))
    )
    study = optuna.create_study(directions=["maximize"] * n_objectives, sampler=sampler)
    space = {one.path: _distribution(optuna.distributions, one) for one in of}
    seen: set[Point] = set()
    generations: list[int] = []
    while len(seen) < trials:
        asked: list[tuple[Any, Point]] = []
        draws = 0
        while len(asked) < min(population(trials), trials - len(seen)) and draws < MOST_DRAWS:
            trial = study.ask(space)
            found = point(of, [_text(one, trial.params[one.path]) for one in of])
            if found in seen or found in [other for _, other in asked]:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                draws += 1
            else:
                asked.append((trial, found))
                draws = 0
        if not asked:
            break
        for (trial, _), outcome in zip(asked, evaluate([one for _, one in asked]), strict=True):
            trial.set_constraint("limits", outcome.violation)
            study.tell(trial, outcome.gains)
        seen.update(one for _, one in asked)
        generations.append(len(asked))
        if draws == MOST_DRAWS:
            break
    return generations


def _distribution(kinds: Any, of: Choice) -> Any:
    if of.continuous:
        return kinds.FloatDistribution(float(of.values[0]), float(of.values[1]))
    return kinds.IntDistribution(0, len(of.values) - 1)


def _text(of: Choice, drawn: Any) -> str:
    """What was drawn as ``--set`` would read it; six digits of a continuous number."""
    if not of.continuous:
        return str(of.values[drawn])
    low, high = (float(value) for value in of.values)
    return repr(min(max(float(f"{drawn:.6g}"), low), high))
