"""The house plan as tests: who may import whom, one heavy library a folder, no global randomness, packages listed."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("dcsim", "calibration", "reports", "scenarios")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

BASE = {"units", "errors", "registry", "rng", "steps", "columns", "parquet"}
# The straight line, left to right: a room may import itself and what stands left of it.
LINE = [
    "base",
    "physics",
    "model",
    "catalog",
    "workload",
    "build",
    "sim",
    "serving",
    "energy",
    "finance",
    "kpi",
    "runs",
    "pipeline",
    "study",
    "cli",
]
ALLOWED = {room: set(LINE[: i + 1]) for i, room in enumerate(LINE)}
ALLOWED["study"] = ALLOWED["validate"] = set(LINE[:-1]) - {"cli"} | {"validate"}
ALLOWED["calibration"] = {"base", "physics", "model", "catalog", "calibration"}
ALLOWED["reports"] = {"base", "physics", "model", "catalog", "finance", "kpi", "runs", "reports"}
ALLOWED["scenarios"] = {"base"}
# A step that was split into several files is still one step.
STEP = {
    "assets": "build",
    "capacity": "build",
    "clean_power": "build",
    "climate": "build",
    "hourly_profiles": "build",
    "metering": "energy",
    "onsite": "build",
    "ppa": "build",
    "services": "build",
    "phases": "build",
    "pools": "build",
    "headroom": "kpi",
    "kpi_money": "kpi",
    "results": "kpi",
    "storage": "build",
    "delays": "build",
    "conversion": "build",
    "stated_assets": "build",
    "nodes": "build",
    "names": "pipeline",
    "costing": "pipeline",
    "operate": "pipeline",
}

HEAVY = {
    "simpy": {"sim"},
    "torch": {"calibration"},
    "pynvml": {"calibration"},
    "plotly": {"reports"},
    "xlsxwriter": {"reports"},
    "pvlib": {"catalog"},
    "click": {"cli"},
}


def room(path: Path) -> str:
    if path.name == "cli.py":
        return "cli"
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] != "dcsim":
        return parts[0]
    name = parts[1] if len(parts) > 1 else "base"
    if name == "__init__":
        return "base"
    return "base" if name in BASE else STEP.get(name, name)


@cache
def imports(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def imported_room(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] != "dcsim" or len(parts) < 2 or parts[1] == "__version__":
        return None
    return "base" if parts[1] in BASE else STEP.get(parts[1], parts[1])


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_what_stands_left_of_it(path):
    here = room(path)
    if here == "cli":
        return  # a verb may use the whole line; what it must not do is checked below
    wrong = [n for n in imports(path) if (r := imported_room(n)) and r not in ALLOWED[here] and r != here]
    assert not wrong, f"{path.relative_to(ROOT)} ({here}) imports {wrong}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_heavy_library_stays_in_its_folder(path):
    wrong = [n for n in imports(path) if n.split(".")[0] in HEAVY and room(path) not in HEAVY[n.split(".")[0]]]
    assert not wrong


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_imports_calibration_or_reports(path):
    here = path.relative_to(ROOT).parts[0]
    others = {"dcsim.calibration", "dcsim.reports"} - {f"dcsim.{here}"}
    assert not [n for n in imports(path) if any(n.startswith(other) for other in others)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_global_randomness(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    allowed = {"Generator", "PCG64", "SeedSequence"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            value = node.value
            if value.attr == "random" and isinstance(value.value, ast.Name) and value.value.id == "np":
                assert node.attr in allowed, f"{path.name}:{node.lineno} np.random.{node.attr}"
                assert node.attr == "Generator" or path.name == "rng.py"
    assert "random" not in imports(path)


def test_the_packages_listed_are_the_packages_on_disk():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        if path.parts[len(ROOT.parts)] == "dcsim"
        else "dcsim." + ".".join(path.parent.relative_to(ROOT).parts)
        for path in SOURCES
        if path.name == "__init__.py"
    }
    assert sorted(listed) == sorted(found)


def test_constraints_pin_everything_and_name_no_build_of_one_machine():
    lines = [x for x in (ROOT / "constraints.txt").read_text().splitlines() if x and not x.startswith("#")]
    assert all("==" in line for line in lines)
    for banned in ("+cpu", "file:", "/", "nvidia-cu", "nvidia-nccl", "triton"):
        assert not [line for line in lines if banned in line.split(";")[0]]
