"""What jobs and tenants may take: power, shares and quotas, time, numbers of nodes."""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, log2

import numpy as np

from dcsim.errors import RangeError
from dcsim.workload.jobs import Floats, Jobs

AT_LIMIT = ("checkpoint", "requeue", "stop")
"""What becomes of a job at its limit; see :class:`Walltime`."""


@dataclass(frozen=True)
class PowerLimit:
    """Power of jobs, and the most that running ones may draw together.

    Parameters
    ----------
    job_w : ndarray, shape (n_jobs,)
        Power that each adds while it runs. [W]
    limit_w : float
        [W]

    Raises
    ------
    RangeError
        If a power is negative, or a job alone is above the limit.
    """

    job_w: Floats
    limit_w: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        if np.any(self.job_w < 0):
            raise RangeError("the power of a job is at least 0")
        if np.any(self.job_w > self.limit_w):
            worst = int(np.argmax(self.job_w))
            raise RangeError(
                f"row {worst} alone draws {self.job_w[worst]:,.0f} W, more than the limit of {self.limit_w:,.0f} W on "
                f"all running jobs; so do {np.count_nonzero(self.job_w > self.limit_w)} jobs"
            )


@dataclass(frozen=True)
class Tenancy:
    """What the tenants of a cluster may use.

    Parameters
    ----------
    share : ndarray, shape (n_tenants,)
        Weight of each, above 0. [1]
    quota_gpus : ndarray, shape (n_tenants,)
        GPUs that each may hold at once; infinite for no quota. [GPU]

    Raises
    ------
    RangeError
        If a value is outside its range.
    """

    share: Floats
    quota_gpus: Floats

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not np.all(self.share > 0) or not np.all(self.quota_gpus > 0):
            raise RangeError("shares and quotas of tenants are above 0")


@dataclass(frozen=True)
class Walltime:
    """Longest time that a job may hold its nodes at a stretch, and what becomes of one that is not done by then.

    Its limit is the user's or the class's, whichever is shorter, anew at each start. With ``checkpoint`` it writes one
    just before and queues again; with ``requeue`` it queues again from its last checkpoint; with ``stop`` it is over,
    and its work is lost. A job that queues again keeps its place by submission, like a chain of jobs that were
    submitted together; one that saved nothing between a start and its limit is over, too.

    Parameters
    ----------
    max_s : ndarray, shape (n_classes,)
        Longest limit; infinite for a class whose jobs nobody stops. [s]
    at_limit : str
        One of ``AT_LIMIT``.

    Raises
    ------
    RangeError
        If a value is outside its range.
    """

    max_s: Floats
    at_limit: str = "requeue"

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not np.all(self.max_s > 0):
            raise RangeError("max_s has a value that is not above 0; give infinity for a class that nobody stops")
        if self.at_limit not in AT_LIMIT:
            raise RangeError(f"at_limit is '{self.at_limit}'; give one of {', '.join(AT_LIMIT)}")

    @cached_property
    def stops(self) -> list[bool]:
        """Whether a limit stops the jobs of a class, shape (n_classes,)."""
        return [max_s < np.inf for max_s in self.max_s.tolist()]

    def limit_s(self, jobs: Jobs) -> Floats:
        """Limit of each job. [s]"""
        return np.minimum(jobs.limit_s, self.max_s[jobs.class_index])


@dataclass(frozen=True)
class Elasticity:
    r"""Jobs that may run on fewer or more nodes than they ask for.

    Parameters
    ----------
    least, most : ndarray, shape (n_classes,)
        Fewest and most nodes over those asked for; 1 and 1 for a class that is not elastic. [1]
    efficiency : ndarray, shape (n_classes,)
        Speed on twice the nodes over twice the speed. [1]

    Raises
    ------
    RangeError
        If a value is outside its range.

    Notes
    -----
    .. math:: v(x) = x \, e^{\log_2 x}, \quad x = n / n_{asked}

    So fewer nodes are used better, as the work of each grows.
    """

    least: Floats
    most: Floats
    efficiency: Floats

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not np.all((self.least > 0) & (self.least <= 1) & (self.most >= 1) & np.isfinite(self.most)):
            raise RangeError("least is above 0 and at most 1, most at least 1 and finite, over the nodes asked for")
        if not np.all((self.efficiency > 0.5) & (self.efficiency <= 1)):
            raise RangeError("efficiency of twice the nodes is above 0.5, where they gain nothing, and at most 1")

    def nodes(self, class_index: int, asked: int) -> tuple[int, int]:
        """Fewest and most nodes of a job."""
        return max(1, ceil(asked * self.least[class_index] - 1e-9)), int(asked * self.most[class_index] + 1e-9)

    def speed(self, class_index: int, ratio: float) -> float:
        """Speed on so many nodes over those asked for. [1]"""
        return float(ratio * self.efficiency[class_index] ** log2(ratio))
