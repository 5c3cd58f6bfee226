"""Trying designs: each is loaded, checked and computed once, and what cannot be built is kept with its reason."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dcsim.errors import DcsimError, UsageError
from dcsim.model.load import Loaded, load
from dcsim.study.engines.engine import Engine, Failed
from dcsim.study.engines.store import Store, completed
from dcsim.study.optimise.design import Point
from dcsim.study.optimise.tasks import Result, compute
from dcsim.study.sweep.design import fault_lines
from dcsim.study.sweep.tasks import check

Progress = Callable[[str, float], None]


class OptimiseError(DcsimError):
    """Some designs failed; the others are judged."""


@dataclass(frozen=True)
class Tried:
    """A design that was tried, and what it gave or why it gave nothing."""

    point: Point
    generation: int
    status: Literal["built", "refused", "failed"]
    key: str = ""
    reasons: tuple[str, ...] = ()
    result: Result | None = None

    @property
    def label(self) -> str:
        """What sets it apart."""
        return ", ".join(self.point)


class Trials:
    """Designs of one scenario, tried on an engine; results that are in the store are not computed.

    Parameters
    ----------
    source, sets : str, tuple of str
        The scenario, and overrides of all designs.
    engine : Engine
        Where they are computed.
    finished : Store
        Results by content key.
    total : int
        How many designs there will be, for *progress*.
    """

    def __init__(
        self, source: str, sets: tuple[str, ...], engine: Engine, finished: Store, total: int, progress: Progress
    ) -> None:
        self.tried: list[Tried] = []
        self.n_before = 0
        self._source = source
        self._sets = sets
        self._engine = engine
        self._finished = finished
        self._total = total
        self._progress = progress
        self._generation = 0

    def try_all(self, points: Sequence[Point]) -> list[Tried]:
        """Try a generation of designs.

        Raises
        ------
        UsageError
            If none of the first can be built.
        OptimiseError
            If none of them could be checked.
        EngineError
            If no more tasks can be run; what is finished is kept.
        """
        found: dict[int, Tried] = {}
        loaded: dict[int, Loaded] = {}
        for i, point in enumerate(points):
            try:
                loaded[i] = load(self._source, (*self._sets, *point))
            except UsageError as error:
                found[i] = Tried(point, self._generation, "refused", reasons=tuple(fault_lines(error)))
        keys: dict[int, str] = {}
        simulated: dict[int, str] = {}
        for done, (name, checked) in enumerate(self._engine.run(check, {str(i): of for i, of in loaded.items()}), 1):
            self._progress("check", (len(self.tried) + done) / self._total)
            i = int(name)
            if isinstance(checked, Failed):
                found[i] = Tried(points[i], self._generation, "failed", reasons=(checked.reason,))
            elif checked.faults:
                found[i] = Tried(points[i], self._generation, "refused", reasons=checked.faults)
            else:
                keys[i], simulated[i] = checked.key, checked.simulated
        if not self.tried and len(found) == len(points):
            without = [found[i] for i in range(len(points))]
            kind = UsageError if all(of.status == "refused" for of in without) else OptimiseError
            raise kind(nothing_built(self._source, without))
        # Designs that differ in prices alone follow each other, since a worker keeps its last simulation.
        ordered = sorted(keys, key=lambda i: (simulated[i], i))
        failed = self._compute({keys[i]: loaded[i] for i in ordered})
        for i, key in keys.items():
            if key in failed:
                found[i] = Tried(points[i], self._generation, "failed", key, (failed[key],))
            else:
                result = json.loads(self._finished.get(key))
                found[i] = Tried(points[i], self._generation, "built", key, (), result)
        now = [of for _, of in sorted(found.items())]
        self.tried += now
        self._generation += 1
        return now

    def _compute(self, tasks: Mapping[str, Loaded]) -> dict[str, str]:
        """Compute what is missing, each content once; why some failed."""
        before = sum(key in self._finished for key in tasks)
        self.n_before += before
        failed: dict[str, str] = {}
        for done, (key, fault) in enumerate(completed(self._engine, compute, tasks, (self._finished,)), before + 1):
            self._progress("run", (len(self.tried) + done) / self._total)
            if fault is not None:
                failed[key] = fault.reason
        return failed


def nothing_built(source: str, without: Sequence[Tried]) -> str:
    """Message that no design can be built, each reason once with the designs that have it."""
    by_reason: dict[str, list[str]] = {}
    for one in without:
        for reason in one.reasons:
            by_reason.setdefault(reason, []).append(one.label)
    lines = [f"{source}: none of the {len(without)} designs tried first can be built"]
    for reason, labels in by_reason.items():
        more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        lines.append(f"  {reason}\n    in {labels[0]}{more}")
    return "\n".join(lines)
