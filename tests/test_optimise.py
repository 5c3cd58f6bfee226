"""An optimisation finds the front that trying everything finds, and keeps what is dominated or refused."""

import contextlib
import itertools
import json
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import small
from test_cli import refused

from dcsim.cli import cli
from dcsim.errors import UsageError
from dcsim.model.tree import dump
from dcsim.study.engines.engine import Failed, guarded
from dcsim.study.engines.local import LocalEngine
from dcsim.study.optimise import design, front, goals, search, tasks
from dcsim.study.optimise.judge import Judge, judged
from dcsim.study.optimise.search import Outcome
from dcsim.study.optimise.tried import OptimiseError, Tried
from dcsim.study.sweep.tasks import Checked, check


def test_ranges_and_lists_are_read_and_all_faults_told():
    found = design.choices(("a=1,2", "b=4..6", "c=0.1..0.3..0.1", "d=0.1..0.5", "e=1e6..3e6..1e6", "f=max,x"))
    assert [one.values for one in found] == [
        ("1", "2"),
        ("4", "5", "6"),
        ("0.1", "0.2", "0.3"),
        ("0.1", "0.5"),
        ("1000000", "2000000", "3000000"),
        ("max", "x"),
    ]
    assert [one.path for one in found if one.continuous] == ["d"]
    assert found[5].numbers is None
    assert design.n_points(found) is None
    assert design.n_points(found[:3]) == 2 * 3 * 3 == len(design.grid(found[:3]))
    assert design.grid(found[:2])[1] == ("a=1", "b=5")
    with pytest.raises(UsageError) as fault:
        design.choices(("a=", "b=1,1", "c=3..1", "d=1..2..-1", "e=1..90000", "f=1..x", "g=1", "g=1..2"))
    for text in (
        "write it as path=a,b,c",
        "states 1 twice",
        "'c=3..1': a range goes from a low end",
        "'d=1..2..-1': a range goes",
        "more than 10,000 values",
        "'f=1..x': write a range as",
        "g is varied already",
    ):
        assert text in str(fault.value)


def test_objectives_are_money_carbon_water_time_and_availability_unless_stated():
    scenario = small().scenario
    of = {goal.name: goal.better for goal in goals.goals((), scenario)}
    assert of == {
        "npv_usd": "more",
        "carbon_t": "less",
        "water_m3": "less",
        "capacity_months": "less",
        "gpu_goodput_frac": "more",
    }
    assert goals.goals((), small("economics.revenue={kind: none}").scenario)[0].name == "cost_usd_per_gpu_h"
    late = small("workload.deadlines={training: 48}").scenario
    assert goals.goals((), late)[-1].name == "deadlines_met_frac"
    assert goals.goals(("pue,min", "carbon_t"), scenario) == (goals.Goal("pue", "less"), goals.Goal("carbon_t", "less"))
    with pytest.raises(UsageError) as fault:
        goals.goals(("npv_us", "loan_usd", "carbon_t,up", "water_m3", "water_m3,max"), scenario)
    for text in (
        "did you mean 'npv_usd'?",
        "loan_usd,max or loan_usd,min",
        "write max or min",
        "water_m3 is an objective already",
    ):
        assert text in str(fault.value)
    below, above = goals.limits(("capex_usd<=5e8", " pue >= 1.1 "))
    assert (below.slack_frac(4e8), above.slack_frac(1.045)) == (pytest.approx(0.2), pytest.approx(-0.05))
    with pytest.raises(UsageError) as fault:
        goals.limits(("capex_usd=5", "capex<=5", "pue<=nan"))
    assert str(fault.value).count("write it as figure<=bound") == 2
    assert "did you mean 'capex_usd'?" in str(fault.value)


def test_hypervolume_of_sets_known_by_hand():
    zero, one = np.zeros(2), np.ones(2)
    two = np.array([[1.0, 0.5], [0.5, 1.0]])
    assert front.hypervolume(two, zero, one) == front.Volume(0.75, True)
    # A dominated point and one at the reference add nothing; a third step adds its own rectangle.
    assert front.hypervolume(np.vstack([two, [[0.4, 0.4], [0.0, 0.0]]]), zero, one).frac == 0.75
    stairs = np.array([[1.0, 0.25], [0.5, 0.5], [0.25, 1.0]])
    assert front.hypervolume(stairs, zero, one).frac == pytest.approx(0.25 + 0.5 * 0.25 + 0.25 * 0.5)
    # Three unit-thick slabs along the axes: 1 - (1 - a)^3 of the cube, by inclusion and exclusion with a = 1/4.
    slabs = np.where(np.eye(3, dtype=bool), 0.25, 1.0)
    assert front.hypervolume(slabs, np.zeros(3), np.ones(3)).frac == pytest.approx(1 - 0.75**3)
    # An objective that is the same everywhere is left out; other scales give the same share.
    flat = np.column_stack([two * 1e6 - 3e6, [7.0, 7.0]])
    assert front.hypervolume(flat, np.array([-3e6, -3e6, 7.0]), np.array([-2e6, -2e6, 7.0])).frac == pytest.approx(0.75)
    assert front.hypervolume(np.zeros((0, 2)), zero, one).frac == 0.0
    # From four objectives on it is counted: a single point's box has a known volume.
    box = np.array([[0.9, 0.8, 0.7, 0.6, 0.95]])
    counted = front.hypervolume(box, np.zeros(5), np.ones(5))
    assert not counted.exact
    assert counted.frac == pytest.approx(0.9 * 0.8 * 0.7 * 0.6 * 0.95, abs=0.002)


cubes = st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=8).map(np.array)


@given(cubes)
def test_hypervolume_never_falls_with_another_point_and_ignores_dominated_ones(points):
    zero, one = np.zeros(3), np.ones(3)
    whole = front.hypervolume(points, zero, one).frac
    assert front.hypervolume(points[:-1], zero, one).frac <= whole + 1e-12
    best = points[[not above for above in front.dominated_by(points)]]
    assert front.hypervolume(best, zero, one).frac == pytest.approx(whole, abs=1e-12)
    assert points.prod(axis=1).max() - 1e-12 <= whole <= 1 + 1e-12


def test_the_knee_is_farthest_from_the_chord():
    x = np.linspace(0, 1, 11)
    arc = np.column_stack([x, np.sqrt(1 - x**2)])
    farthest = int(np.argmax(arc.sum(axis=1)))
    assert front.knee(arc) == farthest == 7
    assert front.knee(arc * [1e8, 1e-3] + [5.0, -2.0]) == farthest
    assert front.knee(arc[:1]) == 0


def analytic(point):
    """Two objectives in conflict over three choices, one of which has several local optima."""
    x, y, z = (float(text.partition("=")[2]) for text in point)
    first = -((x / 19 - 0.7) ** 2) - 0.3 * (y / 4 - 0.25) ** 2 - 0.05 * np.sin(9 * z / 4)
    return first, -((x / 19 - 0.1) ** 2) - (z / 4 - 0.5) ** 2 - 0.1 * (y / 4 - 1) ** 2


GRID = design.choices(("x=0..19", "y=0..4", "z=0..4"))


def searched(trials, seed, of=analytic, violation=lambda point: 0.0, choices=GRID):
    """Points that the search tries, by generation, with their objectives."""
    generations = []

    def evaluate(points):
        generations.append(list(points))
        return [Outcome(tuple(of(point)), violation(point)) for point in points]

    sizes = search.nsga2(choices, 2, evaluate, trials, seed)
    assert sizes == [len(points) for points in generations]
    return list(itertools.chain.from_iterable(generations))


def test_the_search_finds_the_brute_force_front_of_a_500_point_grid_with_fewer_evaluations():
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'dcsim[optimise]'")
    every = design.grid(GRID)
    assert len(every) == 500
    gains = np.array([analytic(point) for point in every])
    worst, best = gains.min(axis=0), gains.max(axis=0)
    # By the definition alone: a point is on the front if none is as good by both and better by one.
    by_hand = [not any((other >= one).all() and (other > one).any() for other in gains) for one in gains]
    assert by_hand == [not above for above in front.dominated_by(gains)]
    whole = front.hypervolume(gains[by_hand], worst, best).frac
    trials = 200

    def share(points):
        return front.hypervolume(np.array([analytic(point) for point in points]), worst, best).frac / whole

    found = []
    for seed in range(4):
        tried = searched(trials, seed)
        assert len(set(tried)) == len(tried) == trials
        found.append(share(tried))
    assert min(found) >= 0.99, found
    # As many points by chance do not: the test can fail.
    rng = np.random.default_rng(0)
    chance = [share([every[i] for i in rng.choice(500, trials, replace=False)]) for _ in range(6)]
    assert min(chance) < 0.985
    assert np.mean(chance) < np.mean(found) - 0.005


def test_the_search_is_one_of_its_seed_and_tries_nothing_twice():
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'dcsim[optimise]'")
    assert searched(40, 3) == searched(40, 3)
    assert searched(40, 3) != searched(40, 4)
    few = design.choices(("x=0..2", "y=0..1", "z=0..1"))
    assert sorted(searched(50, 0, choices=few)) == sorted(design.grid(few))
    smooth = design.choices(("x=0.5..1.5", "y=0..4", "z=0..4"))
    numbers = [float(point[0].partition("=")[2]) for point in searched(30, 0, choices=smooth)]
    assert len(set(numbers)) > 10
    assert min(numbers) >= 0.5
    assert max(numbers) <= 1.5


def test_the_search_turns_to_what_keeps_the_limits():
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'dcsim[optimise]'")

    def outside(point):
        x, _, z = (float(text.partition("=")[2]) for text in point)
        return max(0.0, (x - 6) / 6) if z else search.REFUSED

    tried = searched(80, 1, violation=outside)
    kept = [outside(point) == 0 for point in tried]
    of_grid = np.mean([outside(point) == 0 for point in design.grid(GRID)])
    assert np.mean(kept[20:]) > of_grid + 0.15


def tried_of(values, **others):
    """A design that was built, with these key figures."""
    kpis = {
        name: {"value": value, "reason": "" if value is not None else "no reason"} for name, value in values.items()
    }
    phases = [{"name": "hall-1", "binding": "utility MW", "limits": []}]
    return Tried(("a=1",), 0, "built", "key", (), {"kpis": kpis, "phases": phases, "power_month": 24300, **others})


def test_limits_and_undefined_figures_set_designs_apart_and_dominance_is_that_of_the_others():
    judge = Judge(
        (goals.Goal("npv_usd", "more"), goals.Goal("capacity_months", "less")), goals.limits(("pue<=1.2",)), 24290
    )
    tried = [
        tried_of({"npv_usd": 1.0, "pue": 1.1}),
        tried_of({"npv_usd": 2.0, "pue": 1.1}),
        tried_of({"npv_usd": 9.0, "pue": 1.5}),
        tried_of({"npv_usd": None, "pue": 1.1}),
        tried_of({"npv_usd": 1.5, "pue": 1.1}, power_month=24280),
        Tried(("a=1",), 0, "refused", "", ("no room",)),
        tried_of({"npv_usd": 2.0, "pue": 1.2}),
    ]
    found = judged(judge, tried)
    assert found.feasible == (0, 1, 4, 6)
    assert found.front == (1, 4)
    assert found.above == {0: (1, 4, 6), 1: (), 4: (), 6: ()}
    assert found.alike(1) == (6,)
    assert judge.value(tried[0], "capacity_months") == 10.0
    assert judge.value(tried[4], "capacity_months") == 0.0
    assert judge.outcome(tried[2]).violation == pytest.approx(0.25)
    assert judge.outcome(tried[5]).violation == search.REFUSED
    assert judge.undefined(tried[3]) == ("npv_usd is undefined: no reason",)


def test_what_binds_is_told_by_phase_and_beyond_what_is_stated():
    limits = [{"name": "rack slots", "servers": 9}, {"name": "utility MW", "servers": 7}]
    first = {"name": "a", "binding": "rack slots", "limits": limits}
    stated = {"name": "b", "binding": "as stated", "limits": limits}
    assert tasks.binding([first, {**first, "name": "b"}]) == "rack slots"
    assert tasks.binding([first, stated]) == "rack slots in a, servers as stated (next utility MW) in b"


class Here(LocalEngine):
    """An engine of this process that ends its tasks in the reverse order; those named *bad* fail."""

    def __init__(self, bad=""):
        super().__init__()
        self.bad = bad
        self.computed = 0

    def run(self, function, tasks):
        for key, payload in reversed(tasks.items()):
            self.computed += function is not check
            fails = self.bad and function is not check and self.bad in payload.scenario.description
            yield key, Failed("its worker process died 3 times") if fails else guarded(function, payload)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def plan(tmp_path):
    values = small("workload.jobs.offered_load_frac=0.1").tree.values
    (tmp_path / "small.yaml").write_text(dump({key: value for key, value in values.items() if key != "extends"}))
    return "small.yaml"


def test_a_grid_names_what_binds_keeps_what_is_refused_and_is_the_same_anywhere(tmp_path, plan, monkeypatch, capsys):
    words = ("optimise", plan, "--vary=facility.phases[1].servers=max,9,60", "--limit=capex_usd<=3.7e7", "--quiet")
    monkeypatch.chdir(tmp_path)
    cli([*words, "--workers=2", "--out=two"], standalone_mode=False)
    assert capsys.readouterr().out == "two\n"
    expected = files(tmp_path / "two")
    engine = Here()
    monkeypatch.setattr("dcsim.study.optimise.cli.engine_of", lambda where, workers: engine)
    cli([*words, "--out=one"], standalone_mode=False)
    assert files(tmp_path / "one") == expected
    assert engine.computed == 2
    cli([*words, "--out=one", "--resume"], standalone_mode=False)
    assert files(tmp_path / "one") == expected
    assert engine.computed == 2

    table = pq.read_table(tmp_path / "one" / "points.parquet")
    assert table.schema.field("npv_usd").metadata[b"unit"] == b"USD"
    rows = {row["facility.phases[1].servers"]: row for row in table.to_pylist()}
    assert rows["60"]["status"] == "refused"
    assert "60 servers are more than the 38 that utility MW of 0.5 MW allow" in rows["60"]["reason"]
    assert rows["max"]["reason"] == "breaks capex_usd<=3.7e7"
    assert rows["max"]["binding"] == "utility MW"
    assert rows["9"]["binding"] == "utility MW in hall-1, servers as stated (next utility MW) in hall-2"
    assert (rows["9"]["on_front"], rows["9"]["dominated"], rows["60"]["dominated"]) == (1, 0, None)
    assert pd.read_csv(tmp_path / "one" / "points.csv")["point"].tolist() == [1, 2, 3]
    said = json.loads(expected["optimise.json"])
    assert said["points"] == {
        "tried": 3,
        "built": 2,
        "refused": 1,
        "failed": 0,
        "feasible": 1,
        "dominated": 0,
        "front": 1,
        "alike": 0,
    }
    assert said["limits"][0]["keeps_off_front"] == 1
    assert "capex_usd<=3.7e7 binds: it alone keeps 1 design off the front." in said["finding"]
    page = expected["optimise.html"].decode().replace("<wbr>", "")
    assert said["finding"][0] in page
    assert "60 servers are more than" in page
    # Other objectives and limits go on from what is there; another scenario does not.
    cli([*words[:3], "--objective=pue,min", "--quiet", "--out=one"], standalone_mode=False)
    assert engine.computed == 2
    assert json.loads((tmp_path / "one" / "optimise.json").read_text())["points"]["feasible"] == 2
    with pytest.raises(UsageError, match="holds another study"):
        cli([*words, "--set=plan.seed=9", "--out=one"], standalone_mode=False)


def fake_check(loaded):
    return Checked(str(hash(loaded.scenario.model_dump_json()) % 10**12))


def fake_compute(loaded):
    """Key figures without a simulation: the objectives in conflict over a growth rate and a discount rate."""
    of = loaded.scenario
    x, y = of.economics.discount_rate * 10, of.plan.years
    kpis = {
        "npv_usd": {"value": 1e6 * (x + y / 10), "unit": "USD"},
        "carbon_t": {"value": x**2 + y, "unit": "t"},
        "pue": {"value": 1 + x / 10, "unit": "1"},
    }
    if y == 3:
        kpis["npv_usd"] = {"value": None, "unit": "USD", "reason": "nothing is sold"}
    limits = [{"name": "utility MW", "servers": 4}]
    phases = [{"name": "hall-1", "binding": "utility MW", "limits": limits}]
    return (json.dumps({"kpis": kpis, "phases": phases, "power_month": 24300}).encode(),)


FAKE = (
    "--vary=economics.discount_rate=0.01..0.99..0.01",
    "--vary=plan.years=1,2,3",
    "--objective=npv_usd",
    "--objective=carbon_t",
    "--limit=pue<=1.8",
    "--trials=36",
    "--quiet",
)


def test_a_search_gives_the_same_bytes_in_any_order_and_goes_on_after_an_interruption(tmp_path, plan, monkeypatch):
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install 'dcsim[optimise]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dcsim.study.optimise.tried.compute", fake_compute)
    monkeypatch.setattr("dcsim.study.optimise.tried.check", fake_check)

    class Forward(Here):
        def run(self, function, tasks):
            return super().run(function, dict(reversed(tasks.items())))

    class Cut(Here):
        def run(self, function, tasks):
            for result in super().run(function, tasks):
                if function is fake_compute and self.computed > 20:
                    raise KeyboardInterrupt
                yield result

    def optimise(engine, out, *words):
        monkeypatch.setattr("dcsim.study.optimise.cli.engine_of", lambda where, workers: engine)
        cli(["optimise", plan, *FAKE, f"--out={out}", *words], standalone_mode=False)

    optimise(Forward(), "forward")
    optimise(Here(), "back")
    expected = files(tmp_path / "forward")
    assert files(tmp_path / "back") == expected
    with contextlib.suppress(Exception, SystemExit):
        optimise(Cut(), "cut")
    there = len(list((tmp_path / "cut" / "results").iterdir()))
    assert 0 < there < 36
    optimise(Here(), "cut", "--resume")
    assert files(tmp_path / "cut") == expected
    said = json.loads(expected["optimise.json"])
    assert said["search"] == {
        "method": "nsga2",
        "designs": 297,
        "trials": 36,
        "seed": 1,
        "population": 10,
        "generations": 4,
    }
    table = pd.read_parquet(tmp_path / "forward" / "points.parquet")
    assert len(table) == 36
    assert set(table.loc[table["plan.years"] == 3, "reason"].str[:20]) == {"npv_usd is undefined"}
    broken = table[(table["pue"] > 1.8) & (table["plan.years"] != 3)]
    assert set(broken["reason"]) == {"breaks pue<=1.8"}
    kept = table[table["feasible"] == 1]
    for row in kept.itertuples():
        better = (kept["npv_usd"] >= row.npv_usd) & (kept["carbon_t"] <= row.carbon_t)
        better &= (kept["npv_usd"] > row.npv_usd) | (kept["carbon_t"] < row.carbon_t)
        assert row.dominated == int(better.any())
        assert row.on_front == 1 - row.dominated
    assert "nan" not in expected["optimise.html"].decode().split("<header>")[1].split("Plotly")[0].lower()


def test_a_design_that_fails_is_kept_and_the_command_ends_with_code_3(tmp_path, plan, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dcsim.study.optimise.tried.compute", fake_compute)
    monkeypatch.setattr("dcsim.study.optimise.tried.check", fake_check)
    engine = Here(bad="unlucky")
    monkeypatch.setattr("dcsim.study.optimise.cli.engine_of", lambda where, workers: engine)
    words = ("optimise", plan, "--vary=description=lucky two,unlucky one,fine", *FAKE[2:], "--out=some")
    with pytest.raises(OptimiseError, match="1 of 3 designs failed; the others are judged") as fault:
        cli([*words], standalone_mode=False)
    assert fault.value.exit_code == 3
    assert "description=unlucky one: its worker process died 3 times" in str(fault.value)
    table = pd.read_parquet(tmp_path / "some" / "points.parquet")
    assert table["status"].tolist() == ["built", "failed", "built"]
    engine.bad = ""
    cli([*words], standalone_mode=False)
    assert "failed" not in set(pd.read_parquet(tmp_path / "some" / "points.parquet")["status"])
    with pytest.raises(OptimiseError, match="none of the 1 designs tried first can be built"):
        monkeypatch.setattr("dcsim.study.optimise.tried.check", lambda loaded: 1 / 0)
        cli(["optimise", plan, "--vary=description=alone", "--out=none"], standalone_mode=False)


def test_what_cannot_be_asked_is_refused_with_the_nearest_name_and_nothing_is_written(tmp_path, plan, monkeypatch):
    monkeypatch.setattr("dcsim.study.optimise.cli.engine_of", lambda where, workers: Here())
    vary = "--vary=plan.years=1,2"
    assert "nothing varies" in refused(tmp_path, "optimise", plan)
    said = refused(tmp_path, "optimise", plan, vary, "--objective=npv_us", "--limit=capex_us<=3")
    assert "did you mean 'npv_usd'?" in said
    assert "did you mean 'capex_usd'?" in said
    assert "did you mean 'years'" in refused(tmp_path, "optimise", plan, "--vary=plan.yeers=1,2")
    none = refused(tmp_path, "optimise", plan, "--vary=facility.phases[0].servers=500,600")
    assert "none of the 2 designs tried first can be built" in none
    assert "500 servers are more than" in none
    assert "holds no study" in refused(tmp_path, "optimise", plan, vary, "--resume", "--out=none")
    assert "goes from a low end" in refused(tmp_path, "optimise", plan, "--vary=plan.years=5..1")
    for rubbish in ("--vary==", "--vary=a..b=..", "--vary=plan.years=..", "--limit=<=", "--objective=,", "--trials=0"):
        refused(tmp_path, "optimise", plan, vary, rubbish)
    refused(tmp_path, "optimise", "no-such-plan", vary)
    monkeypatch.setitem(sys.modules, "optuna", None)
    absent = refused(tmp_path, "optimise", plan, vary, "--trials=1")
    assert "pip install 'dcsim[optimise]'" in absent
