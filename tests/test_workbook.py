"""The workbook is the engine: an independent spreadsheet engine recalculates it and gets the run's own figures."""

import math
import warnings

import formulas
import openpyxl
import pytest
from dcsim.reports import workbook
from dcsim.reports.workbook.book import column
from plans import small

from dcsim import pipeline, runs
from dcsim.finance import cashflow
from dcsim.finance.ledger import month_numbers
from dcsim.kpi_money import MONEY

pytestmark = pytest.mark.filterwarnings("ignore")

# Two phases that are ordered shortly before they stand, so that the sheets have few months.
QUICK = (
    "facility.phases[0].construction={order: 2026-10-01, delivery: 2026-11-01}",
    "facility.phases[0].hardware={order: 2026-11-01, delivery: 2026-12-01}",
    "facility.phases[1].construction={order: 2026-12-01, delivery: 2027-02-01}",
    "facility.phases[1].hardware={order: 2027-01-01, delivery: 2027-02-01}",
    "facility.phases[1].energised=2027-03-01",
)
ONE_PHASE = (
    "facility.phases=[{name: hall-1, utility_mw: 1.0, rack_slots: 40, energised: 2027-01-01, "
    "construction: {order: 2026-11-01, delivery: 2026-12-01}, hardware: {order: 2026-11-01, delivery: 2026-12-01}}]",
)
RENTAL = "economics.revenue={kind: rental, price_factors: {main: 5}, decline_frac_per_year: %s}"
FINANCED = (
    "economics.tax={bonus_frac: 0.1}",
    "economics.debt={ltv_frac: 0.5, rate_frac: 0.09, term_years: 1}",
    RENTAL % 0.3,
)
# Things bought twice, ordered before the last were delivered, in another currency, by draws; the site closes.
REPLACED = (
    "economics.assets=[{name: pump, asset_class: MEP, quantity: 3, unit_price: 1000, currency: EUR, price_year: 2025, "
    "order: 2026-08-01, delivery: 2026-12-01, draws: [0.2, 0.3, 0.5], energised: 2027-01-01, life_years: 0.25}, "
    "{name: disks, asset_class: storage, quantity: 2, unit_price: 5000, order: 2026-11-01, delivery: 2026-12-01, "
    "energised: 2027-02-01, life_years: 0.4}]",
    "economics.exchange_usd={EUR: 1.1}",
    "economics.exit=closed",
    "economics.valuation_date=2027-01-01",
)
OTHERS = {
    "colocation, sculpted debt, replacements": (
        *ONE_PHASE,
        *REPLACED,
        "economics.tenure={kind: colocation}",
        "economics.tax={}",
        "economics.debt={ltv_frac: 0.9, rate_frac: 0.08, term_years: 1, repayment: sculpted, draws: equity_first}",
        RENTAL % 0.1,
    ),
    "no tax, no debt, no rate of return": (
        *ONE_PHASE,
        "economics.tenure={kind: cloud}",
        "economics.revenue={kind: internal, usd_per_gpu_h: 0.1}",
    ),
}
SHEETS = [
    "Summary",
    "Inputs",
    "Lines",
    "Cash",
    "Register",
    "Depreciation",
    "Statement",
    "Tax",
    "Debt",
    "Annual",
    "Returns",
    "Rates",
    "Checks",
    "Assumptions",
    "Conventions",
]
CHANGES = {
    "rates and shares": (
        {
            "discount_rate": 0.13,
            "rate_energy": 0.07,
            "rate_opex": 0.06,
            "rate_construction": 0.09,
            "rate_revenue_h100_contract": -0.1,
            "tax_rate": 0.3,
            "bonus_frac": 0.6,
            "loss_limit_frac": 0.5,
            "ltv_frac": 0.65,
            "debt_rate": 0.11,
            "fee_frac": 0.03,
        },
        (
            "economics.discount_rate=0.13",
            "economics.energy_inflation_frac=0.07",
            "economics.opex_inflation_frac=0.06",
            "economics.construction_inflation_frac=0.09",
            RENTAL % 0.1,
            "economics.tax={bonus_frac: 0.6, rate_frac: 0.3, loss_limit_frac: 0.5}",
            "economics.debt={ltv_frac: 0.65, rate_frac: 0.11, term_years: 1, fee_frac: 0.03}",
        ),
    ),
    "terms and dollars": (
        {
            "repayment": "sculpted",
            "draws": "equity_first",
            "dscr": 1.5,
            "term_years": 2,
            "dollars": "real",
            "losses": "used_at_once",
            "equity_rate": 0.15,
        },
        (
            "economics.debt={ltv_frac: 0.5, rate_frac: 0.09, term_years: 2, repayment: sculpted, draws: equity_first, "
            "dscr: 1.5}",
            "economics.dollars=real",
            "economics.tax={bonus_frac: 0.1, losses: used_at_once}",
            "economics.equity_rate=0.15",
        ),
    ),
}


RATES = ("irr_roots", "irr_frac", "xirr_frac")


class Recalculated:
    """A workbook read by openpyxl, and calculated by another engine than the one that wrote it."""

    def __init__(self, path):
        self.name = path.name
        self.formulas, self.cached = openpyxl.load_workbook(path), openpyxl.load_workbook(path, data_only=True)
        self.names = [name for name in MONEY if name in self.formulas.defined_names]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model = formulas.ExcelModel().loads(str(path)).finish()
        self.solution = self.model.calculate()
        self.figures = self._figures(self.solution)

    def key(self, sheet, cell):
        return f"'[{self.name}]{sheet.upper()}'!{cell}"

    def named(self, name):
        sheet, cell = self.formulas.defined_names[name].attr_text.split("!")
        return self.key(sheet, cell.replace("$", ""))

    def value(self, sheet, cell):
        return _plain(self.solution[self.key(sheet, cell)].value[0, 0])

    def changed(self, inputs):
        """Key figures with other inputs."""
        given = {self.named(of): value for of, value in inputs.items()}
        return self._figures(self.model.calculate(inputs=given, outputs=[self.named(name) for name in self.names]))

    def _figures(self, solution):
        """Key figures that are named."""
        return {name: _plain(solution[self.named(name)].value[0, 0]) for name in self.names}

    def cells(self):
        """Every formula: sheet, cell, formula, cached value."""
        for sheet in self.formulas:
            for row in sheet.iter_rows():
                for cell in row:
                    if cell.data_type == "f":
                        yield (
                            sheet.title,
                            cell.coordinate,
                            str(cell.value),
                            self.cached[sheet.title][cell.coordinate].value,
                        )


def _plain(value):
    return value if isinstance(value, str) else float(value)


def _written(folder, *sets):
    run = runs.read(pipeline.run(small(*sets), folder))
    path = folder / "book.xlsx"
    workbook.write(run, path)
    return run, path


def _agrees(value, expected, what):
    if isinstance(expected, str) or expected is None:
        assert value == (expected or ""), what
    else:
        # What is no more than a cent of millions is rounding.
        assert math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-4), f"{what}: {value} is not {expected}"


def _figures_agree(figures, kpis):
    """Every key figure that the run defines within 1e-9, every other one as a text that says so."""
    assert figures
    for name in MONEY:
        if kpis[name]["value"] is not None:
            assert math.isclose(figures[name], kpis[name]["value"], rel_tol=1e-9), name
        elif name in figures:
            assert str(figures[name]).startswith("undefined"), name


@pytest.fixture(scope="module")
def financed(tmp_path_factory):
    return _written(tmp_path_factory.mktemp("financed"), *QUICK, *FINANCED)


def test_the_same_run_gives_the_same_bytes(financed, tmp_path):
    run, path = financed
    workbook.write(runs.read(run.folder), tmp_path / "again.xlsx")
    assert (tmp_path / "again.xlsx").read_bytes() == path.read_bytes()
    assert [one.name for one in tmp_path.iterdir()] == ["again.xlsx"]


def sheets_and_names_are_there(financed, book):
    run, _ = financed
    assert book.formulas.sheetnames == SHEETS
    names = set(book.formulas.defined_names)
    assert {name for name in MONEY if run.kpis[name]["value"] is not None} <= names
    assert set(CHANGES["rates and shares"][0]) | set(CHANGES["terms and dollars"][0]) <= names


def cash_has_a_formula_for_every_line_and_month(financed, book):
    run, _ = financed
    cash, months = book.formulas["Cash"], len(run.statement)
    operating = run.ledger[run.ledger["category"].isin(("capex", "opex", "revenue", "residual"))]
    assert cash.max_row - 3 <= len(operating)
    for row in cash.iter_rows(min_row=4, min_col=11, max_col=10 + months):
        assert all(cell.data_type == "f" for cell in row)


def cached_values_are_those_that_another_engine_recalculates(financed, book):
    count = 0
    for sheet, cell, formula, cached in book.cells():
        assert not str(cached).startswith("#"), f"{sheet}!{cell} {formula}"
        _agrees(book.value(sheet, cell), cached, f"{sheet}!{cell} {formula}")
        count += 1
    assert count > 3000


def every_key_figure_is_the_run_s(financed, book):
    run, _ = financed
    _figures_agree(book.figures, run.kpis)
    assert book.value("Checks", "C3") == "all hold"


def key_figures_follow_inputs_as_the_engine_does(case, book, tmp_path):
    inputs, sets = CHANGES[case]
    assert len(inputs) >= 5
    run = runs.read(pipeline.run(small(*QUICK, *FINANCED, *sets), tmp_path))
    figures = book.changed(inputs)
    _figures_agree(figures, run.kpis)
    assert sum(figures[name] != book.figures[name] for name in figures) > 15


@pytest.mark.parametrize("case", OTHERS)
def test_other_plans_recalculate_too(case, tmp_path):
    run, path = _written(tmp_path, *OTHERS[case])
    book = Recalculated(path)
    assert book.formulas.sheetnames == SHEETS
    for sheet, cell, formula, cached in book.cells():
        _agrees(book.value(sheet, cell), cached, f"{sheet}!{cell} {formula}")
    _figures_agree(book.figures, run.kpis)
    assert book.value("Checks", "C3") == "all hold"
    if "no rate of return" in case:
        assert book.figures["irr_roots"] == 0
        assert book.figures["irr_frac"] == "undefined: 0 rates"


def test_figures_that_the_scenario_does_not_define_say_why(tmp_path):
    run, path = _written(tmp_path, *ONE_PHASE, "economics.revenue={kind: none}")
    summary = openpyxl.load_workbook(path, data_only=True)["Summary"]
    rows = {row[0].value: row for row in summary.iter_rows(min_row=5)}
    assert rows["cost_usd_per_gpu_h"][1].value == pytest.approx(run.kpis["cost_usd_per_gpu_h"]["value"], rel=1e-12)
    assert rows["npv_usd"][1].value == "undefined"
    assert "states no revenue" in rows["npv_usd"][3].value
    assert "states no debt" in rows["dscr_min"][3].value


def several_rates_of_return_are_counted_and_none_is_chosen(financed, book):
    months = len(financed[0].statement)
    # -100 (x - 1.1) (x - 1.2) over months has the monthly rates 10 % and 20 %.
    flows = [-100.0, 230.0, -132.0] + [0.0] * (months - 3)
    assert len(cashflow.irr(flows).roots) == 2
    inputs = {book.key("Returns", f"{column(month)}9"): flow for month, flow in enumerate(flows)}
    asked = [book.named(name) for name in RATES]
    solution = book.model.calculate(inputs=inputs, outputs=asked)
    found = {name: _plain(solution[key].value[0, 0]) for name, key in zip(RATES, asked, strict=True)}
    assert found == {"irr_roots": 2, "irr_frac": "undefined: 2 rates", "xirr_frac": "undefined: 2 rates"}


def test_every_price_follows_the_index_that_it_names(tmp_path):
    """Contract and spot on one path of prices fall at rates of their own."""
    spot = "spot: {share_frac: 0.5, price_path: h100-contract, decline_frac_per_year: 0.3}"
    sets = (f"economics.revenue={{kind: rental, decline_frac_per_year: 0.1, {spot}}}",)
    run = runs.read(pipeline.run(small(*ONE_PHASE, *sets), tmp_path))
    rows = run.ledger[run.ledger["index"] != ""]
    rate = rows["index"].map(run.findings["finance"]["indices"])
    growth = (1.0 + rate) ** (month_numbers(rows["month"]) / 12 - rows["index_year"])
    assert (rows["price_usd"] * growth).to_numpy() == pytest.approx(rows["unit_price_usd"].to_numpy(), rel=1e-12)
    assert {-0.1, -0.3} <= set(rate)


def a_broken_balance_shows(financed, book):
    all_hold = book.key("Checks", "C3")
    solution = book.model.calculate(inputs={book.key("Statement", "K17"): 1e6}, outputs=[all_hold])
    assert solution[all_hold].value[0, 0] != "all hold"


def test_the_workbook_is_the_engine(financed, tmp_path):
    """All that is asked of one workbook, in one test: another engine takes ten seconds to read it."""
    book = Recalculated(financed[1])
    for holds in (
        sheets_and_names_are_there,
        cash_has_a_formula_for_every_line_and_month,
        cached_values_are_those_that_another_engine_recalculates,
        every_key_figure_is_the_run_s,
        several_rates_of_return_are_counted_and_none_is_chosen,
        a_broken_balance_shows,
    ):
        holds(financed, book)
    for case in CHANGES:
        key_figures_follow_inputs_as_the_engine_does(case, book, tmp_path)
