"""The folder of reference data, which does not ship: traces, weather and tables without a clear licence."""

import os
from pathlib import Path

ABSENT = "not run: reference data absent"


def data_dir() -> Path | None:
    """Folder of the reference data: DCSIM_DATA_DIR, else ../shared/data, else none."""
    folder = Path(os.environ.get("DCSIM_DATA_DIR") or "../shared/data")
    return folder if folder.is_dir() else None


def at_hand(name: str) -> Path | None:
    """A file of the reference data, or None where it is not at hand."""
    folder = data_dir()
    return folder / name if folder is not None and (folder / name).exists() else None
