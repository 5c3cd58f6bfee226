"""Fit of a model's parameters to measurements: log residuals, log-normal priors, bounds, a robust loss."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from dcsim.errors import RangeError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """What is known of a parameter before measuring: a log-normal of this median and standard deviation, and a cap."""

    median: float
    log_sd: float
    cap: float = np.inf


@dataclass(frozen=True)
class Fit:
    """Fitted values with their covariance in logarithms, and how far measurements scatter about the model.

    Parameters
    ----------
    values : dict of float
        By name, those of the priors' units.
    covariance : ndarray, shape (k, k)
        Of the logarithms of the values, in their order. [1]
    scatter : float
        Standard deviation of the logarithm of measured over modelled. [1]
    condition : float
        Condition number of the Jacobian of the residuals; large where parameters cannot be told apart. [1]
    at_cap : tuple of str
        Parameters that lie on their cap.
    """

    values: dict[str, float]
    covariance: Floats
    scatter: float
    condition: float
    at_cap: tuple[str, ...]


def log_fit(
    model: Callable[[Mapping[str, float]], Floats],
    measured: Sequence[float] | Floats,
    priors: Mapping[str, Prior],
    *,
    noise: float,
) -> Fit:
    r"""Fit parameters by their logarithms.

    Parameters
    ----------
    model : callable
        Values by name to modelled figures, shape (n,), all above 0.
    measured : array_like, shape (n,)
        Figures above 0, of the model's unit.
    priors : mapping of Prior
        Parameters to fit.
    noise : float
        Expected standard deviation of a log residual; the loss is quadratic below it and linear above. [1]

    Raises
    ------
    RangeError
        If there are more parameters than half the measurements: then each prior decides more than the data.

    Notes
    -----
    Minimises, with residual :math:`r_i = \ln(y_i / \hat y_i) / \sigma`,

    .. math:: \sum_i 2 \left(\sqrt{1 + r_i^2} - 1\right) + \sum_k \left(\frac{\ln \theta_k - \ln \mu_k}{s_k}\right)^2

    The covariance is the inverse of the Gauss-Newton Hessian, scaled by the scatter where that exceeds the expected
    noise.
    """
    y = np.asarray(measured, dtype=float)
    names = list(priors)
    if len(names) > max(1, len(y) // 2):
        raise RangeError(f"{len(names)} free parameters need {2 * len(names)} measurements, got {len(y)}")
    median = np.log([priors[name].median for name in names])
    log_sd = np.array([priors[name].log_sd for name in names])
    cap = np.log([priors[name].cap for name in names])

    def log_ratio(x: Floats) -> Floats:
        ratio: Floats = np.log(model(dict(zip(names, np.exp(x), strict=True))) / y)
        return ratio

    def residuals(x: Floats) -> Floats:
        r = log_ratio(x) / noise
        return np.concatenate([np.sign(r) * np.sqrt(2.0 * (np.sqrt(1.0 + r * r) - 1.0)), (x - median) / log_sd])

    start = np.minimum(median, cap - 1e-6)
    found = least_squares(
        residuals, start, bounds=(median - 12 * log_sd, cap), xtol=1e-12, ftol=1e-12, gtol=1e-12, x_scale=log_sd
    )
    x = found.x
    spread = log_ratio(x)
    scatter = float(np.sqrt(np.sum(spread**2) / max(len(y) - len(names), 1)))
    slope = jacobian(log_ratio, x)
    # Weights of the robust loss at the solution: a far outlier says little about the parameters.
    weight = 1.0 / np.sqrt(1.0 + (spread / noise) ** 2)
    hessian = (slope.T * weight) @ slope / max(noise, scatter) ** 2 + np.diag(1.0 / log_sd**2)
    return Fit(
        values=dict(zip(names, map(float, np.exp(x)), strict=True)),
        covariance=np.asarray(np.linalg.inv(hessian), dtype=np.float64),
        scatter=scatter,
        condition=float(np.linalg.cond(found.jac)),
        at_cap=tuple(name for name, value, top in zip(names, x, cap, strict=True) if value > top - 1e-6),
    )


def jacobian(function: Callable[[Floats], Floats], x: Floats, step: float = 1e-5) -> Floats:
    """Slopes of *function* at *x* by central differences, shape (n, k)."""
    columns = []
    for k in range(len(x)):
        shift = np.zeros_like(x)
        shift[k] = step
        columns.append((function(x + shift) - function(x - shift)) / (2.0 * step))
    return np.column_stack(columns)
