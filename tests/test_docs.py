"""The README tells the truth: its commands run, its tables are recomputed, its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import data_dir

from dcsim.kpi import KPIS
from dcsim.validate.common import run, shipped_cases
from dcsim.validate.suites import SUITES
from dcsim.validate.table import markdown

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```\n(.*?)```", README, re.S) for line in block.strip().split("\n")]
DCSIM = Path(sys.executable).with_name("dcsim")


def table(first_header):
    """Rows of the README table whose first header cell is the one given."""
    lines = README.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_header} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("dcsim ")])
def test_a_dcsim_line_of_the_readme_runs(line, tmp_path):
    words = line.split()[1:]
    if words[0] == "run":
        words += ["--no-report", "--set", "plan.years=2"]  # what the line shows does not need all five
    if words[0] == "calibrate":
        words += ["--kernels", "memory,overlap"]  # all of them run in the tests of the launch
    done = subprocess.run([DCSIM, *words], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout or list(tmp_path.iterdir())


def test_make_lines_of_the_readme_are_targets():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {line.split()[1] for line in LINES if line.startswith("make ")} | set(re.findall(r"`make (\w+)`", README))
    assert named
    assert named <= targets


def test_links_and_pictures_of_the_readme_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_files_that_the_readme_names_exist():
    for name in re.findall(r"`((?:dcsim|reports|scenarios)/[\w/.]+)`", README):
        assert (ROOT / name).exists(), name


def test_key_figures_of_the_readme_are_the_registered_ones():
    for name, unit, definition in table("figure"):
        kpi = KPIS[name.strip("`")]
        assert (kpi.unit, kpi.definition) == (unit, definition)


def test_the_accuracy_tables_are_what_the_suites_say(monkeypatch):
    """README holds what ``dcsim validate --all --markdown`` prints; the part that needs data, where it is at hand."""
    if data_dir() is not None:
        monkeypatch.setenv("DCSIM_DATA_DIR", str(data_dir()))
    form = markdown(run(name, suite, shipped_cases(name, suite), checks=False) for name, suite in SUITES.items())
    without_data, with_data = form.split("\n\n")
    assert without_data in README
    if data_dir() is not None:
        assert with_data in README


def test_the_changelog_has_an_entry_for_every_verb():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    for verb in ("run", "estimate", "scenario", "catalog", "report", "validate", "calibrate", "plant", "explain"):
        assert f"dcsim {verb}" in changelog


def test_nothing_in_the_project_names_a_machine():
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT).stdout.split()
    pattern = re.compile(r"/(?:root|home|work|tmp)/|\blocalhost\b|127\.0\.0\.1")
    for name in tracked:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".csv", ".txt", ".html", ""} and path.is_file():
            assert not pattern.search(path.read_text(errors="replace")), name
