"""Reference data, programs of the system, and a count of what was skipped for want of them."""

import gc
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# Examples differ between runs on a desk, to find faults; in CI they do not, so that a red run is due to the change.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "desk")
ROOT = Path(__file__).resolve().parent.parent
_skipped: list[str] = []


def data_dir() -> Path | None:
    """Folder of the reference data: DCSIM_DATA_DIR, else ../shared/data beside the checkout, else none."""
    stated = os.environ.get("DCSIM_DATA_DIR")
    folder = Path(stated) if stated else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture
def reference(request):
    """Path of a reference file by its name under the data folder; skips with the reason where it is absent."""

    def path(name: str) -> Path:
        folder = data_dir()
        if folder is not None and (folder / name).exists():
            return folder / name
        if folder is not None and os.environ.get("CI") == "true":
            pytest.fail(f"the reference data is present but holds no {name}")
        _skipped.append(f"{request.node.nodeid}: {name}")
        pytest.skip(f"reference data absent: {name} (set DCSIM_DATA_DIR)")

    return path


def need_program(*names: str) -> str:
    """Path of the first of *names* on this system; skips where none is, fails in CI."""
    for name in names:
        if found := shutil.which(name):
            return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs one of: {', '.join(names)}")
    pytest.skip(f"not installed: {', '.join(names)}")


def pytest_collection_finish():
    """Leave what was imported out of every later search for cycles."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter):
    """Say how many oracle tests did not run."""
    terminalreporter.write_line(
        f"oracle tests skipped for want of reference data: {len(_skipped)}"
        + ("" if not _skipped else " (" + "; ".join(_skipped[:5]) + (" ..." if len(_skipped) > 5 else "") + ")")
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run of the small plan with overrides; each set of them runs once a module."""
    from plans import small

    from dcsim import pipeline, runs

    known = {}

    def run(*sets):
        if sets not in known:
            known[sets] = runs.read(pipeline.run(small(*sets), tmp_path_factory.mktemp("runs")))
        return known[sets]

    return run
