"""Declared columns as Parquet: the unit and meaning of each travel in its field's metadata."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from dcsim.columns import Column

_ARROW_TYPES = {"f": pa.float64(), "i": pa.int64(), "s": pa.string()}


def schema(columns: Sequence[Column]) -> pa.Schema:
    """Schema of declared columns."""
    return pa.schema(
        [
            pa.field(
                column.name,
                _ARROW_TYPES[column.kind],
                nullable=column.nullable,
                metadata={"unit": column.unit, "meaning": column.meaning},
            )
            for column in columns
        ]
    )


def encoding(columns: Sequence[Column]) -> dict[str, Any]:
    """How a file of them is written: the same rows always give the same bytes."""
    return {
        "compression": "zstd",
        "use_dictionary": [column.name for column in columns if column.kind == "s"],
        "use_byte_stream_split": [column.name for column in columns if column.kind == "f"],
    }


def declared(frame: pd.DataFrame, columns: Sequence[Column]) -> pa.Table:
    """A frame whose columns are exactly those declared, as an Arrow table; undefined values only where allowed."""
    names = [column.name for column in columns]
    assert list(frame.columns) == names, f"columns {set(frame.columns) ^ set(names)} differ from the declared"
    arrays = []
    for column in columns:
        array = pa.array(frame[column.name], type=_ARROW_TYPES[column.kind], from_pandas=True)
        assert column.nullable or array.null_count == 0, f"{column.name} holds an undefined value"
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema(columns))
