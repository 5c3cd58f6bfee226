"""Figures of the market: what a GPU-hour costs its owner, power at the meter a GPU, and capital a gigawatt."""

from collections.abc import Callable, Mapping, Sequence

from dcsim.registry import lookup
from dcsim.validate.common import Case, Figure, Kind, NotPredicted, Part, Prediction, compared
from dcsim.validate.owner_cost import RATED, SITE_MW, energy_price, owner, owner_cost, shares, site

HOUR, POWER, CAPEX = "owner_usd_per_gpu_h", "utility_kw_per_gpu", "capex_usd_per_gw"
W_PER_GW = 1e9
OWNERS = ("hyperscaler", "neocloud")
# Servers whose shares of the cost are printed.
EXAMPLE, CAPITAL_OF = "hgx-h100-8", "gb200-nvl72"
# Shares of capital that Bernstein gives with its sum, October 2025.
BERNSTEIN = "GPUs 39, networking 13, CPUs 3, storage 1 to 1.5, mechanical and electrical about 33"
NAMEPLATE = f"rated power, as the published one; site of {SITE_MW:g} MW; mean of a weather year"


def _given(case: Case, column: str) -> str:
    text = case.get(column, "")
    if not text:
        raise NotPredicted(f"{column} is not given")
    return text


def _hour(case: Case) -> Figure:
    cost = owner_cost(_given(case, "server"), _given(case, "owner"))
    return Figure(cost.usd_per_gpu_h, "every hour owned, sold or not; measured peak power all hours")


def _power(case: Case) -> Figure:
    return Figure(site(_given(case, "server"), RATED).kw_per_gpu, NAMEPLATE)


def _capex(case: Case) -> Figure:
    built = site(_given(case, "server"), RATED)
    return Figure(
        sum(built.capex_usd().values()) / built.facility.final.facility_design_w * W_PER_GW,
        "a gigawatt at the meter in the design hour, rated power",
    )


FIGURES: dict[str, Callable[[Case], Figure]] = {HOUR: _hour, POWER: _power, CAPEX: _capex}


def predict(case: Case) -> Mapping[str, Prediction]:
    """The figure that a case asks for, from the catalog and a built site."""
    return {"published": lookup(FIGURES, case["figure"], "figure")(case)}


def _of(figure: str, cases: Sequence[Case]) -> list[tuple[Case, float, float]]:
    """Cases of a figure that are predicted, with prediction and error. [1], [%]"""
    return [
        (case, float(row["predicted"]), float(row["error_pct"]))
        for case in cases
        if case.get("figure") == figure
        for row in compared(MARKET, case, "")
        if row["error_pct"] is not None
    ]


def findings(cases: Sequence[Case]) -> list[str]:
    """What stands behind each gap."""
    hours, powers, capital = (_of(figure, cases) for figure in FIGURES)
    found = [_of_owner(name, hours) for name in dict.fromkeys(case["owner"] for case, _, _ in hours)]
    if powers:
        listed = ", ".join(
            f"{case['server']} {predicted:.2f} ({error:+.1f} %; PUE {site(case['server'], RATED).pue:.2f}; "
            f"{site(case['server'], RATED).design_kw_per_gpu:.2f} in the design hour)"
            for case, predicted, error in powers
        )
        found.append(f"kW at the meter a GPU with support, network and the PUE of our own plants: {listed}")
    for case, predicted, error in capital:
        found.append(
            f"capital a GW of {case['server']}: {predicted / 1e9:.1f} billion USD ({error:+.1f} %); shares in %: "
            f"{shares(site(case['server'], RATED).capex_usd())}; published: {BERNSTEIN}"
        )
    return found


def _of_owner(name: str, hours: Sequence[tuple[Case, float, float]]) -> str:
    """An owner's GPU-hours, and what they would cost at the catalog's usual price of the server."""
    own = [hour for hour in hours if hour[0]["owner"] == name]
    listed = []
    for case, predicted, error in own:
        usual = owner_cost(case["server"], name, own_price=False).usd_per_gpu_h
        change = 100.0 * (usual / predicted * (1.0 + error / 100.0) - 1.0)
        other = "" if usual == predicted else f"; {usual:.2f} or {change:+.0f} % at the catalog's list price"
        listed.append(f"{case['server']} {predicted:.2f} ({error:+.0f} %{other})")
    return f"a GPU-hour of a {name}, USD: {', '.join(listed)}"


def assumptions() -> list[str]:
    """What stands behind each gap: the same for every case of an owner."""
    found = []
    for name in OWNERS:
        of = owner(name)
        found.append(
            f"a GPU-hour of a {name} assumes servers written off over {of.life_years:g} years at "
            f"{100 * of.wacc_frac:.1f} % a year, their residual by market decay, prices of 2024 and 2025, buildings "
            f"and plant owned too, staff by the megawatt, no property tax, energy at {energy_price():.3f} USD/kWh, "
            f"every hour counted; shares of {EXAMPLE} in %: {shares(owner_cost(EXAMPLE, name).components)}"
        )
    found.append(
        "what a hyperscaler pays for servers is by the firm whose costs of a GPU-hour these are; at the catalog's list "
        "price its H100 is beyond a quarter"
    )
    built = site(CAPITAL_OF, RATED)
    found.append(
        f"capital of {CAPITAL_OF}: buildings, plant and land together {100.0 * built.built_frac:.0f} %, where about a "
        "third is published as mechanical and electrical"
    )
    return found


MARKET = Kind(
    ("figure", "server", "owner"),
    {"published": "USD"},
    predict,
    lambda case: False,
    "figures of the market: owner's cost of a GPU-hour, power a GPU, capital a gigawatt",
)


def _part(name: str, meaning: str, figure: str) -> Part:
    return Part(name, meaning, lambda case: case.get("figure") == figure)


PARTS = (
    _part("owner's cost of a GPU-hour", "from the catalog's prices, lives and costs of capital, none fitted", HOUR),
    _part("power at the meter a GPU", "a built site at rated power", POWER),
    _part("capital a gigawatt", "bill of materials of a built site", CAPEX),
)
