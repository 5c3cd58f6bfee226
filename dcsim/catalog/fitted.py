"""Fitted parameters of one model on one set of published rows, with their provenance; and intervals from them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from dcsim.catalog.load import folder
from dcsim.errors import UnknownNameError

Z90 = 1.2815515655446004


@dataclass(frozen=True)
class Fitted:
    """Parameters with what they were fitted on.

    Parameters
    ----------
    key : str
        Name within its file.
    inherits : str
        Whose values the parameters that are not free keep.
    free : tuple of str
        Fitted parameters.
    parameters : mapping of float
        All of them.
    covariance : list of list of float
        Of the logarithms of the free parameters. [1]
    scatter : float
        Standard deviation of log measured over modelled. [1]
    cases : tuple of str
        Published rows that they were fitted on.
    input, input_sha256 : str
        File of these rows and its digest.
    note : str
        What else was found of these rows.
    families : tuple of str
        Stack families, systems or accelerators whose rows were fitted: every row of theirs is in sample.
    """

    key: str
    inherits: str
    free: tuple[str, ...]
    parameters: Mapping[str, float]
    covariance: Sequence[Sequence[float]]
    scatter: float
    cases: tuple[str, ...]
    input: str
    input_sha256: str
    note: str = ""
    families: tuple[str, ...] = ()


def to_json(fitted: Sequence[Fitted], *, indent: int | None = 1) -> str:
    """Text of a file of fitted parameters; without *indent* a record a line."""
    records = [json.dumps(asdict(one), indent=indent, sort_keys=True) for one in fitted]
    return "[\n" + ",\n".join(records) + "\n]\n"


@cache
def fitted(name: str) -> dict[str, Fitted]:
    """Shipped parameters of a file under ``profiles/``, by key.

    Raises
    ------
    UnknownNameError
        If there is no such file.
    """
    path = folder() / "profiles" / f"{name}.json"
    if not path.exists():
        raise UnknownNameError(f"no fitted parameters '{name}' are shipped")
    records = json.loads(path.read_text(encoding="utf-8"))
    lists = ("free", "cases", "families")
    found = [Fitted(**{**record, **{name: tuple(record.get(name, ())) for name in lists}}) for record in records]
    return {one.key: one for one in found}


def with_interval(model: Callable[[Mapping[str, float]], Any], of: Fitted, extra_sd: Any = 0.0) -> tuple[Any, Any, Any]:
    r"""Figures of a model with the bounds that eight of ten measured ones should lie between.

    Parameters
    ----------
    model : callable
        Parameters by name to figures above 0, shape (n,).
    of : Fitted
        Parameters with their covariance.
    extra_sd : array_like
        Standard deviation of the logarithm that comes on top of the fit's own, as between systems. [1]

    Returns
    -------
    tuple of ndarray
        Figure, P10 and P90.

    Notes
    -----
    .. math:: \sigma^2 = J \Sigma J^T + \sigma_{within}^2 + \sigma_{extra}^2
    """
    at = np.log(model(of.parameters))
    variance = of.scatter**2 + np.asarray(extra_sd) ** 2
    if of.free:
        moved = [{**of.parameters, name: of.parameters[name] * np.exp(0.01)} for name in of.free]
        slope = np.array([(np.log(model(values)) - at) / 0.01 for values in moved])
        variance = variance + np.einsum("k...,kl,l...->...", slope, np.array(of.covariance), slope)
    reach = Z90 * np.sqrt(variance)
    return np.exp(at), np.exp(at - reach), np.exp(at + reach)
