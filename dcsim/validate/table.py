"""The accuracy table of the README, from the suites themselves."""

from collections.abc import Iterable
from typing import Any

from dcsim.validate.suites import SUITES

HEAD = "| `dcsim validate` | against | values | mean error % | median % | largest % | inside P10-P90 % |\n"
RULE = "|---|---|---|---|---|---|---|\n"


def markdown(results: Iterable[dict[str, Any]]) -> str:
    """Two tables: what anyone can run again, and what needs the reference data.

    A suite has a row for all its values, one for each of its parts, and one for each finding in words.
    """
    blocks: dict[bool, list[str]] = {False: [], True: []}
    for result in results:
        suite = SUITES[result["suite"]]
        sample = result["splits"]["in_sample"]["n"]
        note = f"; {sample} of {result['n']} in sample" if sample else ""
        blocks[suite.needs_data].append(_row(result["suite"], suite.meaning + note, result))
        blocks[suite.needs_data] += [
            _row("", f"{part['name']}, {part['meaning']}", part) for part in result["parts"] if not part["detail"]
        ]
        blocks[suite.needs_data] += [f"|  | {finding} |  |  |  |  |  |\n" for finding in result["findings"]]
    text = HEAD + RULE + "".join(blocks[False])
    if blocks[True]:
        text += "\n" + HEAD.replace("`dcsim validate`", "needs data") + RULE + "".join(blocks[True])
    return text


def _row(name: str, against: str, part: dict[str, Any]) -> str:
    missing = part["n"] - part["n_predicted"]
    values = f"{part['n']}" + (f" ({missing} not predicted)" if missing else "")
    inside = part["coverage"]["frac"]
    if part.get("n_banded"):
        against += f"; {100 * part['inside_frac']:.0f} % of {part['n_banded']} inside the published band"
    cells = [name, against, values, *(_percent(part[key]) for key in ("mape_pct", "median_pct", "max_pct"))]
    return f"| {' | '.join(cells)} | {'' if inside is None else f'{100 * inside:.0f}'} |\n"


def _percent(value: float | None) -> str:
    """A percentage to a tenth, or to two figures where it is smaller; rounding of the machine is no error."""
    if value is None:
        return "-"
    if 0 < value < 1e-6:
        return "< 1e-06"
    return f"{value:.1f}" if value >= 0.95 or value == 0 else f"{value:.2g}" if value >= 1e-3 else f"{value:.0e}"
