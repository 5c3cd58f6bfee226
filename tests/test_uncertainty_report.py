"""The page of an uncertainty study: titles that agree with the tables, and every part left out that a study lacks."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from dcsim.reports import uncertainty
from dcsim.reports.uncertainty import heat, spread, tables
from dcsim.reports.uncertainty.folder import label, measure, read, short_names

from dcsim.kpi import KPIS

N = 64
SOLD, PRICE, CHIP = "economics.revenue.sold_frac", "overrides.servers.hgx-h100-8.price_usd", "facility.server"
SINGLE = {SOLD: 0.8, PRICE: 1.1e5}
LEVELS = {"p5": 0.05, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p95": 0.95}


def npv_usd(sold, price):
    """A plane: 0 at a sold share of 0.75 where the price is at its single value."""
    return 2e7 * (sold - 0.75) - 40.0 * (price - SINGLE[PRICE])


def side(name, values, base, sign):
    known = values[~np.isnan(values)]
    found = {
        "name": name,
        "sets": [],
        "mean": float(known.mean()),
        "sd": float(known.std(ddof=1)),
        "se": float(known.std(ddof=1) / len(known) ** 0.5),
        "n": len(known),
        "n_undefined": len(values) - len(known),
        **{level: float(np.quantile(known, at)) for level, at in LEVELS.items()},
        "bounds": {level: [float(known.min()), float(known.max())] for level in LEVELS},
        "cvar5": float(np.sort(known)[:3].mean()),
        "loss_frac": float((known < 0).mean()),
        "loss_bounds_frac": [0.0, 1.0],
        "regret": None,
    }
    if base is not None:
        delta = (values - base)[~np.isnan(values - base)]
        found |= {
            "sets": [f"economics.note={name}"],
            "delta_mean": float(delta.mean()),
            "delta_se": float(delta.std(ddof=1) / len(delta) ** 0.5),
            "delta_p10": float(np.quantile(delta, 0.1)),
            "delta_p90": float(np.quantile(delta, 0.9)),
            "better_frac": float((sign * delta > 0).mean()),
        }
    return found


def write(
    folder,
    value=npv_usd,
    figure="npv_usd",
    shifts=(),
    one_way=True,
    undefined=0,
    sobol=False,
    turns=True,
    better="more",
    chip=1.1,
):
    """A finished study of two numbers and a name, whose figure is *value*; alternatives add *shifts* to it."""
    folder.mkdir(exist_ok=True)
    sign = 1.0 if better == "more" else -1.0
    u = (np.arange(N) + 0.5) / N
    v = u[(np.arange(N) * 27) % N]
    sold, price = 0.5 + 0.5 * u, 9e4 + 4e4 * v
    chips = np.where(np.arange(N) % 2, "an-accelerator-with-a-long-name", "h100")
    unit, single = KPIS[figure].unit, float(value(SINGLE[SOLD], SINGLE[PRICE]))
    base = np.asarray(value(sold, price), dtype=float) * np.ones(N)
    base[:undefined] = np.nan
    names = ["plan", *(f"alternative {i}" for i in range(1, len(shifts) + 1))]
    results = dict(zip(names, (base, *(base + shift * (0.5 + u) for shift in shifts)), strict=True))
    draws, percentiles, convergence, cash, sides = [], [], [], [], []
    months = pd.period_range("2026-11", periods=24, freq="M").astype(str)
    for name, values in results.items():
        known = values[~np.isnan(values)]
        one = side(name, values, None if name == "plan" else base, sign)
        if "npv" not in figure:
            one |= {"loss_frac": None, "loss_bounds_frac": None}
        sides.append(one)
        draws.append(
            pd.DataFrame(
                {
                    "side": name,
                    "draw": np.arange(1, N + 1),
                    SOLD: sold,
                    PRICE: price,
                    CHIP: chips if name == "plan" else None,
                    figure: values,
                }
            ).assign(pue=1.25, payback_years=np.nan)
        )
        for kpi, of, its in ((figure, known, unit), ("pue", np.full(N, 1.25), "1")):
            ends = {f"{level}_{end}": of.min() for level in LEVELS for end in ("low", "high")}
            percentiles.append(
                {"side": name, "kpi": kpi, "unit": its, "single": single if name == "plan" else np.nan}
                | {"draws": len(of), "undefined": N - len(of), "mean": of.mean(), "sd": of.std()}
                | {level: np.quantile(of, at) for level, at in LEVELS.items()}
                | ends
                | {"reason": "it has no revenue" if len(of) < N else ""}
            )
        for n in (16, 32, 64):
            part = values[:n][~np.isnan(values[:n])]
            p10, p50, p90 = np.quantile(part, (0.1, 0.5, 0.9))
            convergence.append({"side": name, "draws": n, "mean": part.mean(), "p10": p10, "p50": p50, "p90": p90})
        path = np.where(
            np.arange(24) < 12, -1e6 * np.arange(1, 25), -12e6 + (2e6 if turns else 5e5) * np.arange(-11, 13)
        )
        cash.append(
            pd.DataFrame({"side": name, "month": months, "mean_usd": np.diff(path, prepend=0.0)}).assign(
                cumulative_p10_usd=path - 1e6, cumulative_p50_usd=path, cumulative_p90_usd=path + 1e6
            )
        )
    best = np.fmax.reduce([sign * values for values in results.values()])
    if shifts:
        for one in sides:
            one["regret"] = float(np.nanmean(best - sign * results[one["name"]]))
    ends = {SOLD: (0.55, 0.95), PRICE: (9.4e4, 1.26e5)}
    tornado = []
    for kpi, of in ((figure, value), ("capex_usd", lambda sold, price: 40.0 * price), ("pue", lambda *_: 1.25)):
        for name, (low, high) in ends.items():
            at = [float(of(*{**SINGLE, name: end}.values())) for end in (low, high)]
            row = {"kpi": kpi, "unit": KPIS[kpi].unit, "base": float(of(*SINGLE.values())), "input": name}
            row |= {"low_value": f"{low:.6g}", "high_value": f"{high:.6g}", "at_low": at[0], "at_high": at[1]}
            tornado.append({**row, "swing": abs(at[1] - at[0])})
        row = {"kpi": kpi, "unit": KPIS[kpi].unit, "base": float(of(*SINGLE.values())), "input": CHIP}
        row |= {"low_value": "h100", "high_value": "an-accelerator-with-a-long-name", "at_low": row["base"]}
        row |= {"at_high": row["base"] * chip if kpi == figure else row["base"]}
        tornado.append({**row, "swing": abs(row["at_high"] - row["at_low"])})
    spider = [
        {"input": name, "change_frac": change, "value": at * (1 + change)}
        | {"result": float(value(*{**SINGLE, name: at * (1 + change)}.values()))}
        for name, at in SINGLE.items()
        for change in (-0.3, -0.2, -0.1, 0.1, 0.2, 0.3)
        if change <= 0.2 or name == PRICE
    ]
    first, second = (grid.ravel() for grid in np.meshgrid(np.linspace(0.5, 1.0, 11), np.linspace(9e4, 1.3e5, 11)))
    heat = pd.DataFrame({"first_value": first, "second_value": second, "value": value(first, second) + 0.0 * first})
    shares = [
        {"input": name, "first_frac": 0.6, "first_error": 0.1, "total_frac": 0.7, "total_error": 0.1} for name in ends
    ]
    written = {
        "draws": pd.concat(draws, ignore_index=True),
        "percentiles": pd.DataFrame(percentiles),
        "convergence": pd.DataFrame(convergence),
        "tornado": pd.DataFrame(tornado)[: None if one_way else 0],
        "spider": pd.DataFrame(spider)[: None if one_way else 0],
        "heat": heat[: None if one_way else 0],
        "sobol": pd.DataFrame(shares)[: None if sobol else 0],
        "cash": pd.concat(cash, ignore_index=True),
    }
    for name, table in written.items():
        table.to_parquet(folder / f"{name}.parquet")
    told = [
        {
            "name": name,
            "distribution": stated,
            "single": at,
            "p10": low,
            "p50": at,
            "p90": high,
            "simulated": name == CHIP,
            "kind": "choice" if name == CHIP else "number",
            "rank_correlation": r,
            "sobol": None,
        }
        for name, stated, at, low, high, r in (
            (SOLD, {"distribution": "uniform", "low": 0.5, "high": 1.0}, 0.8, 0.55, 0.95, 0.9),
            (
                PRICE,
                {"distribution": "pert", "low": 9e4, "mode": 1e5, "high": 1.3e5, "weight": 4.0},
                1.1e5,
                9.4e4,
                1.26e5,
                -0.2,
            ),
            (
                CHIP,
                {"distribution": "choice", "values": ["h100", "x"], "weights": [3.0, 1.0]},
                "h100",
                "h100",
                "h100",
                0.0,
            ),
        )
    ]
    said = {
        "recommendation": ["Take what is best.", "More about it."],
        "figure": {"name": figure, "meaning": KPIS[figure].definition, "unit": unit, "better": better},
        "plan": "plan",
        "draws": N,
        "method": "latin",
        "seed": 7,
        "valued": "2026-11-01" if shifts else None,
        "best": max(sides, key=lambda one: sign * one["mean"])["name"],
        "sides": sides,
        "inputs": told,
        "correlations": [{"between": [SOLD, PRICE], "r": -0.4}],
        "heat": {"first": SOLD, "second": PRICE} if one_way else None,
        "notes": ["A note."],
        "undefined": [{"side": "plan", "kpi": "payback_years", "draws": 7, "reason": "it never pays back"}],
        "percentile_runs": {"p50": {"draw": 3, figure: float(np.nanmedian(base)), "folder": "runs/plan-00000000"}},
    }
    (folder / "uncertainty.json").write_text(json.dumps(said))
    return folder


def outside_scripts(folder):
    return re.sub(r"<script.*?</script>", "", uncertainty.html(folder), flags=re.S)


def titles(folder):
    return re.findall(r"<h2>(.*?)</h2>", outside_scripts(folder))


COST = {"figure": "cost_usd_per_gpu_h", "value": lambda s, p: 2.0 / s + p / 1e5, "better": "less"}
CASES = {
    "plan alone": {},
    "alternatives": {"shifts": (1e6, -2e6), "sobol": True},
    "many alternatives": {"shifts": tuple(1e5 * i for i in range(-6, 6))},
    "a cost": COST,
    "costs": {
        "figure": "cost_usd_per_gpu_h",
        "value": lambda s, p: 2.0 / s + p / 1e5,
        "shifts": (-0.3,),
        "better": "less",
    },
    "nothing one way": {"one_way": False},
    "constant": {"value": lambda s, p: -3e6, "chip": 1.0},
    "constant difference of nothing": {"shifts": (0.0,)},
    "undefined draws": {"undefined": 9, "shifts": (1e6,)},
}


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    return request.param, write(tmp_path / "study", **CASES[request.param])


def test_the_same_tables_give_the_same_page(case):
    _, folder = case
    uncertainty.write(folder)
    assert (folder / "uncertainty.html").read_text(encoding="utf-8") == uncertainty.html(folder)


def test_what_is_missing_is_no_word_on_the_page(case):
    _, folder = case
    page = outside_scripts(folder)
    assert not re.findall(r"\bnan\b|\bNaN\b|\bNone\b|\binf\b", page)
    assert not re.findall(r'src="http|<link[^>]+http', page)


def test_sections_are_those_that_the_study_has(case):
    name, folder = case
    page = uncertainty.html(folder)
    plots = set(re.findall(r'id="chart-([\w-]+)"', page))
    assert {"distribution", "convergence", "cash-0"} <= plots
    moves = name not in ("nothing one way", "constant")
    assert ("tornado" in plots) == moves
    assert ("heat" in plots) == ("spider" in plots) == moves
    assert {"differences", "curves"} <= plots or "alternative" not in page
    assert ("sobol" in plots) == (name == "alternatives")
    identities = re.findall(r' id="([\w-]+)"', page)
    assert len(identities) == len(set(identities))
    assert "<h1>Take what is best.</h1>" in page


def test_every_axis_has_a_unit(case):
    _, folder = case
    study = read(folder)
    for chart in (spread.distribution(study), spread.differences(study), heat.heat(study)):
        if chart is None:
            continue
        axes = [*chart.figure.select_xaxes(), *chart.figure.select_yaxes()]
        found = [axis.title.text for axis in axes if axis.title.text]
        assert found
        assert all("[" in title for title in found)


def test_the_map_says_how_far_the_first_input_may_go(tmp_path):
    found = heat.heat(read(write(tmp_path)))
    assert found.finding == (
        "With hgx-h100-8.price_usd at 110,000, NPV is above 0 where sold_frac is above 0.75; 0.8 is its single value"
    )
    falling = write(tmp_path, value=lambda sold, price: -npv_usd(sold, price))
    assert "NPV is above 0 where sold_frac is below 0.75" in heat.heat(read(falling)).finding


def test_the_map_says_where_no_cell_earns_money(tmp_path):
    found = heat.heat(read(write(tmp_path, value=lambda sold, price: npv_usd(sold, price) - 1e7)))
    best = npv_usd(1.0, 9e4) - 1e7
    assert found.finding == (
        f"NPV is below 0 in every cell; at best {best / 1e6:.2f} M USD, at sold_frac 1 and hgx-h100-8.price_usd 90,000"
    )
    assert not any(trace.type == "contour" for trace in found.figure.data)


def test_the_map_of_a_cost_is_lined_where_it_is_as_at_the_single_values(tmp_path):
    found = heat.heat(read(write(tmp_path, **CASES["a cost"])))
    single = 2.0 / 0.8 + 1.1
    (line,) = (trace for trace in found.figure.data if trace.type == "contour")
    assert line.contours.start == pytest.approx(single)
    assert "0 in" not in found.finding


@pytest.mark.parametrize(("at", "near"), [(0.3, 0.0), (0.9, 1.0)])
def test_a_crossing_is_the_one_nearest_to_where_the_plan_stands(at, near):
    x = np.array([0.0, 0.6, 0.8, 1.0])
    assert heat.crossing(x, np.array([-1.0, 1.0, 1.0, -1.0]), near) == pytest.approx(at)
    assert heat.crossing(x, np.array([-1.0, -1.0, -2.0, np.nan]), near) is None


def test_titles_agree_with_the_tables(tmp_path):
    folder = write(tmp_path)
    said = json.loads((folder / "uncertainty.json").read_text())
    plan, page = said["sides"][0], titles(folder)
    assert f"NPV is below 0 in {plan['loss_frac']:.0%} of the draws" in page[0]
    assert f"P10 {plan['p10'] / 1e6:.2f}, P50 {plan['p50'] / 1e6:.2f}, P90 {plan['p90'] / 1e6:.2f} M USD" in page[0]
    assert any(
        title.startswith("sold_frac moves NPV most: -4.00 at its P10, 4.00 M USD at its P90; sold") for title in page
    )
    # A tenth of the share is worth 0.08 of 20 M USD.
    assert any(
        "A tenth of sold_frac moves NPV by 1.60 M USD" in title and "-6% brings it to 0" in title for title in page
    )
    assert any("Cumulative cash turns positive in 2028-04 at P50" in title for title in page)


def test_cash_that_never_comes_back_says_so(tmp_path):
    assert any(
        "cash does not turn positive at P50: -6.00 M USD in 2028-10" in of
        for of in titles(write(tmp_path, turns=False))
    )


def test_alternatives_are_told_with_their_paired_difference(tmp_path):
    folder = write(tmp_path, shifts=(1e6, -2e6))
    assert any(
        "alternative 1 is better than plan in 100% of the draws: +1.00 M USD on average" in of for of in titles(folder)
    )
    assert any(
        "alternative 1 is the best in every draw; alternative 2 is regretted most, 3.00 M USD" in of
        for of in titles(folder)
    )
    cards = tables.cards(read(folder))
    assert [card["text"].split(":")[0] for card in cards] == ["plan, the plan", "alternative 1", "alternative 2"]


def test_a_cost_is_best_where_it_is_least(tmp_path):
    folder = write(tmp_path, **CASES["costs"])
    assert any("alternative 1 has the lowest mean cost of a GPU-hour" in title for title in titles(folder))
    assert "chance of a loss" not in outside_scripts(folder)


def test_of_many_alternatives_charts_show_the_best(tmp_path):
    study = read(write(tmp_path, **CASES["many alternatives"]))
    assert [one["name"] for one in study.drawn][:2] == ["plan", "alternative 6"]
    assert len(study.drawn) == 8
    assert "The plan and the 7 best of 12 alternatives" in spread.distribution(study).reading
    assert len(tables.cards(study)) == 8
    assert all(len(row["cells"]) == 13 for row in tables.sides(study))


def test_bars_hold_every_draw_whatever_their_spread():
    rng = np.random.default_rng(1)
    for values in (
        rng.normal(size=1000),
        rng.lognormal(sigma=3.0, size=500),
        np.full(20, 3.0),
        np.repeat([1.0, 2.0], 9),
    ):
        edges = spread.bins(values)
        assert np.histogram(values, edges)[0].sum() == len(values)
        assert len(edges) - 1 <= spread.MOST_BINS


def test_names_are_as_short_as_they_can_be_told_apart():
    short = short_names(
        [PRICE, SOLD, "a.b.price_usd", "overrides.gpus.h100.price_usd", "facility.phases.0", "plan.seed"]
    )
    assert short[PRICE] == "hgx-h100-8.price_usd"
    assert short[SOLD] == "sold_frac"
    assert short["a.b.price_usd"] == "price_usd"
    assert short["facility.phases.0"] == "phases.0"
    assert short_names(["a.x.rate", "b.x.rate"]) == {"a.x.rate": "a.x.rate", "b.x.rate": "b.x.rate"}
    assert label("a_name_that_is_far_too_long").replace("<br>", "") == "a_name_that_is_far_too_long"


def test_the_full_name_of_an_input_is_in_its_table(tmp_path):
    page = outside_scripts(write(tmp_path)).replace("<wbr>", "")
    assert PRICE in page
    assert "PERT from 90,000 to 130,000, likeliest 100,000" in page
    assert "one of h100, x, weights 3, 1" in page


@pytest.mark.parametrize(
    ("name", "unit", "value", "text"),
    [
        ("npv_usd", "USD", -8.94e6, "-8.94 M USD"),
        ("npv_usd", "USD", -5e3, "-5,000 USD"),
        ("irr_frac", "1/year", 0.1234, "12.34 % a year"),
        ("gpu_goodput_frac", "1", 0.5, "50 %"),
        ("pue", "1", 1.23456, "1.235"),
        ("cost_usd_per_gpu_h", "USD/GPU-h", 5.0752, "5.075 USD/GPU-h"),
        ("npv_usd", "USD", None, "–"),
    ],
)
def test_figures_are_written_in_the_units_that_a_reader_uses(name, unit, value, text):
    assert measure(name, unit, [np.nan if value is None else value]).full(value) == text
