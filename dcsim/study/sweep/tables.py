"""Tables of a sweep: key figures and months of all runs, a row or some rows a run, in the order of the design."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dcsim.columns import STATEMENT, Column
from dcsim.parquet import declared, encoding

Kpis = dict[str, dict[str, Any]]

RUN = Column("run", "i", "1", "number of the run in the design, from 1")


def parquet(frame: pd.DataFrame, columns: Sequence[Column], metadata: Mapping[str, str] | None = None) -> bytes:
    """A frame of declared columns as the bytes of a file; the same frame always gives the same."""
    table = declared(frame, columns)
    if metadata:
        table = table.replace_schema_metadata(dict(metadata))
    target = io.BytesIO()
    pq.write_table(table, target, **encoding(columns))
    return target.getvalue()


def kpi_metadata(kpis: Kpis) -> dict[str, str]:
    """Key figures as they travel in the file of a result."""
    return {"kpis": json.dumps(kpis, allow_nan=False, ensure_ascii=False)}


def result(data: bytes) -> tuple[Kpis, pd.DataFrame]:
    """Key figures and monthly statement of a stored result."""
    table = pq.read_table(pa.BufferReader(data))
    kpis: Kpis = json.loads(table.schema.metadata[b"kpis"])
    return kpis, table.to_pandas()


def kpi_table(
    paths: Sequence[str], runs: Mapping[int, tuple[str, Sequence[str], Kpis]]
) -> tuple[pd.DataFrame, list[Column]]:
    """Key figures of all runs and what the columns are.

    Parameters
    ----------
    paths : sequence of str
        What was varied.
    runs : dict
        By number: content key, values of the paths as stated, key figures.
    """
    columns = [RUN, Column("key", "s", "", "content key: scenario, inputs and version of dcsim")]
    data: dict[str, list[Any]] = {"run": list(runs), "key": [key for key, _, _ in runs.values()]}
    for i, path in enumerate(paths):
        stated = [values[i] for _, values, _ in runs.values()]
        numbers = _numbers(stated)
        columns.append(Column(path, "s" if numbers is None else "f", "", "value that the sweep gives it"))
        data[path] = stated if numbers is None else numbers
    for _, _, kpis in runs.values():
        for name, kpi in kpis.items():
            if name not in data:
                columns.append(Column(name, "f", kpi["unit"], kpi["definition"], True))
                data[name] = [of[name]["value"] if name in of else None for _, _, of in runs.values()]
    frame = pd.DataFrame(data)
    return frame.astype({column.name: float for column in columns if column.kind == "f"}), columns


def monthly_table(statements: Mapping[int, pd.DataFrame]) -> tuple[pd.DataFrame, list[Column]]:
    """Monthly statements of all runs, one under the other."""
    frames = [frame.assign(run=number) for number, frame in statements.items()]
    columns = [RUN, *STATEMENT]
    return pd.concat(frames, ignore_index=True)[[column.name for column in columns]], columns


def _numbers(texts: Sequence[str]) -> list[float] | None:
    try:
        return [float(text) for text in texts]
    except ValueError:
        return None
