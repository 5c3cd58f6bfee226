"""The assumptions with their sources and ranges, and the conventions, as text."""

import pandas as pd

from dcsim.runs import Run

from .book import Book

HEADS = ("used for", "table", "part", "parameter", "value", "unit", "year", "low", "high", "source", "note")


def write(book: Book, run: Run) -> None:
    """Write both sheets."""
    sheet = book.sheet(
        "Assumptions",
        "Every value used, with the range that its sources support",
        "'assumption' is judgement without a published source; change these in the scenario and run again",
    )
    sheet.head(3, HEADS)
    for index, one in enumerate(run.assumptions.to_dict("records")):
        row = 4 + index
        kind = "guess" if one["source"] == "assumption" else "text"
        for letter, name in zip("ABCD", ("used_for", "table", "key", "parameter"), strict=True):
            sheet.text(f"{letter}{row}", str(one[name]), kind)
        for letter, name in zip("EGHI", ("value", "price_year", "low", "high"), strict=True):
            if not pd.isna(one[name]):
                sheet.number(f"{letter}{row}", float(one[name]))
        for letter, name in zip("FJK", ("unit", "source", "note"), strict=True):
            sheet.text(f"{letter}{row}", str(one[name]), kind if letter == "J" else "soft")
    sheet.layout((30, 14, 24, 28, 14, 14, 8, 14, 14, 20, 80), freeze=(3, 1), months=None)
    sheet = book.sheet("Conventions", "How the figures are to be read")
    for index, sentence in enumerate(run.findings["conventions"]):
        sheet.text(f"A{3 + index}", sentence, "wrap")
    sheet.layout((140,), freeze=(2, 0), months=None)
