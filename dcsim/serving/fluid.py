"""A replica as a fluid: batch, share of the time that it works, and power by the rate of its requests."""

from dataclasses import dataclass

import numpy as np

from dcsim.physics.request_means import MeanRequest
from dcsim.serving.replicas import Replica
from dcsim.workload.jobs import Floats

_POINTS = 240


@dataclass(frozen=True)
class Steady:
    """What a replica does at a steady rate, tabulated over batches; arrays of shape (k,), rising.

    Parameters
    ----------
    per_s : ndarray
        Requests a second. [1/s]
    batch : ndarray
        Requests on it in the mean, idle times included. [1]
    busy_frac : ndarray
        Share of the time in which it works. [1]
    step_s : ndarray
        Mean step while it works. [s]
    gpus_w : ndarray
        Mean power of its GPUs, idle times included. [W]
    """

    per_s: Floats
    batch: Floats
    busy_frac: Floats
    step_s: Floats
    gpus_w: Floats

    @property
    def most_per_s(self) -> float:
        """Requests a second at the largest batch. [1/s]"""
        return float(self.per_s[-1])

    def at(self, per_s: Floats, column: str) -> Floats:
        """A column at rates of requests, shape (n,); flat above the largest batch."""
        return np.asarray(np.interp(per_s, self.per_s, getattr(self, column)), dtype=float)


def steady(of: Replica, request: MeanRequest, most_requests: float) -> Steady:
    r"""Tabulate a replica.

    Parameters
    ----------
    of : Replica
        The replica.
    request : MeanRequest
        Its requests in the mean.
    most_requests : float
        Largest batch that is allowed; memory may hold fewer. [1]

    Notes
    -----
    By Little's law the requests on a replica are their rate times the tokens of an answer times the step. Requests that
    come as Poisson's find it empty with a chance of :math:`e^{-b}`, so it works for :math:`1 - e^{-b}` of the time, in
    batches larger by as much:

    .. math:: b = \lambda \, o \, t\left(\frac{b}{1 - e^{-b}}\right)

    Bursts make it work for less of the time in larger batches.
    """
    most = of.largest_batch(request, most_requests)
    batch = np.concatenate([[0.0], np.geomspace(1e-4, most, _POINTS)])
    busy = -np.expm1(-batch)
    working = np.where(batch > 1e-6, batch / np.maximum(busy, 1e-12), 1.0)
    step = of.rates.mean_step(np.minimum(working, most), request)
    return Steady(
        per_s=batch / (request.output * step.step_s),
        batch=batch,
        busy_frac=busy,
        step_s=np.asarray(step.step_s, dtype=float),
        gpus_w=busy * of.power_of(step) + (1.0 - busy) * of.idle_w * of.gpus,
    )
