"""Fits of one kernel's times by the physics that the simulator calls: form, parameters, misses, each point left out."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from dcsim.physics.collectives import BUS_FACTOR, ramp_s, segments_s
from dcsim.physics.kernels import attention_s, gemm_s, passes_s

from .fit import Prior, log_fit
from .protocol import Point

Floats = NDArray[np.float64]
Columns = Mapping[str, Floats]
Values = Mapping[str, float]

# Steepness of a saturating collective; that of the published sweeps, where it was fitted, is near it.
RAMP_EXPONENT = 0.5
# Expected scatter of a session's medians about a curve, where the loss turns from quadratic to linear. [1]
NOISE = 0.05
# A parameter whose posterior is wider than this share of its prior is not told by the samples. [1]
LITTLE_TOLD = 0.7
# Difference of the criterion that is strong evidence for the better form (Kass and Raftery, 1995).
STRONG = 6.0
# Least points of a stretch of a segmented form.
LEAST_POINTS = 4
# A layer's element-wise passes with their backward cost 2.5 times those forward, see :func:`physics.training.step`.
LAYER_PASSES, LOGIT_B = 2.5, 10.0


@dataclass(frozen=True)
class Form:
    """A way in which a kernel's time depends on its size.

    Parameters
    ----------
    name : str
    count : int
        Free parameters.
    fit : callable
        Columns and times to values and the names of those that the times say little of.
    model : callable
        Values and columns to times. [s]
    """

    name: str
    count: int
    fit: Callable[[Columns, Floats], tuple[dict[str, float], frozenset[str]]]
    model: Callable[[Values, Columns], Floats]


@dataclass(frozen=True)
class Curve:
    """One form fitted to one set of times.

    Parameters
    ----------
    form : Form
    values : mapping of float
        Its parameters.
    measured_s, predicted_s, left_out_s : ndarray, shape (n,)
        Times, as the form gives them, and as it gives each when fitted without it; NaN where too few would be left.
    scores : mapping of float
        Bayesian information criterion of every form that was tried.
    untold : frozenset of str
        Parameters that the times say little of.
    """

    form: Form
    values: Values
    measured_s: Floats
    predicted_s: Floats
    left_out_s: Floats
    scores: Mapping[str, float]
    untold: frozenset[str]

    @property
    def max_rel_err(self) -> float:
        """Largest miss of a point. [1]"""
        return float(np.abs(self.predicted_s / self.measured_s - 1.0).max())


def columns(points: Sequence[Point]) -> dict[str, Floats]:
    """Numeric sizes of points by name, an array each."""
    names = [name for name, value in points[0].size.items() if isinstance(value, int | float)]
    return {name: np.array([float(point.size[name]) for point in points]) for name in names}


def _by_logs(
    name: str,
    priors: Callable[[Columns, Floats], Mapping[str, Prior]],
    model: Callable[[Values, Columns], Any],
    count: int,
) -> Form:
    """A form whose parameters are fitted by their logarithms; with few points only the first are free."""

    def fit(of: Columns, measured: Floats) -> tuple[dict[str, float], frozenset[str]]:
        known = priors(of, measured)
        base = {key: prior.median for key, prior in known.items()}
        free = dict(list(known.items())[: max(1, len(measured) // 2)])
        found = log_fit(lambda v: np.asarray(model({**base, **v}, of), dtype=float), measured, free, noise=NOISE)
        wide = np.sqrt(np.diag(found.covariance)) / np.array([prior.log_sd for prior in free.values()])
        untold = {key for key, share in zip(free, wide, strict=True) if share > LITTLE_TOLD} | (set(known) - set(free))
        return {**base, **found.values}, frozenset(untold)

    return Form(name, count, fit, lambda values, of: np.asarray(model(values, of), dtype=float))


def _gemm_priors(of: Columns, measured: Floats) -> dict[str, Prior]:
    rates = 2.0 * of["m"] * of["n"] * of["k"] / measured
    return {
        "flop_s": Prior(float(rates.max()), 0.7),
        "launch_s": Prior(float(measured.min()) / 3.0, 1.5),
        "half": Prior(0.05, 2.0),
    }


def _gemm(v: Values, of: Columns) -> Any:
    half = v["half"]
    return gemm_s(of["m"], of["n"], of["k"], v["flop_s"], half_m=half, half_n=half, half_k=half, launch_s=v["launch_s"])


GEMM = _by_logs("gemm", _gemm_priors, _gemm, 3)


def _cores(of: Columns) -> tuple[Floats, Floats]:
    """Scores and operations of attention cores, not causal. [1], [FLOP]"""
    scores = of["batch"] * of["heads"] * of["seq"] ** 2
    return scores, 4.0 * scores * of["head_dim"]


def _attention_priors(of: Columns, measured: Floats) -> dict[str, Prior]:
    scores, flop = _cores(of)
    return {
        "flop_s": Prior(float((flop / measured).max()), 1.0),
        "exp_per_s": Prior(float((scores / measured).max()), 1.0),
    }


def _attention(v: Values, of: Columns) -> Any:
    scores, flop = _cores(of)
    return attention_s(flop, scores, flop_s=v["flop_s"], exp_per_s=v["exp_per_s"])


ATTENTION = _by_logs("attention", _attention_priors, _attention, 2)


def moved(name: str, bytes_of: Callable[[Columns], Floats]) -> Form:
    """Form of a kernel that moves bytes at one bandwidth."""
    return _by_logs(
        name,
        lambda of, measured: {"b_s": Prior(float(np.max(bytes_of(of) / measured)), 0.7)},
        lambda v, of: passes_s(bytes_of(of), 1.0, v["b_s"], 1.0),
        1,
    )


COPY, TRIAD = moved("copy", lambda of: 2.0 * of["size_b"]), moved("triad", lambda of: 3.0 * of["size_b"])
FILE = moved("file", lambda of: of["size_b"])


def _collective_forms(factor: float, count: int) -> list[Form]:
    def priors(of: Columns, measured: Floats) -> dict[str, Prior]:
        return {
            "alpha_s": Prior(float(measured.min()), 1.0),
            "bus_b_s": Prior(float(np.max(factor * of["size_b"] / measured)), 0.7),
        }

    def ramp(v: Values, of: Columns) -> Any:
        return ramp_s(
            of["size_b"],
            factor,
            alpha_s=v["alpha_s"],
            bus_b_s=v["bus_b_s"],
            ramp_b=v.get("ramp_b", 0.0),
            exponent=RAMP_EXPONENT,
        )

    forms = [
        _by_logs("straight", priors, ramp, 2),
        _by_logs("saturating", lambda of, t: {**priors(of, t), "ramp_b": Prior(1e6, 2.0)}, ramp, 3),
        *(_segmented(factor, stretches) for stretches in (2, 3)),
    ]
    return [form for form in forms if form.count <= max(2, count // 2)]


def _segmented(factor: float, stretches: int) -> Form:
    """A line for each stretch of sizes, by relative least squares; cuts where the squares are least.

    Counting change points by more than one parameter each follows N. R. Zhang and D. O. Siegmund, "A modified Bayes
    information criterion with applications to the analysis of comparative genomic hybridization data," Biometrics 63
    (2007).
    """

    def line(size: Floats, measured: Floats) -> tuple[float, float, float]:
        found, rest = nnls(np.column_stack([1.0 / measured, factor * size / measured]), np.ones(len(size)))
        return float(max(found[0], 1e-12)), 1.0 / float(max(found[1], 1e-30)), float(rest) ** 2

    def fit(of: Columns, measured: Floats) -> tuple[dict[str, float], frozenset[str]]:
        order = np.argsort(of["size_b"])
        size, times = of["size_b"][order], measured[order]
        best: dict[str, float] = {}
        least = math.inf
        for cuts in combinations(range(LEAST_POINTS, len(size) - LEAST_POINTS + 1), stretches - 1):
            edges = [0, *cuts, len(size)]
            if min(np.diff(edges)) < LEAST_POINTS:
                continue
            lines = [line(size[a:b], times[a:b]) for a, b in pairwise(edges)]
            squares = sum(rest for _, _, rest in lines)
            if squares < least:
                least = squares
                best = {"alpha_s": lines[0][0], "bus_b_s": lines[-1][1]}
                best |= {f"cut_{i}_b": float(size[cut]) for i, cut in enumerate(cuts)}
                best |= {f"alpha_{i}_s": one[0] for i, one in enumerate(lines)}
                best |= {f"bus_{i}_b_s": one[1] for i, one in enumerate(lines)}
        return best, frozenset()

    def model(v: Values, of: Columns) -> Floats:
        if not v:  # too few points for so many stretches
            return np.full(len(of["size_b"]), np.nan)
        return np.asarray(
            segments_s(
                of["size_b"],
                factor,
                cuts_b=[v[f"cut_{i}_b"] for i in range(stretches - 1)],
                alpha_s=[v[f"alpha_{i}_s"] for i in range(stretches)],
                bus_b_s=[v[f"bus_{i}_b_s"] for i in range(stretches)],
            )
        )

    # A cut is chosen among all sizes, so it counts twice: once would prefer segments of mere noise.
    return Form(f"{stretches} segments", 4 * stretches - 2, fit, model)


def forms_of(points: Sequence[Point]) -> list[Form]:
    """Forms that a kernel's times may take; more than one for collectives, where the criterion decides."""
    kernel = points[0].kernel
    if kernel in BUS_FACTOR:
        return _collective_forms(float(BUS_FACTOR[kernel](float(points[0].size["ranks"]))), len(points))
    known = {"gemm": GEMM, "attention": ATTENTION, "copy": COPY, "triad": TRIAD}
    return [known.get(kernel, FILE)]


def curve(points: Sequence[Point], times_s: Sequence[float] | None = None, *, left_out: bool = True) -> Curve:
    """Fit a kernel's times; of several forms the simplest whose Bayesian information criterion is near the least.

    Parameters
    ----------
    points : sequence of Point
        Of one kernel, at least one.
    times_s : sequence of float
        Times in the place of the points' own medians. [s]
    left_out : bool
        Whether each point is predicted without itself too.
    """
    measured = np.array([point.median_s for point in points] if times_s is None else times_s, dtype=float)
    of = columns(points)
    fitted = {form.name: (form, form.fit(of, measured)) for form in forms_of(points)}
    scores = {name: _criterion(form, form.model(v, of), measured) for name, (form, (v, _)) in fitted.items()}
    least = min(scores.values())
    # Forms come from the simplest on; one that is nearly as likely as the best is kept.
    form, (values, untold) = fitted[next(name for name in fitted if scores[name] <= least + STRONG)]
    return Curve(
        form,
        values,
        measured,
        form.model(values, of),
        _left_out(form, of, measured) if left_out else np.full(len(measured), np.nan),
        scores,
        untold,
    )


def refit(of_all: Curve, points: Sequence[Point]) -> Values:
    """Parameters of one session in the form that was chosen for all."""
    return of_all.form.fit(columns(points), np.array([point.median_s for point in points]))[0]


def _criterion(form: Form, predicted: Floats, measured: Floats) -> float:
    """Bayesian information criterion; infinite where the form does not apply."""
    squares = float(np.sum(np.log(predicted / measured) ** 2)) if np.all(np.isfinite(predicted)) else math.inf
    n = len(measured)
    return n * math.log(max(squares, 1e-12) / n) + form.count * math.log(n) if math.isfinite(squares) else math.inf


def _left_out(form: Form, of: Columns, measured: Floats) -> Floats:
    """Every point as predicted by the fit without it."""
    out = np.full(len(measured), np.nan)
    if len(measured) - 1 < max(2, 2 * form.count):
        return out
    for i in range(len(measured)):
        keep = np.arange(len(measured)) != i
        values, _ = form.fit({name: column[keep] for name, column in of.items()}, measured[keep])
        out[i] = form.model(values, {name: column[i : i + 1] for name, column in of.items()})[0]
    return out
