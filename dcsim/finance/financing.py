"""Tax and debt over a plan: what the ledger's operating rows leave, as further rows of the ledger and a statement.

Conventions: income tax is computed by calendar year and paid in its last month within the plan; property follows MACRS,
what is not yet deducted is deducted in the year of its sale. Interest during construction and
the arrangement fee are expensed evenly over the term of the loan, in the books and in the tax return alike. Interest is
deducted without limit (26 U.S.C. 163(j) is not modelled), and there are no deferred taxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dcsim.errors import RangeError
from dcsim.finance.books import Books
from dcsim.finance.capital import Purchase, bought
from dcsim.finance.debt import Loan, capacity_usd, idc_usd, loan
from dcsim.finance.depreciation import tax_depreciation_usd, worn_frac
from dcsim.finance.ledger import Entry, Rows, month_number, rows
from dcsim.finance.tax import taxed_income_usd
from dcsim.model.financing import Debt
from dcsim.steps import sum_by

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bought:
    """A purchase with what was paid for it, and what it is sold for when it is replaced or the plan ends. [USD]"""

    purchase: Purchase
    basis_usd: float
    sold_usd: float


@dataclass(frozen=True)
class TaxReturn:
    """Arrays by calendar year of the plan, shape (n_years,). [USD]

    ``gains_usd`` are prices of sales over what was not yet deducted of what is sold. ``income_usd`` is taxable before
    earlier losses, ``taxed_usd`` after them; both before interest, and with it.
    """

    first_year: int
    rate_frac: float
    bonus_frac: float
    loss_limit_frac: float
    depreciation_usd: Floats
    gains_usd: Floats
    income_usd: Floats
    taxed_usd: Floats
    levered_income_usd: Floats
    levered_taxed_usd: Floats


@dataclass(frozen=True)
class Financed:
    """What was found beside the rows: months run from ``first_month``, arrays have the shape (n_months,).

    ``flows_usd`` is the cash flow by category, those of the further ``entries`` of tax and debt included.
    """

    first_month: int
    flows_usd: dict[str, Floats]
    register: tuple[Bought, ...]
    book_depreciation_usd: Floats
    gain_on_sale_usd: Floats
    expensed_usd: Floats
    loan: Loan | None
    loan_size_limit: str
    interest_from: int
    repaid_from: int
    n_payments: int
    tax: TaxReturn | None
    entries: tuple[Entry, ...]


def finance(books: Books, operating: Rows) -> Financed:
    """Work out depreciation, the loan and the tax of a plan.

    Parameters
    ----------
    books : Books
        The plan.
    operating : Rows
        Operating rows.

    Raises
    ------
    RangeError
        If a loan cannot be repaid from the cash flow.
    """
    first = int(operating.month.min(initial=books.months.start))
    n = books.months.stop - first
    flows = operating.by_month_usd(first, n)
    register = _register(books, operating)
    worn, gains = _booked(register, first, n)
    unlevered = _tax_return(books, first, flows, register)
    lent, limit, repaid_from, n_payments = _loan(books, first, flows, unlevered)
    expensed = np.zeros(n) if lent is None else _spread(lent, repaid_from, n_payments)
    tax = unlevered if lent is None else _with_interest(books, first, flows, unlevered, lent.interest_usd + expensed)
    entries = (*_tax_rows(tax, first, n), *_debt_rows(lent, first))
    financing = rows(entries).by_month_usd(first, n)
    interest_from = min(month_number(phase.energised) for phase in books.scenario.facility.phases)
    return Financed(
        first,
        {**flows, "tax": financing["tax"], "debt": financing["debt"]},
        register,
        worn,
        gains,
        expensed,
        lent,
        limit,
        interest_from,
        first + repaid_from,
        n_payments,
        tax,
        entries,
    )


def _register(books: Books, operating: Rows) -> tuple[Bought, ...]:
    """Purchases with what was paid and what they are sold for: an entry of each, in the order of the purchases."""
    paid, sold = operating.by_entry_usd("capex"), operating.by_entry_usd("residual")
    return tuple(Bought(one, -usd, got) for one, usd, got in zip(bought(books), paid, sold, strict=True))


def _booked(register: Sequence[Bought], first: int, n: int) -> tuple[Floats, Floats]:
    """Depreciation in the books of each month, and what sales bring over what the books still hold. [USD]"""
    purchases = [one.purchase for one in register]
    start = np.array([one.in_service - first for one in purchases], dtype=np.int64)[:, np.newaxis]
    end = np.array([one.retired - first for one in purchases], dtype=np.int64)[:, np.newaxis]
    life_years = np.array([one.asset.accounts.book_life_years for one in purchases])[:, np.newaxis]
    basis_usd = np.array([one.basis_usd for one in register])
    sold_usd = np.array([one.sold_usd for one in register])
    # Of each purchase at the start and the end of each month.
    age_months = np.clip(np.arange(n + 1), start, end) - start
    worn_usd = basis_usd[:, np.newaxis] * np.diff(worn_frac(age_months, life_years))
    gain_usd = sold_usd - (basis_usd - worn_usd.sum(axis=1))
    return worn_usd.sum(axis=0), sum_by(np.minimum(end[:, 0], n - 1), gain_usd, n)


def _tax_return(books: Books, first: int, flows: dict[str, Floats], register: Sequence[Bought]) -> TaxReturn | None:
    """The tax return as if there were no debt; None where the scenario states no tax."""
    stated = books.economics.tax
    if stated is None:
        return None

    def value(parameter: str, own: float | None) -> float:
        if own is None:
            return books.used.use("income tax", "taxes", stated.regime, parameter)
        return books.used.state("income tax", "taxes", stated.regime, parameter, own, "1")

    rate, limit = value("rate_frac", stated.rate_frac), value("loss_limit_frac", stated.loss_limit_frac)
    bonus = value("bonus_frac", stated.bonus_frac)
    before = _yearly(flows["revenue"] + flows["opex"], first)
    first_year, n_years = first // 12, len(before)
    deducted, gains = np.zeros(n_years), np.zeros(n_years)
    for one in register:
        purchase = one.purchase
        start, end = purchase.in_service // 12 - first_year, min(purchase.retired // 12 - first_year, n_years - 1)
        yearly = tax_depreciation_usd(one.basis_usd, purchase.asset.accounts.macrs_years, purchase.in_service, bonus)[
            : end + 1 - start
        ]
        deducted[start : start + len(yearly)] += yearly
        # What is left of the basis goes against the price of the sale, in its year.
        gains[end] += one.sold_usd - (one.basis_usd - float(yearly.sum()))
    income = before - deducted + gains
    taxed = taxed_income_usd(income, loss_limit_frac=limit, carry_forward=stated.losses == "carry_forward")
    return TaxReturn(first_year, rate, bonus, limit, deducted, gains, income, taxed, income, taxed)


def _with_interest(
    books: Books, first: int, flows: dict[str, Floats], tax: TaxReturn | None, interest_usd: Floats
) -> TaxReturn | None:
    """The same return with the interest of a loan, by month, deducted."""
    stated = books.economics.tax
    if tax is None or stated is None:
        return None
    before = _yearly(flows["revenue"] + flows["opex"] - interest_usd, first)
    income = before - tax.depreciation_usd + tax.gains_usd
    forward = stated.losses == "carry_forward"
    taxed = taxed_income_usd(income, loss_limit_frac=tax.loss_limit_frac, carry_forward=forward)
    return replace(tax, levered_income_usd=income, levered_taxed_usd=taxed)


def _yearly(monthly: Floats, first: int) -> Floats:
    """Sums by calendar year of a series that starts in the month *first*."""
    year = (first + np.arange(len(monthly))) // 12
    return sum_by(year - year[0], monthly, int(year[-1] - year[0]) + 1)


def cash_for_debt_usd(operating_usd: Floats, tax: TaxReturn | None, first: int) -> Floats:
    """Cash available for debt service by month: income less operating costs and tax without debt.

    Tax of a year is spread evenly over its months here, so that a payment in its shape is never missed in December.
    """
    if tax is None:
        return operating_usd
    index = (first + np.arange(len(operating_usd))) // 12 - tax.first_year
    return np.asarray(operating_usd - tax.rate_frac * (tax.taxed_usd / np.bincount(index))[index])


def _year_ends(first_year: int, n_years: int, first: int, n: int) -> list[int]:
    """Last month of each calendar year, as months from the first."""
    return [min((first_year + index) * 12 + 11 - first, n - 1) for index in range(n_years)]


def _loan(
    books: Books, first: int, flows: dict[str, Floats], tax: TaxReturn | None
) -> tuple[Loan | None, str, int, int]:
    """The loan, what limits it, the month of its first payment from the first month on, and its payments."""
    terms = books.economics.debt
    if terms is None or not (flows["capex"] < 0).any():
        return None, "", 0, 0
    energised = [month_number(phase.energised) - first for phase in books.scenario.facility.phases]
    repaid_from = max(energised) + 1
    n, n_payments = len(flows["capex"]), 12 * terms.term_years
    if repaid_from >= n:
        raise RangeError(
            "economics.debt: the last phase is energised in the plan's last month; a loan needs months to repay"
        )
    draws = _draws(terms, np.where(np.arange(n) < repaid_from, -flows["capex"], 0.0))
    cash = cash_for_debt_usd(flows["revenue"] + flows["opex"], tax, first)
    sculpted = terms.repayment == "sculpted"

    def lend(scale: float) -> Loan:
        return loan(
            draws * scale,
            rate_frac=terms.rate_frac,
            fee_frac=terms.fee_frac,
            interest_from=min(energised),
            repaid_from=repaid_from,
            n_payments=n_payments,
            shape_usd=cash if sculpted else None,
        )

    limit = f"{terms.ltv_frac:.0%} of the capital until the last phase is energised"
    if not sculpted:
        return lend(1.0), limit, repaid_from, n_payments
    most = capacity_usd(cash[repaid_from : repaid_from + n_payments], terms.rate_frac, terms.dscr)
    if most <= 0:
        raise RangeError(
            "economics.debt: no cash is left after operating costs and tax to repay a sculpted loan from; leave the "
            "debt out or change the plan"
        )
    owed = _owed(draws, terms.rate_frac, min(energised), repaid_from)
    if owed <= most:
        return lend(1.0), limit, repaid_from, n_payments
    return lend(most / owed), f"a debt service cover of {terms.dscr:g}", repaid_from, n_payments


def _draws(terms: Debt, capital_usd: Floats) -> Floats:
    """What the loan pays of the capital of each month."""
    if terms.draws == "pro_rata":
        return terms.ltv_frac * capital_usd
    equity = (1.0 - terms.ltv_frac) * float(capital_usd.sum())
    return np.diff(np.maximum(np.cumsum(capital_usd) - equity, 0.0), prepend=0.0)


def _owed(draws_usd: Floats, rate_frac: float, interest_from: int, repaid_from: int) -> float:
    """Balance at the first payment: draws, and the interest added before it is paid."""
    # Draws fall at month ends, as the rows of the ledger do.
    return float(draws_usd[:repaid_from].sum()) + idc_usd(draws_usd[:interest_from], rate_frac, drawn_at=1.0)


def _spread(lent: Loan, repaid_from: int, n_payments: int) -> Floats:
    """Interest during construction and the fee, evenly over the term; what is left of it in the last month. [USD]"""
    n = len(lent.balance_usd)
    total = float(lent.capitalised_usd.sum() + lent.fee_usd.sum())
    spread = np.where(
        (np.arange(n) >= repaid_from) & (np.arange(n) < repaid_from + n_payments), total / n_payments, 0.0
    )
    spread[-1] += total - spread.sum()
    return spread


def _tax_rows(tax: TaxReturn | None, first: int, n: int) -> list[Entry]:
    """Tax as if there were no debt, and what interest saves of it."""
    if tax is None:
        return []
    ends = _year_ends(tax.first_year, len(tax.taxed_usd), first, n)
    saved = tax.taxed_usd - tax.levered_taxed_usd
    found = []
    for index, end in enumerate(ends):
        month, item = first + end, f"income tax of {tax.first_year + index}"
        owed, less = float(tax.taxed_usd[index]), float(saved[index])
        found.append(Entry(month, "tax", item, "site", owed, "USD taxed", -tax.rate_frac, "scenario"))
        item = f"{item} saved by interest"
        found.append(Entry(month, "debt", item, "site", less, "USD taxed", tax.rate_frac, "scenario"))
    return found


def _debt_rows(lent: Loan | None, first: int) -> list[Entry]:
    """Rows of the loan; interest during construction is paid by a draw of its own, so both rows stand."""
    if lent is None:
        return []
    months = first + np.arange(len(lent.balance_usd))
    found = [
        Entry(months, "debt", item, "site", amounts, "USD", sign, "scenario")
        for item, amounts, sign in (
            ("loan drawn for capital", lent.drawn_usd, 1.0),
            ("loan drawn for interest during construction", lent.capitalised_usd, 1.0),
            ("interest during construction", lent.capitalised_usd, -1.0),
            ("arrangement fee", lent.fee_usd, -1.0),
            ("interest", lent.interest_usd, -1.0),
            ("principal", np.maximum(lent.principal_usd, 0.0), -1.0),
            # Where the shape of a sculpted loan pays less than the interest.
            ("interest added to the loan", np.maximum(-lent.principal_usd, 0.0), 1.0),
        )
    ]
    last = int(months[-1])
    found.append(Entry(last, "debt", "balance repaid at the end", "site", lent.balloon_usd, "USD", -1.0, "scenario"))
    return found
