"""Running mean and variance of every interval over the runs, so that the intervals of a run need not be kept.

Runs end in any order and sums of floats depend on theirs, so runs are added in the order of the design: one that ends
early waits in the store. What was added is written before it is dropped, so a study that was killed goes on.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dcsim.columns import INTERVALS, Column
from dcsim.study.engines.store import Store, write
from dcsim.study.sweep.tables import parquet

# Between two writes of the sums so many runs wait on disk at most, beside those behind a run that failed.
WRITE_EVERY = 16
PLACE = ("start_s", "duration_s")
# Codes, such as the mode of the plant, have no mean.
AVERAGED = tuple(column for column in INTERVALS if column.kind == "f" and column.name not in PLACE)


@dataclass(frozen=True)
class Sums:
    """Mean and sum of squared deviations of the runs added so far (Welford), rows by averaged columns."""

    keys: tuple[str, ...]
    place: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, len(PLACE))))
    mean: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, len(AVERAGED))))
    squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, len(AVERAGED))))

    def plus(self, key: str, intervals: pd.DataFrame) -> "Sums":
        """The same with one run more."""
        values = intervals[[column.name for column in AVERAGED]].to_numpy(dtype=np.float64)
        if not self.keys:
            return Sums((key,), intervals[list(PLACE)].to_numpy(dtype=np.float64), values, np.zeros_like(values))
        off = values - self.mean
        mean = self.mean + off / (len(self.keys) + 1)
        return replace(self, keys=(*self.keys, key), mean=mean, squares=self.squares + off * (values - mean))

    def table(self) -> bytes:
        """Mean and variance (of a sample, null of one run) as Parquet."""
        n = len(self.keys)
        variance = self.squares / (n - 1) if n > 1 else np.full_like(self.squares, np.nan)
        columns = [column for column in INTERVALS if column.name in PLACE]
        data = {name: self.place[:, i] for i, name in enumerate(PLACE)}
        for i, column in enumerate(AVERAGED):
            unit = "1" if column.unit == "1" else f"({column.unit})^2"
            columns.append(replace(column, name=f"{column.name}_mean", meaning=f"mean over {n} runs: {column.meaning}"))
            columns.append(
                Column(f"{column.name}_var", "f", unit, f"variance over {n} runs: {column.meaning}", nullable=True)
            )
            data[f"{column.name}_mean"] = self.mean[:, i]
            data[f"{column.name}_var"] = variance[:, i]
        return parquet(pd.DataFrame(data), columns)


class Moments:
    """Sums over the runs of one time grid.

    Parameters
    ----------
    path : Path
        File of the sums.
    waiting : Store
        Interval tables of runs not yet added.
    order : sequence of str or None
        Content keys in the order of the design; None for a run that could not be checked.
    """

    def __init__(self, path: Path, waiting: Store, order: Sequence[str | None]) -> None:
        self._path = path
        self._waiting = waiting
        self._order = list(order)
        self._sums = _read(path)
        self._written = len(self._sums.keys)
        self._dropped = 0

    def fits(self, finished: Store) -> bool:
        """Whether the sums on disk are of the first runs of this design, and no finished run is missing from them."""
        n = len(self._sums.keys)
        rest = [key for key in self._order[n:] if key is not None]
        return list(self._sums.keys) == self._order[:n] and all(key in self._waiting for key in rest if key in finished)

    def advance(self, finished: Store) -> None:
        """Add the runs whose turn has come."""
        self._sums = self._added(self._sums, finished)
        if len(self._sums.keys) - self._written >= WRITE_EVERY:
            self.save()

    def save(self) -> None:
        """Write the sums, then drop what they hold."""
        if len(self._sums.keys) > self._written:
            target = io.BytesIO()
            sums = self._sums
            np.savez(target, keys=np.array(sums.keys), place=sums.place, mean=sums.mean, squares=sums.squares)
            write(self._path, target.getvalue())
            self._written = len(sums.keys)
        for key in self._sums.keys[self._dropped : self._written]:
            self._waiting.drop(key)
        self._dropped = self._written

    def table(self, finished: Store) -> bytes | None:
        """Mean and variance over all finished runs, those behind a run that failed included; None if there are none."""
        sums = self._sums
        for key in self._order[len(sums.keys) :]:
            if key is not None and key in finished:
                sums = sums.plus(key, self._intervals(key))
        return sums.table() if sums.keys else None

    def _added(self, sums: Sums, finished: Store) -> Sums:
        for key in self._order[len(sums.keys) :]:
            if key is None or key not in finished:
                break
            sums = sums.plus(key, self._intervals(key))
        return sums

    def _intervals(self, key: str) -> pd.DataFrame:
        frame: pd.DataFrame = pq.read_table(pa.BufferReader(self._waiting.get(key))).to_pandas()
        return frame


def _read(path: Path) -> Sums:
    if not path.exists():
        return Sums(())
    with np.load(path) as found:
        return Sums(tuple(found["keys"].tolist()), found["place"], found["mean"], found["squares"])
