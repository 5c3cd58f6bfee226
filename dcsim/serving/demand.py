"""How requests come and how long they are: what a service is asked, before how many."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dcsim.errors import RangeError
from dcsim.physics.request_means import MeanRequest, mean_request
from dcsim.workload.jobs import Floats
from dcsim.workload.requests.arrivals import Process, arrivals
from dcsim.workload.requests.arrivals import Recorded as RecordedGaps
from dcsim.workload.requests.lengths import Lengths
from dcsim.workload.requests.lengths import Recorded as RecordedLengths
from dcsim.workload.requests.requests import Requests

# Requests whose lengths stand for all in means.
_SAMPLE = 20_000
# Share of requests that may be too long for a replica, and are refused.
MOST_TOO_LONG = 0.01


@dataclass(frozen=True)
class Asked:
    """What a service is asked.

    Parameters
    ----------
    process : Process
        When requests come, at a rate that is said elsewhere.
    lengths : Lengths
        Tokens of prompts and answers.
    prefix_hit_frac : float
        Share of each prompt that replicas find computed. [1]
    """

    process: Process
    lengths: Lengths
    prefix_hit_frac: float = 0.0

    @cached_property
    def mean(self) -> MeanRequest:
        """What a request makes a replica do, in the mean."""
        prompt, output = self.lengths.draw(_SAMPLE, 0, "means")
        return mean_request(prompt, output, hit_frac=self.prefix_hit_frac)

    def too_long(self, room_tokens: float) -> tuple[float, float, float]:
        """Shares of requests, of prompt tokens and of answer tokens that no replica holds. [1]"""
        prompt, output = self.lengths.draw(_SAMPLE, 0, "means")
        over = prompt + output > room_tokens
        return (
            float(over.mean()),
            float(prompt[over].sum() / prompt.sum()),
            float(output[over].sum() / output.sum()),
        )

    def check_fits(self, model: str, room_tokens: float, where: str) -> None:
        """Refuse requests of which more than one in a hundred is too long for a replica.

        Raises
        ------
        RangeError
            If so.
        """
        share = self.too_long(room_tokens)[0]
        if share > MOST_TOO_LONG:
            raise RangeError(
                f"{share:.1%} of the requests are longer than the {room_tokens:,.0f} tokens that {where} hold beside "
                f"{model}; choose more GPUs a replica, lighter weights or shorter requests"
            )

    def requests(self, edges_s: Floats, rate_per_s: Floats, seed: int, name: str) -> Requests:
        """Draw requests whose rate is constant between edges; see :func:`dcsim.workload.requests.arrivals.arrivals`."""
        arrival_s = arrivals(self.process, edges_s, rate_per_s, seed, name)
        prompt, output = self.lengths.draw(len(arrival_s), seed, name)
        return Requests(arrival_s, prompt, output)

    def steady(self, rate_per_s: float, n: int, seed: int, name: str) -> Requests:
        """About *n* requests at one rate."""
        return self.requests(np.array([0.0, n / rate_per_s]), np.array([rate_per_s]), seed, name)


def recorded(requests: Requests, prefix_hit_frac: float = 0.0) -> Asked:
    """What a log asks: its gaps drawn anew in blocks of neighbours, its lengths in pairs."""
    gaps = RecordedGaps(np.diff(requests.arrival_s))
    return Asked(gaps, RecordedLengths(requests.prompt, requests.output), prefix_hit_frac)
