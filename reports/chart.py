"""What a chart is: a figure with its finding, in colours that all readers tell apart."""

from dataclasses import dataclass

import plotly.graph_objects as go

# Okabe and Ito's colours, told apart by colour-blind readers and legible on light and dark grounds.
BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY, RED, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D8C400",
    "#56B4E9",
    "#D55E00",
    "#8A8A8A",
)


@dataclass(frozen=True)
class Chart:
    """A figure, its finding, and what it shows in one sentence."""

    finding: str
    figure: go.Figure
    reading: str
