"""CSV and Parquet as frames of text or numbers, a block at a time: the columns that a format names, and no others."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from dcsim.workload.traces.canonical import ROWS, Reading

_BLOCK_B = 1 << 24
_GZIP_MAGIC = b"\x1f\x8b"


def is_parquet(path: Path) -> bool:
    """Tell whether a file is Parquet, by its first bytes."""
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def is_gzip(path: Path) -> bool:
    """Tell whether a file is gzip, by its first bytes."""
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP_MAGIC


def header(path: Path, delimiter: str = ",") -> list[str]:
    """Column names of a CSV or Parquet file.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        if is_parquet(path):
            return list(pq.read_schema(path).names)
        with _open(path) as stream:
            line = stream.read(1 << 16).split(b"\n")[0]
    except (OSError, pa.ArrowInvalid) as error:
        raise Reading(path).broken(0, f"cannot be read: {error}") from None
    return [
        name.strip().strip('"') for name in line.decode("utf-8-sig", errors="replace").rstrip("\r").split(delimiter)
    ]


def metadata(path: Path) -> dict[str, str]:
    """What a Parquet file says of itself; nothing of a CSV file."""
    if not is_parquet(path):
        return {}
    stated = pq.read_schema(path).metadata or {}
    return {key.decode(): value.decode(errors="replace") for key, value in stated.items()}


def frames(
    reading: Reading, columns: Sequence[str], *, delimiter: str = ",", names: Sequence[str] | None = None
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Frames of the named columns, each with the row of its first; CSV as text, Parquet as it is.

    Parameters
    ----------
    reading : Reading
        The file, plain or gzip; rows of CSV with more or fewer fields than the header are noted as bad.
    columns : sequence of str
        Columns to read; those that the file lacks are left out.
    delimiter : str
        Between fields of CSV.
    names : sequence of str, optional
        Names of all columns of a CSV file that has no header.

    Raises
    ------
    InputError
        If the file cannot be read, or ends early.
    """
    try:
        if is_parquet(reading.path):
            yield from _parquet(reading, columns)
        else:
            yield from _csv(reading, columns, delimiter, names)
    except (OSError, pa.ArrowInvalid) as error:
        raise reading.broken(0, f"cannot be read: {error}") from None


def _open(path: Path) -> Any:
    return pa.input_stream(str(path), compression="gzip" if is_gzip(path) else None)


def _parquet(reading: Reading, columns: Sequence[str]) -> Iterator[tuple[int, pd.DataFrame]]:
    with pq.ParquetFile(reading.path) as file:
        present = [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=ROWS, columns=present):
            first = reading.rows + 1
            reading.rows += batch.num_rows
            yield first, batch.to_pandas()


def _csv(
    reading: Reading, columns: Sequence[str], delimiter: str, names: Sequence[str] | None
) -> Iterator[tuple[int, pd.DataFrame]]:
    known = list(names or header(reading.path, delimiter))

    def malformed(row: Any) -> str:
        message = f"{row.actual_columns} fields, but the header has {row.expected_columns}; mend or delete the line"
        reading.fault(row.number or 0, message)
        reading.rows += 1
        return "skip"

    with _open(reading.path) as stream:
        try:
            batches = pacsv.open_csv(
                stream,
                read_options=pacsv.ReadOptions(
                    block_size=_BLOCK_B, use_threads=False, column_names=known, skip_rows=0 if names else 1
                ),
                parse_options=pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=malformed),
                convert_options=pacsv.ConvertOptions(
                    column_types={name: pa.string() for name in known},
                    include_columns=[name for name in columns if name in known],
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return
            raise
        for batch in batches:
            first = reading.rows + (1 if names else 2)
            reading.rows += batch.num_rows
            if batch.num_rows:
                yield first, batch.to_pandas()
