"""Published costs, energy and carbon of training runs, from the hardware and hours that are published with them."""

import datetime
from collections.abc import Mapping, Sequence

from dcsim.errors import RangeError
from dcsim.finance.ledger import Entry, ledger
from dcsim.finance.training_cost import TrainingRun, by_item_usd, training_costs
from dcsim.units import SECONDS_PER_HOUR, mwh_from_j
from dcsim.validate.common import Case, Figure, Kind, NotPredicted, Part, Prediction, compared, finite, number

NOMINAL, REAL = "published_nominal_usd", "published_dec2024_usd"
# Errors below it are agreement, and ratios so close to the price index's are that index. [%]
AGREES_PCT = 0.1
SHARES = {
    "chips": "share_chip",
    "servers": "share_server",
    "interconnect": "share_interconnect",
    "energy": "share_energy",
}
AMORTISED = "value lost an hour at the start of the run, and energy; no staff"


def _date(case: Case, column: str) -> datetime.date:
    text = case.get(column, "")
    if not text:
        raise NotPredicted(f"{column} is not given")
    try:
        return datetime.date.fromisoformat(text[:10])
    except ValueError:
        raise NotPredicted(f"{column} is no date as 2024-12-31: '{text}'") from None


def _hours(case: Case, total: str) -> float:
    """Hours of all chips: as stated, else chips times hours."""
    if case.get(total):
        return number(case, total)
    try:
        return number(case, "chips") * number(case, "hours")
    except NotPredicted as error:
        raise NotPredicted(f"{total} is not given, and {error}") from None


def training_run(case: Case) -> TrainingRun:
    """The run of a case.

    Raises
    ------
    NotPredicted
        If something that it needs is not given.
    """
    power_w = (
        number(case, "tdp_w") * number(case, "server_power_multiplier") * number(case, "avg_power_frac_of_server_tdp")
    )
    return TrainingRun(
        acquired=_date(case, "acq_date"),
        started=_date(case, "train_start"),
        chip_h=_hours(case, "chip_hours"),
        usd_per_chip=number(case, "price_per_chip_usd"),
        server_overhead=number(case, "server_overhead"),
        interconnect_frac=number(case, "interconnect_frac"),
        chip_power_w=power_w,
        pue=number(case, "pue"),
        usd_per_kwh=number(case, "electricity_usd_per_kwh"),
        decay_ooms_per_year=number(case, "price_perf_ooms_per_year"),
        hours_per_year=number(case, "hours_per_year"),
        source="case",
    )


def amortised(case: Case) -> Mapping[str, Prediction]:
    """Cost of hardware and energy in dollars of the run's year, and in those of December 2024. [USD]"""
    costs = by_item_usd(ledger(training_costs(training_run(case))))
    total = sum(costs.values())
    shares = dict(zip(SHARES.values(), _shares(costs).values(), strict=True))
    real: Prediction
    try:
        real = Figure(total * _index(case), AMORTISED, components=shares)
    except NotPredicted as error:
        real = error
    return {NOMINAL: Figure(total, AMORTISED, components=shares), REAL: real}


def _shares(costs: Mapping[str, float]) -> dict[str, float]:
    total = sum(costs.values())
    return {item: costs.get(item, 0.0) / total for item in SHARES}


def _index(case: Case) -> float:
    """Prices of December 2024 over those of the run's publication. [1]"""
    before = number(case, "ppi_pub")
    if before <= 0:
        raise NotPredicted(f"ppi_pub is not above 0: {before:g}")
    return number(case, "ppi_dec24") / before


def nominal_counts(case: Case, column: str) -> bool:
    """The nominal figure counts; that of December 2024 is the same, and counts where there is no nominal one."""
    known = finite(case.get(NOMINAL, "")) is not None
    return known or not case.get(REAL) if column == NOMINAL else not known


def undeflated(case: Case, column: str, predicted: float) -> str:
    """What to say of a published figure that misses the prediction by the price index alone; empty of any other."""
    published = finite(case[column])
    if not published or abs(100.0 * (predicted / published - 1.0)) <= AGREES_PCT:
        return ""
    try:
        index = _index(case)
    except NotPredicted:
        index = 1.0
    real = finite(case.get(REAL, ""))
    left = column == NOMINAL and real is not None and _same(predicted, real)
    if left or (index != 1.0 and any(_same(predicted / published, by) for by in (index, 1.0 / index))):
        return (
            "published un-deflated: the figure of December 2024 was left in dollars of the run's year, so the error is "
            f"that of the price index alone, ppi_dec24 / ppi_pub = {index:.5f}"
        )
    return ""


def _same(a: float, b: float) -> bool:
    return b > 0 and abs(100.0 * (a / b - 1.0)) <= AGREES_PCT


def energy(case: Case) -> Mapping[str, Prediction]:
    """Energy at the meter, its carbon, and the price of the hours at a rent. [MWh], [t], [USD]"""
    found: dict[str, Prediction] = {}
    for column, of in (("published_mwh", _mwh), ("published_tco2", _t_co2), ("published_usd", _rent_usd)):
        try:
            found[column] = of(case)
        except NotPredicted as error:
            found[column] = error
    return found


def _mwh(case: Case) -> float:
    power_w = number(case, "watts_per_gpu") * number(case, "pue")
    return float(mwh_from_j(power_w * _hours(case, "gpu_hours") * SECONDS_PER_HOUR))


def _t_co2(case: Case) -> float:
    # Kilograms a kilowatt-hour are tonnes a megawatt-hour.
    return _mwh(case) * number(case, "kgco2_per_kwh")


def _rent_usd(case: Case) -> float:
    hours, price = _hours(case, "gpu_hours"), number(case, "usd_per_gpu_hour")
    entry = Entry(
        month=0,
        category="opex",
        item="rent",
        phase="run",
        quantity=hours,
        unit="GPU h",
        price_usd=price,
        source="case",
    )
    return sum(by_item_usd(ledger([entry])).values())


def fitted(case: Case) -> bool:
    """Tell whether an input was inferred from the published figure, as the case's own remark says."""
    return any(word in case.get("status", "").lower() for word in ("fitted", "inferred"))


def findings(cases: Sequence[Case]) -> list[str]:
    """Shares of the cost, and published figures that were left un-deflated."""
    runs = [case for case in cases if "acq_date" in case]
    if not runs:
        return []
    found = []
    shares, off = [], []
    for case in runs:
        try:
            costs = by_item_usd(ledger(training_costs(training_run(case))))
        except (NotPredicted, RangeError, ArithmeticError):
            continue
        shares.append(_shares(costs))
        for item, column in SHARES.items():
            stated = finite(case.get(column, ""))
            if stated is not None:
                off.append(100.0 * abs(shares[-1][item] - stated))
    if shares:
        mean = {item: 100.0 * sum(of[item] for of in shares) / len(shares) for item in SHARES}
        listed = ", ".join(f"{item} {value:.1f}" for item, value in mean.items())
        most = f"; largest error of a published share {max(off):.3f} points of {len(off)}" if off else ""
        found.append(f"training runs, mean shares of the cost in %: {listed}{most}")
    rows = [row for case in runs for row in compared(EPOCH, case, "")]
    told = [row for row in rows if row.get("reason", "").startswith("published un-deflated")]
    rest = [abs(row["error_pct"]) for row in rows if row["error_pct"] is not None and row not in told]
    most = f"; largest error of the other {len(rest)}: {max(rest):.2g} %" if rest else ""
    found.append(f"training runs published un-deflated: {len(told)} of {len(rows)}{most}")
    return found


EPOCH = Kind(
    (
        "acq_date",
        "train_start",
        "price_per_chip_usd",
        "price_perf_ooms_per_year",
        "hours_per_year",
        "server_overhead",
        "interconnect_frac",
        "tdp_w",
        "server_power_multiplier",
        "avg_power_frac_of_server_tdp",
        "pue",
        "electricity_usd_per_kwh",
    ),
    {NOMINAL: "USD", REAL: "USD of 2024-12"},
    amortised,
    lambda case: False,
    "amortised hardware and energy of training runs",
    optional=("chip_hours", "chips", "hours", "ppi_pub", "ppi_dec24"),
    counts=nominal_counts,
    remark=undeflated,
)
ENERGY = Kind(
    ("watts_per_gpu", "pue"),
    {"published_mwh": "MWh", "published_tco2": "t", "published_usd": "USD"},
    energy,
    fitted,
    "energy, carbon and rent of training runs",
    optional=("gpu_hours", "chips", "hours", "kgco2_per_kwh", "usd_per_gpu_hour", "status"),
)


def _energy(case: Case) -> bool:
    return "watts_per_gpu" in case


PARTS = (
    Part("Epoch AI, training runs", "hardware by lost value, and energy", lambda case: "acq_date" in case),
    Part("training runs, energy", "hours, power and PUE as published", _energy, answer="published_mwh"),
    Part("training runs, carbon", "that energy by a factor, in part inferred", _energy, answer="published_tco2"),
    Part("training runs, rent", "hours at a price", _energy, answer="published_usd"),
)
