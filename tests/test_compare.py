"""`dcsim compare`: paired runs, deltas, a bridge to the cent, dominance and regret as brute force finds them."""

import itertools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from dcsim.reports import compare as page
from hypothesis import given
from hypothesis import strategies as st
from plans import small
from study_engines import Here, cluster, files
from test_cli import refused

from dcsim import pipeline, runs
from dcsim.cli import cli
from dcsim.errors import DcsimError, UsageError
from dcsim.model.load import load
from dcsim.study.compare import choice
from dcsim.study.compare import cli as verb
from dcsim.study.compare.answer import trade_off
from dcsim.study.compare.asked import named
from dcsim.study.compare.cells import CompareError
from dcsim.study.compare.deltas import to_the_cent
from dcsim.study.compare.folder import TABLES
from dcsim.study.compare.paired import difference
from dcsim.study.compare.tasks import written
from dcsim.study.engines import nearby
from dcsim.study.engines.local import LocalEngine
from dcsim.study.engines.nearby import BEGIN_S, NearbyEngine
from dcsim.study.figures.alike import alike

SMALL = """\
extends: baseline-10mw-h100.yaml
name: small
site: {utility_mw: 0.3}
plan: {years: 1, seed: 3}
facility:
  phases:
    - name: hall-1
      utility_mw: 0.3
      rack_slots: 12
      construction: {order: 2025-07-01, delivery: 2026-11-01}
      hardware: {order: 2026-06-01, delivery: 2026-12-01}
      energised: 2027-01-01
"""
CLOUD = "economics:\n  tenure: {kind: cloud}\n"
COLO = "colo: economics.tenure={kind: colocation}"
DEAR = "dear power: site.tariff=aep-ohio-data-center, economics.discount_rate=0.09"
LOW = "low price: economics.revenue.sold_frac=0.5"
HIGH = "high price: economics.revenue={kind: rental, price_path: h100-on-demand, sold_frac: 1.0}"
N_SEEDS = 4


def compare(*words):
    result = CliRunner().invoke(cli, ["compare", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """A folder with the base and a plan that rents what the base builds."""
    folder = tmp_path_factory.mktemp("plans")
    (folder / "small.yaml").write_text(SMALL)
    (folder / "rented.yaml").write_text(f"extends: small.yaml\nname: rented\n{CLOUD}")
    return folder


@pytest.fixture(scope="module")
def words(plans):
    """What the module's comparison is asked for."""
    return (plans / "small.yaml", plans / "rented.yaml", "--alt", COLO, "--world", LOW, "--world", HIGH)


@pytest.fixture(scope="module")
def made(words, plans):
    """The comparison: build, lease and rent in three worlds."""
    return json.loads(compare(*words, "--out", plans, "--json"))


def tables(said):
    return {name: pd.read_parquet(f"{said['folder']}/{name}.parquet") for name in TABLES}


def run_of(plans, said, name, world="as stated", seed=0):
    of = next(one for one in said["alternatives"] if one["name"] == name)
    return runs.read(plans / "runs" / of["runs"][world][seed])


def test_the_bridge_adds_up_to_the_cent(made, plans):
    table = tables(made)["bridge"]
    assert table["position"].max() > 5
    for (world, name), rows in table.groupby(["world", "alternative"]):
        cents = np.rint(100 * rows["usd"]).astype(int)
        ends = dict(zip(rows["kind"], cents, strict=True))
        assert ends["start"] + cents[rows["kind"] == "step"].sum() == ends["end"]
        for side, end in (("small", "start"), (name, "end")):
            npv = run_of(plans, made, side, world).kpis["npv_usd"]["value"]
            assert ends[end] == round(100 * npv)


@given(st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=60), st.floats(-1e9, 1e9))
def test_any_bridge_is_rounded_to_cents_that_add_up(steps, start):
    steps = np.array(steps)
    first, cents, last = to_the_cent(steps, start, start + steps.sum())
    assert first + cents.sum() == last
    assert np.abs(cents - 100 * steps).max() <= 1.5


def test_a_bridge_whose_lines_do_not_add_up_is_refused():
    with pytest.raises(DcsimError, match=r"add 3\.00 USD, but the values differ by 4\.00"):
        to_the_cent(np.array([1.0, 2.0]), 0.0, 4.0)


def test_deltas_are_the_differences_of_key_figures_and_of_ledgers(made, plans):
    found = tables(made)
    base = run_of(plans, made, "small")
    for name in ("rented", "colo"):
        other = run_of(plans, made, name)
        rows = found["kpis"].query("world == 'as stated' and alternative == @name").set_index("kpi")
        assert list(rows.index) == list(base.kpis)
        for kpi in base.kpis:
            first, second = base.kpis[kpi]["value"], other.kpis[kpi]["value"]
            if first is None or second is None:
                assert np.isnan(rows.loc[kpi, "delta"])
                assert (base.kpis[kpi] if first is None else other.kpis[kpi])["reason"] in rows.loc[kpi, "reason"]
            else:
                assert rows.loc[kpi, "delta"] == second - first
                assert rows.loc[kpi, "reason"] == ""
        lines = found["lines"].query("world == 'as stated' and alternative == @name")
        spent = other.ledger["amount_usd"].sum() - base.ledger["amount_usd"].sum()
        assert lines["delta_usd"].sum() == pytest.approx(spent, rel=1e-9)


def test_to_build_to_lease_and_to_rent_pay_for_different_things(made):
    lines = tables(made)["lines"].query("world == 'as stated'").set_index(["alternative", "line", "category"])
    assert (lines.loc["rented"].xs("capex", level="category")["value_usd"] == 0).all()
    assert lines.loc[("rented", "cloud rent", "opex"), "value_usd"] < 0
    assert lines.loc[("colo", "GPUs", "capex"), "delta_usd"] == 0
    assert lines.loc[("colo", "shell", "capex"), "value_usd"] == 0
    # Who rents pays first when the plan starts, who builds long before: both are valued when the base pays first.
    assert made["figure"]["valued"] == "2025-07"
    assert any("rented pays first in 2027-01" in note for note in made["notes"])


def test_regret_and_dominance_agree_with_brute_force_on_a_comparison(made, plans):
    names = [one["name"] for one in made["alternatives"]]
    worlds = [world["name"] for world in made["worlds"]]
    npv = {key: run_of(plans, made, *key).kpis["npv_usd"]["value"] for key in itertools.product(names, worlds)}
    largest = {name: max(max(npv[n, w] for n in names) - npv[name, w] for w in worlds) for name in names}
    assert made["minimax_regret"]["choice"] == min(largest, key=largest.get)
    for one in made["alternatives"]:
        assert one["largest_regret_usd"] == largest[one["name"]]
        better = [
            other["name"]
            for other in made["alternatives"]
            if all(_gain(made, other, one, of) >= 0 for of in made["objectives"])
            and any(_gain(made, other, one, of) > 0 for of in made["objectives"])
        ]
        assert one["dominated_by"] == better
    table = tables(made)["regret"].set_index(["alternative", "world"])
    assert all(table.loc[key, "value_usd"] == value for key, value in npv.items())


def _gain(made, other, one, of):
    return (other["objectives"][of["name"]] - one["objectives"][of["name"]]) * (1 if of["better"] == "more" else -1)


def test_regret_and_dominance_agree_with_brute_force_on_a_grid():
    # Few distinct numbers, so that there are ties.
    values = np.random.Generator(np.random.PCG64(5)).integers(0, 4, (40, 3)).astype(float)
    up = [True, False, True]
    signs = [1, -1, 1]
    for i, above in enumerate(choice.dominators(values, up)):
        brute = []
        for k in range(len(values)):
            gains = [s * (values[k, j] - values[i, j]) for j, s in enumerate(signs)]
            if min(gains) >= 0 and max(gains) > 0:
                brute.append(k)
        assert above == brute
    found = choice.regret(values)
    worst = [max(max(values[k, w] for k in range(40)) - values[i, w] for w in range(3)) for i in range(40)]
    assert found.largest.tolist() == worst
    assert found.choice == worst.index(min(worst))


def test_pairing_takes_the_noise_out_of_a_change_of_prices(plans):
    said = json.loads(
        compare(plans / "small.yaml", "--alt", DEAR, "--seeds", N_SEEDS, "--out", plans, "--json", "--no-report")
    )
    assert said["seeds"] == [3, 4, 5, 6]
    one = said["alternatives"][1]
    npv = [
        [run_of(plans, said, name, seed=i).kpis["npv_usd"]["value"] for i in range(N_SEEDS)]
        for name in ("small", "dear power")
    ]
    deltas = np.subtract(npv[1], npv[0])
    assert one["delta_usd"] == pytest.approx(deltas.mean(), rel=1e-12)
    assert one["se_paired_usd"] == pytest.approx(deltas.std(ddof=1) / 2, rel=1e-9)
    alone = np.sqrt((np.var(npv[0], ddof=1) + np.var(npv[1], ddof=1)) / N_SEEDS)
    assert one["se_independent_usd"] == pytest.approx(alone, rel=1e-9)
    assert 0 < one["se_ratio"] <= 0.1
    row = tables(said)["kpis"].set_index("kpi").loc["npv_usd"]
    assert row["se_ratio"] == pytest.approx(one["se_ratio"], rel=1e-12)
    assert row["n_seeds"] == N_SEEDS


def test_one_seed_has_no_error_and_equal_figures_no_ratio():
    one = difference(np.array([1.0]), np.array([3.0]))
    assert (one.mean, one.se_paired, one.se_independent, one.ratio) == (2.0, None, None, None)
    same = difference(np.array([1.0, 1.0]), np.array([3.0, 3.0]))
    assert (same.se_paired, same.se_independent, same.ratio) == (0.0, 0.0, None)


def test_the_same_question_gives_the_same_bytes_and_runs_nothing_twice(words, made, plans, monkeypatch):
    folder = plans / made["folder"]
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(pipeline, "_figures", lambda *_: pytest.fail("a run that stands there was run again"))
    again = json.loads(compare(*words, "--out", plans, "--json"))
    assert again == made
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept


@pytest.fixture
def simulations(monkeypatch):
    """Seeds of what was simulated."""
    seeds = []

    def counted(ready, *more, of=pipeline.happened):
        seeds.append(ready.loaded.scenario.plan.seed)
        return of(ready, *more)

    monkeypatch.setattr(pipeline, "happened", counted)
    return seeds


def test_cells_that_differ_in_prices_alone_are_simulated_once(plans, tmp_path, simulations):
    words = (plans / "small.yaml", plans / "rented.yaml", "--alt", DEAR, "--seeds", 2)
    compare(*words, "--out", tmp_path, "--workers", 1, "--no-report")
    assert simulations == [3, 4]
    # One run of six is gone: only its seed is simulated again.
    found = [runs.read(folder) for folder in (tmp_path / "runs").iterdir()]
    gone = next(run for run in found if run.scenario["plan"]["seed"] == 4)
    shutil.rmtree(gone.folder)
    compare(*words, "--out", tmp_path, "--no-report")
    assert simulations == [3, 4, 4]
    assert gone.folder.exists()


def test_a_run_that_took_a_simulation_over_has_the_bytes_of_one_simulated_whole(made, plans, tmp_path):
    for name, world in (("rented", "low price"), ("colo", "high price")):
        folder = run_of(plans, made, name, world).folder
        whole = pipeline.run(load(folder / "scenario.yaml"), tmp_path)
        assert whole.name == folder.name
        assert files(whole) == files(folder)


def test_what_a_simulation_looks_up_first_is_in_the_assumptions_of_every_run(plans, tmp_path):
    words = (plans / "small.yaml", "--alt", DEAR, "--set", "workload.policy=easy_shutdown", "--no-report", "--json")
    said = json.loads(compare(*words, "--out", tmp_path))
    for name in ("small", "dear power"):
        table = run_of(tmp_path, said, name).assumptions
        assert (table["parameter"] == "boot_s").sum() == 1


@pytest.mark.parametrize(
    ("of_both", "changed", "same"),
    [
        ((), "plan.seed=8", True),
        ((), "economics={revenue: {kind: internal, usd_per_gpu_h: 2.0}, tenure: {kind: cloud}}", True),
        ((), "site.tariff=aep-ohio-data-center", True),
        ((), "overrides={prices.us-average-2025.usd_per_critical_mw: {value: 1.0e7, source: a quote}}", True),
        ((), "overrides={operations.us-10mw.design_margin_k: {value: 3.0, source: a guess}}", False),
        ((), "site.design_margin_k=3.0", False),
        ((), "workload.jobs.offered_load_frac=0.5", False),
        (("site.battery={mwh: 1.0, mw: 0.3}",), "site.tariff=aep-ohio-data-center", True),
        (("site.battery={mwh: 1.0, mw: 0.3, dispatch: arbitrage}",), "site.tariff=aep-ohio-data-center", False),
        (("site.battery={mwh: 1.0, mw: 0.3, dispatch: arbitrage}",), "economics.discount_rate=0.05", True),
        (("workload.deferral={classes: [training], signal: price}",), "site.tariff=aep-ohio-data-center", False),
        (("facility.phases[0].budget_usd=2.0e7",), "economics.discount_rate=0.05", False),
    ],
)
def test_plans_are_simulated_as_one_where_prices_alone_differ(of_both, changed, same):
    keys = [alike(loaded, pipeline.prepare(loaded)) for loaded in (small(*of_both), small(*of_both, changed))]
    assert (keys[0] == keys[1]) == same


@pytest.fixture(scope="module")
def by_one(plans, tmp_path_factory):
    """A comparison that one process ran: its words and its files."""
    words = (plans / "small.yaml", "--alt", DEAR, "--alt", "idle: workload.jobs.offered_load_frac=0.4", "--seeds", 2)
    folder = tmp_path_factory.mktemp("one")
    compare(*words, "--out", folder, "--workers", 1)
    return words, files(folder)


def test_any_number_of_workers_gives_the_same_bytes(by_one, tmp_path):
    words, expected = by_one
    compare(*words, "--out", tmp_path, "--workers", 2)
    assert files(tmp_path) == expected


def test_a_cluster_sends_the_same_bytes_and_only_what_is_not_there(by_one, tmp_path, monkeypatch):
    words, expected = by_one
    of_seed_4 = [name for name, data in expected.items() if name.endswith("scenario.yaml") and b"seed: 4" in data]
    gone = [Path(name).parent for name in of_seed_4]
    for name, data in expected.items():
        if name.startswith("runs/") and Path(name).parent not in gone:
            path = tmp_path / "out" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    monkeypatch.setattr(runs, "placed", placed := Counted(runs.placed))
    with cluster(tmp_path / "dask") as (address, _):
        compare(*words, "--out", tmp_path / "out", "--engine", f"dask://{address}")
    assert files(tmp_path / "out") == expected
    assert placed.n_calls == len(gone) == 3


class Counted:
    """A function that counts its calls."""

    def __init__(self, of):
        self.of, self.n_calls = of, 0

    def __call__(self, *words, **named):
        self.n_calls += 1
        return self.of(*words, **named)


def test_a_cell_that_fails_is_named_and_the_others_are_kept(plans, tmp_path, monkeypatch):
    words = ("compare", plans / "small.yaml", "--alt", DEAR, "--seeds", 2, "--out", tmp_path, "--no-report")

    def fails(loaded, *more, of=pipeline.run, **named):
        if loaded.scenario.plan.seed == 4 and loaded.scenario.economics.discount_rate == 0.09:
            raise DcsimError("no such luck")
        return of(loaded, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "run", fails)
        end = CliRunner().invoke(cli, [*map(str, words)])
    assert isinstance(end.exception, CompareError)
    assert "1 of 4 runs failed" in str(end.exception)
    assert "dear power, as stated, seed 4: no such luck" in str(end.exception)
    assert len(list((tmp_path / "runs").iterdir())) == 3
    compare(*words[1:])
    assert len(list((tmp_path / "runs").iterdir())) == 4


def test_cells_whose_worker_dies_are_named(plans, tmp_path, monkeypatch):
    monkeypatch.setattr(verb, "engine_of", lambda *_: Here(written, n_bad=1))
    words = ("compare", plans / "small.yaml", "--alt", DEAR, "--out", tmp_path, "--workers", 2)
    end = CliRunner().invoke(cli, [*map(str, words)])
    assert isinstance(end.exception, CompareError)
    told = "small, as stated and dear power, as stated, seed 3: its worker process died 3 times"
    assert told in str(end.exception)


def test_an_interrupted_comparison_says_what_is_kept(plans, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", interrupted)
    words = ("compare", plans / "small.yaml", "--alt", DEAR, "--out", tmp_path)
    end = CliRunner().invoke(cli, [*map(str, words)])
    assert end.exit_code == 1
    assert f"what is finished is kept in {tmp_path / 'runs'}; the same command goes on" in end.stderr


@pytest.mark.parametrize(
    ("workers", "times_s", "n_here"),
    [
        (4, [0.01 * BEGIN_S] * 9, 9),
        (4, [BEGIN_S] * 9, 1),
        (1, [100 * BEGIN_S] * 9, 9),
        # Those that are there already take no time; the first that is not tells how long the others will.
        (4, [0.0, 0.0, BEGIN_S, *[0.0] * 6], 3),
        (2, [*[0.0] * 7, BEGIN_S, BEGIN_S], 9),
    ],
)
def test_workers_are_begun_once_they_pay(monkeypatch, workers, times_s, n_here):
    clock = itertools.chain.from_iterable((0.0, time_s) for time_s in times_s)
    monkeypatch.setattr(nearby.time, "perf_counter", lambda: next(clock))
    there = []

    class Away(LocalEngine):
        def run(self, function, tasks):
            there.extend(tasks)
            yield from ((key, function(payload)) for key, payload in tasks.items())

    tasks = {str(i): i for i in range(9)}
    engine = NearbyEngine(Away(workers))
    assert dict(engine.run(abs, tasks)) == tasks
    assert len(there) == 9 - n_here


def test_a_damaged_run_is_not_taken_for_the_run(made, plans, tmp_path):
    folder = run_of(plans, made, "small").folder
    assert runs.whole(folder)
    damaged = tmp_path / folder.name
    damaged.mkdir()
    for path in folder.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes() + (b" " if path.name == "kpis.json" else b""))
    assert not runs.whole(damaged)
    assert not runs.whole(tmp_path / "absent")


def test_run_folders_are_compared_as_they_are(made, plans, tmp_path, monkeypatch):
    folders = [run_of(plans, made, name).folder for name in ("small", "colo")]
    monkeypatch.setattr(pipeline, "_figures", lambda *_: pytest.fail("it is there already"))
    said = json.loads(compare(*folders, "--out", tmp_path, "--json", "--no-report"))
    # Both are of the scenario 'small', so each goes by the name of its folder.
    assert [one["name"] for one in said["alternatives"]] == [folder.name for folder in folders]
    assert said["alternatives"][1]["delta_usd"] == made["alternatives"][2]["delta_usd"]


def test_without_revenue_costs_are_compared_and_the_reason_is_said(plans, tmp_path):
    none = "economics.revenue={kind: none}"
    said = json.loads(
        compare(plans / "small.yaml", "--alt", COLO, "--set", none, "--out", tmp_path, "--json", "--no-report")
    )
    assert said["figure"]["name"] == "cost_worth_usd"
    assert "npv_usd is undefined of small: the scenario states no revenue" in said["figure"]["reason"]
    rows = tables(said)["bridge"]
    assert round(100 * rows["usd"].iloc[:-1].sum()) == round(100 * rows["usd"].iloc[-1])
    assert any("npv_usd" in one["kpis"] for one in said["undefined"])


def test_the_answer_begins_with_what_to_take(words, plans):
    lines = compare(*words, "--out", plans).splitlines()
    assert re.match(r"(Take|Keep) \w+: its NPV is -?[\d.,]+ [kM] USD", lines[0])
    text = "\n".join(lines)
    for said in ("bridge from small to colo", "value by world", "undefined of rented: irr_frac", "not judged by"):
        assert said in text


def test_the_page_has_its_finding_in_every_title_and_needs_no_network(made, plans):
    text = (plans / made["folder"] / "compare.html").read_text()
    assert text == page.html(plans / made["folder"])
    outside = re.sub(r"<script>.*?</script>", "", text, flags=re.S)
    assert not re.findall(r'(?:src|href)="https?://', outside)
    titles = re.findall(r"<h[12]>(.*?)</h[12]>", outside)
    assert len(titles) >= 6
    assert all(re.search(r"\d|regretted|best|Dominated", title) for title in titles), titles
    assert not re.search(r"\bnan\b", re.sub(r"<script.*?</script>", "", text, flags=re.S).lower())


def test_the_trade_off_is_what_brute_force_finds():
    objectives = [{"name": "npv_usd", "better": "more"}] + [
        {"name": n, "better": "less"} for n in ("carbon_t", "water")
    ]
    rows = {"a": (5.0, 9.0, 1.0), "b": (4.0, 5.0, 2.0), "c": (3.0, 6.0, 2.0), "d": (1.0, 1.0, 2.0)}
    found = trade_off(list(rows), objectives, np.array(list(rows.values())))
    # By water a is the best of all; by carbon three are unbeaten.
    assert found == {
        "objectives": ["npv_usd", "carbon_t"],
        "front": ["a", "b", "d"],
        "dominated_by": {"c": ["b"]},
    }
    two = {name: rows[name] for name in "ab"}
    assert trade_off(list(two), objectives, np.array(list(two.values()))) is None
    flat = np.array([[of[0], 2.0, 3.0] for of in rows.values()])
    assert trade_off(list(rows), objectives, flat) is None


def test_the_page_sets_money_against_what_it_is_traded_for(plans, tmp_path):
    words = (plans / "small.yaml", "--alt", DEAR, "--alt", "idle: workload.jobs.offered_load_frac=0.4")
    said = json.loads(compare(*words, "--out", tmp_path, "--json"))
    found = said["trade_off"]
    assert sorted([*found["front"], *found["dominated_by"]]) == sorted(one["name"] for one in said["alternatives"])
    text = (Path(said["folder"]) / "compare.html").read_text()
    first, last = found["front"][0], found["front"][-1]
    assert re.search(rf"From {first} to {last}, [-+][\d.,]+ M USD of NPV goes with [-+]?[\d.,]+", text)


def test_tables_are_tidy_in_both_forms_and_say_units(made):
    for name, columns in TABLES.items():
        schema = pq.read_schema(f"{made['folder']}/{name}.parquet")
        assert [field.name for field in schema] == [column.name for column in columns]
        assert all(field.metadata[b"meaning"] for field in schema)
        frame = pd.read_csv(f"{made['folder']}/{name}.csv")
        assert list(frame.columns) == schema.names
        assert len(frame) == len(tables(made)[name])


def test_everything_wrong_is_said_at_once_and_nothing_is_written(tmp_path, plans):
    (tmp_path / "small.yaml").write_text(SMALL)
    message = refused(
        tmp_path,
        "compare",
        "small.yaml",
        "no-such-plan",
        *("--alt", "hot: facility.cooling.kind=air_chiller"),
        *("--alt", "nothing"),
        *("--alt", "far: site.tariff=moon"),
        *("--world", "odd: economics.discount_rat=0.1"),
        *("--world", "as stated: plan.years=2"),
    )
    for said in (
        "no-such-plan: no such file",
        "hot: small.yaml: 1 problem",
        "--alt 'nothing': write it as 'name: path=value, path=value'",
        "far: small.yaml: 1 problem",
        "did you mean 'discount_rate'?",
        "two worlds are called 'as stated'",
    ):
        assert said in message
    # The fault of a world is said once, not of every alternative again.
    assert message.count("discount_rat'") == 1


def test_nothing_to_compare_and_two_of_a_name_are_refused(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    assert "at least one alternative" in refused(tmp_path, "compare", "small.yaml")
    twice = refused(tmp_path, "compare", "small.yaml", "--alt", "a: plan.years=2", "--alt", "a: plan.years=3")
    assert "two alternatives are called 'a'" in twice
    assert "not a run folder" in refused(tmp_path, "compare", "small.yaml", ".")


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        ("a: b=1", ("b=1",)),
        ("a b:b.c={d: 1, e: [2, 3]}, f[0].g=x", ("b.c={d: 1, e: [2, 3]}", "f[0].g=x")),
        ("a: b='x, y', c=\"z, w\"", ("b='x, y'", 'c="z, w"')),
    ],
)
def test_commas_inside_a_value_belong_to_it(text, sets):
    assert named(text, "--alt") == (text.partition(":")[0], sets)


@pytest.mark.parametrize("text", ["", "a", "a:", "a=b: c", ": b=1"])
def test_an_alternative_without_name_or_override_is_refused(text):
    with pytest.raises(UsageError, match="write it as 'name: path=value, path=value'"):
        named(text, "--world")
