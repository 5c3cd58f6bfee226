"""Least-squares Monte Carlo: the value of the right to act once, at the best of several dates."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcsim.errors import RangeError

Floats = NDArray[np.float64]

# Rows a regression needs for each of its columns; with fewer it is a mean.
ROWS_PER_COLUMN = 10
NEVER = -1


@dataclass(frozen=True)
class Exercised:
    """Value at date 0 of the right to act, its standard error, and the date at which each path acts, -1 for never."""

    value: float
    error: float
    date: NDArray[np.int64]

    @property
    def exercised_frac(self) -> float:
        """Share of paths that act at all."""
        return float((self.date != NEVER).mean())


def exercised(gains: Floats, states: Floats, step_factor: float, *, known: bool, degree: int = 3) -> Exercised:
    r"""Value of the right to act once.

    Parameters
    ----------
    gains : ndarray, shape (n_paths, n_dates)
        What acting at a date adds, valued at that date, as it turns out on each path. Paths 2i and 2i+1 may be
        antithetic; the error counts each such pair once.
    states : ndarray, shape (n_paths, n_dates, n_states)
        What is known at each date.
    step_factor : float
        Present value of one dollar a date later.
    known : bool
        Whether the gain of acting is itself known at its date, as an option's payoff is; else it is expected from the
        states, as flows to come are.
    degree : int
        Greatest total power of the states in the regressions.

    Raises
    ------
    RangeError
        If the paths are no multiple of four, which two halves of pairs need, or arrays do not fit.

    Notes
    -----
    .. math:: V_k = \max(E[G_k | s_k], \, d \, E[V_{k+1} | s_k], \, 0)

    Expectations are least-squares fits [1]_. Fits of one half of the paths decide on the other half and the other way
    round, so no path decides by its own future and the value errs low.

    References
    ----------
    .. [1] F. Longstaff, E. Schwartz, "Valuing American options by simulation," Review of Financial Studies 14 (2001)
       113-147.
    """
    n_paths = len(gains)
    if n_paths < 4 or n_paths % 4 or states.shape[:2] != gains.shape:
        raise RangeError(
            f"an option needs a multiple of four paths and states at each date, got gains of {gains.shape} and states "
            f"of {states.shape}"
        )
    half = n_paths // 2
    value, date = np.empty(n_paths), np.empty(n_paths, dtype=np.int64)
    for fitted, decided in ((slice(None, half), slice(half, None)), (slice(half, None), slice(None, half))):
        value[decided], date[decided] = _decided(
            (gains[fitted], gains[decided]), (states[fitted], states[decided]), step_factor, known, degree
        )
    pairs = value.reshape(-1, 2).mean(axis=1)
    return Exercised(float(value.mean()), float(pairs.std(ddof=1) / np.sqrt(len(pairs))), date)


def _decided(
    gains: tuple[Floats, Floats], states: tuple[Floats, Floats], step_factor: float, known: bool, degree: int
) -> tuple[Floats, NDArray[np.int64]]:
    """Value and date of the second paths, decided by fits of the first."""
    worth = [np.zeros(len(of)) for of in gains]
    date = np.full(len(gains[1]), NEVER, dtype=np.int64)
    for k in range(gains[0].shape[1] - 1, -1, -1):
        gain, state = [of[:, k] for of in gains], [of[:, k] for of in states]
        worth = [step_factor * of for of in worth]
        if known:
            # Where the gain is below zero nothing is to be decided, and the fit is better without.
            of = gain[0] > 0
            acting, waiting = gain, [fit[:, 0] for fit in _fits(state[0][of], worth[0][of, None], state, degree)]
        else:
            fits = _fits(state[0], np.column_stack([gain[0], worth[0]]), state, degree)
            acting, waiting = [fit[:, 0] for fit in fits], [fit[:, 1] for fit in fits]
        acts = [a > np.maximum(w, 0.0) for a, w in zip(acting, waiting, strict=True)]
        worth = [np.where(a, g, w) for a, g, w in zip(acts, gain, worth, strict=True)]
        date[acts[1]] = k
    return worth[1], date


def _fits(x: Floats, y: Floats, at: list[Floats], degree: int) -> list[Floats]:
    """Least-squares fits of the columns of *y* by polynomials of *x*, at several states; 0 without anything to fit."""
    if not len(y):
        return [np.zeros((len(of), y.shape[1])) for of in at]
    middle, spread = x.mean(axis=0), x.std(axis=0)
    moves = np.flatnonzero(spread > 1e-12 * np.maximum(1.0, np.abs(middle)))
    if len(y) < ROWS_PER_COLUMN * math.comb(degree + len(moves), degree):
        degree = 0

    def basis(of: Floats) -> Floats:
        scaled = (of[:, moves] - middle[moves]) / spread[moves]
        last = [(0, np.ones(len(of)))]
        columns = [last[0][1]]
        for _ in range(degree):
            last = [(j, column * scaled[:, j]) for i, column in last for j in range(i, len(moves))]
            columns += [column for _, column in last]
        return np.array(columns).T

    rows = basis(x)
    # Scaled columns are tame enough for the normal equations, seven times as fast; the cut-off drops columns that
    # depend on each other, as powers of a state with two levels do.
    found = np.linalg.lstsq(rows.T @ rows, rows.T @ y, rcond=1e-12)[0]
    return [basis(of) @ found for of in at]
