"""The statement by month and the register of assets: sums of ledger rows and the depreciation of what they bought."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.assets import Asset
from dcsim.columns import REGISTER, STATEMENT
from dcsim.finance.financing import Financed, cash_for_debt_usd
from dcsim.finance.ledger import month_name, monthly_flows

Floats = NDArray[np.float64]


def statement(ledger: pd.DataFrame, found: Financed, gpus: Floats) -> pd.DataFrame:
    """Profit and loss, cash and debt by month from the first payment on.

    Parameters
    ----------
    ledger : DataFrame
        Every row.
    found : Financed
        Depreciation and the loan.
    gpus : ndarray, shape (n_plan_months,)
        Mean GPUs energised in each month of the plan, which is the tail of the statement.
    """
    first, n = found.first_month, len(found.book_depreciation_usd)

    def of(category: str, *starts: str) -> Floats:
        rows = ledger[ledger["category"] == category]
        if starts:
            rows = rows[rows["item"].str.startswith(starts)]
        return monthly_flows(rows, first, n)

    capex, opex, revenue, residual, tax = (of(one) for one in ("capex", "opex", "revenue", "residual", "tax"))
    saved = of("debt", "income tax")
    none = np.zeros(n)
    lent = found.loan
    operating = revenue + opex
    gain = found.gain_on_sale_usd
    # What is paid, less what is worn and what leaves the books with a sale: its price less the gain.
    book = np.cumsum(-capex - found.book_depreciation_usd - (residual - gain))
    interest = none if lent is None else -lent.interest_usd
    finance_costs = -found.expensed_usd
    table = {
        "month": [month_name(first + month) for month in range(n)],
        "gpus_energised": np.concatenate([np.zeros(n - len(gpus)), gpus]),
        "revenue_usd": revenue,
        "opex_usd": opex,
        "ebitda_usd": operating,
        "book_depreciation_usd": -found.book_depreciation_usd,
        "interest_usd": interest,
        "finance_costs_usd": finance_costs,
        "gain_on_sale_usd": gain,
        "tax_usd": tax + saved,
        "net_income_usd": operating - found.book_depreciation_usd + interest + finance_costs + gain + tax + saved,
        "capex_usd": capex,
        "residual_usd": residual,
        "cash_before_tax_usd": operating + capex + residual,
        "tax_unlevered_usd": tax,
        "cash_after_tax_usd": operating + capex + residual + tax,
        "debt_drawn_usd": of("debt", "loan drawn"),
        "debt_service_usd": none if lent is None else -lent.service_usd,
        "debt_balance_usd": none if lent is None else lent.balance_usd,
        "cash_for_debt_usd": cash_for_debt_usd(operating, found.tax, first),
        "cash_to_equity_usd": monthly_flows(ledger, first, n),
        "book_value_usd": book,
    }
    return pd.DataFrame({column.name: table[column.name] for column in STATEMENT})


def register(found: Financed) -> pd.DataFrame:
    """One row a purchase."""
    rows = []
    for one in found.register:
        purchase = one.purchase
        asset = purchase.asset
        rows.append(
            {
                "phase": asset.phase,
                "asset_class": asset.asset_class,
                "item": asset.item,
                "ledger_item": purchase.item,
                "renewal": purchase.renewal,
                "quantity": float(asset.quantity),
                "unit": asset.unit,
                "unit_price_usd": asset.unit_price_usd,
                "price_year": asset.price_year,
                "ordered": month_name(int(purchase.paid_in[0])),
                "delivered": month_name(purchase.delivered),
                "in_service": month_name(purchase.in_service),
                "retired": month_name(purchase.retired),
                "paid_usd": one.basis_usd,
                "sold_usd": one.sold_usd,
                "life_years": _finite(asset.life_years),
                "book_life_years": _finite(asset.accounts.book_life_years),
                "macrs_years": asset.accounts.macrs_years,
                "value_kept_frac_per_year": _kept(asset),
                "source": asset.source,
            }
        )
    table = pd.DataFrame(rows, columns=[column.name for column in REGISTER])
    return table.astype(
        {"price_year": "Int64", "life_years": float, "book_life_years": float, "value_kept_frac_per_year": float}
    )


def _kept(asset: Asset) -> float | None:
    if not asset.hardware:
        return None
    return 1.0 if asset.value_decay_frac is None else asset.value_decay_frac


def _finite(years: float) -> float | None:
    return None if np.isinf(years) else years
