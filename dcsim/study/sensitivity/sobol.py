"""Sobol indices: the share of a result's variance that each input carries."""

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dcsim.errors import RangeError, UsageError
from dcsim.rng import stream
from dcsim.study.draws.sample import independent_shares
from dcsim.study.sensitivity.model import Model, Quantiles, evaluated


def _analysis() -> Any:
    """SALib's analysis, which comes with an extra since it brings a library of charts.

    Raises
    ------
    UsageError
        If it is not installed.
    """
    try:
        return importlib.import_module("SALib.analyze.sobol")
    except ImportError:
        raise UsageError("Sobol indices need SALib, which is not installed: pip install 'dcsim[sensitivity]'") from None


def sobol_indices(
    model: Model,
    inputs: Mapping[str, Quantiles],
    n: int,
    seed: int,
    *,
    confidence_frac: float = 0.95,
    resamples: int = 200,
) -> pd.DataFrame:
    r"""First-order and total indices of independent inputs, largest total first.

    Parameters
    ----------
    model : callable
        From columns by input, each of shape (m,), to results of shape (m,).
    inputs : mapping of str to Quantiles
        At least two uncertain inputs. Indices are those of independent ones: correlations have no place here.
    n : int
        Base points, a power of two; the model is evaluated for ``n (len(inputs) + 2)`` rows at once.
    seed : int
        Seed of the points and of the bootstrap.
    confidence_frac : float
        Level of the intervals. [1]
    resamples : int
        Bootstrap samples behind them.

    Returns
    -------
    DataFrame
        Columns ``input, first_frac, first_error, total_frac, total_error``; errors are half-widths of the intervals.

    Raises
    ------
    UsageError
        If there are fewer than two inputs.
    RangeError
        If *n* is no power of two, a result is not finite, or all are the same.

    Notes
    -----
    .. math:: S_i = V[E[Y | X_i]] / V[Y], \quad S_{Ti} = E[V[Y | X_{\sim i}]] / V[Y]

    References
    ----------
    .. [1] A. Saltelli et al., "Variance based sensitivity analysis of model output," Computer Physics Communications
       181 (2010) 259-270.
    .. [2] T. Iwanaga et al., "Toward SALib 2.0," Socio-Environmental Systems Modelling 4 (2022) 18155.
    """
    names = list(inputs)
    if len(names) < 2:
        raise UsageError(f"Sobol indices share a variance out among at least two uncertain inputs, got {len(names)}")
    drawn = independent_shares([f"{side}/{name}" for side in "ab" for name in names], n, seed, "sobol")
    a, b = (np.column_stack([drawn[f"{side}/{name}"] for name in names]) for side in "ab")
    # A block a base point, as SALib reads them: A, A with each column of B in turn, B.
    rows = np.repeat(a[:, None, :], len(names) + 2, axis=1)
    for i in range(len(names)):
        rows[:, 1 + i, i] = b[:, i]
    rows[:, -1, :] = b
    shares = rows.reshape(-1, len(names))
    results = evaluated(model, {name: inputs[name].ppf(shares[:, i]) for i, name in enumerate(names)})
    if np.ptp(results) == 0:
        raise RangeError(f"all {len(results)} results are {results[0]:g}: there is no variance to share out")
    found = _analysis().analyze(
        {"num_vars": len(names), "names": names, "bounds": [[0.0, 1.0]] * len(names)},
        results,
        calc_second_order=False,
        num_resamples=resamples,
        conf_level=confidence_frac,
        seed=int(stream(seed, "sobol/bootstrap").integers(2**31)),
    )
    columns = {"first_frac": "S1", "first_error": "S1_conf", "total_frac": "ST", "total_error": "ST_conf"}
    table = pd.DataFrame({"input": names, **{column: found[key] for column, key in columns.items()}})
    return table.sort_values("total_frac", ascending=False, kind="stable", ignore_index=True)
