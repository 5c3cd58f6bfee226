"""One replica under continuous batching with chunked prefill: its batch as events, not as steps.

A replica works in steps. In each, every decoding request gains a token, and prompts that wait for their first token are
computed in what is left of the step's budget of tokens. Steps in which only decoding goes on are alike but for the
contexts, which grow by a token a request, so a run of them (a *leap*) ends where the batch changes: when the first
answer is complete, or after the step in which a request arrives that has room. Its time is an arithmetic series. A
replica thus costs events by request, not by token.

The clock of a replica is its count of steps: a request that decodes is due at a step, whatever steps take.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf, sqrt

from dcsim.errors import RangeError


@dataclass(frozen=True)
class ReplicaSpec:
    """What a step of a replica costs, and what a replica holds; see :class:`dcsim.physics.inference.StepRates`.

    Parameters
    ----------
    step_s : float
        Of every step: weights that all steps read, and work that no size changes. [s]
    request_s : float
        A decoding request: its token, state and own work, without its context. [s]
    context_s, token_s, attention_s : float
        A token of context of those that decode, a token of a prompt, and a pair of prompt tokens that attend. [s]
    experts_s, missed_frac : float
        All routed experts, and the chance that a token leaves a given one alone. [s], [1]
    most_requests : int
        Largest batch, prompts in work included. [1]
    room_tokens : float
        Tokens whose keys and values fit; a request keeps its whole prompt and answer from its admission on, so none is
        ever pushed out. A replica of prefill keeps a prompt until its first token. [1]
    request_tokens : float
        What a request keeps beside its tokens, counted in tokens. [1]
    chunk_tokens : int
        Budget of a step: decoding requests, and prompt tokens in what is left. [1]
    prefix_hit_frac : float
        Share of a prompt that is found computed, where requests do not say which blocks theirs has. [1]
    block_tokens : int
        Tokens of a block of the prefix cache, where they do; 0 without a cache of blocks. [1]
    role : str
        ``both``, or ``prefill`` and ``decode`` of a service in which they are apart.

    Raises
    ------
    RangeError
        If a value is outside its range.
    """

    step_s: float
    request_s: float
    context_s: float
    token_s: float
    attention_s: float = 0.0
    experts_s: float = 0.0
    missed_frac: float = 1.0
    most_requests: int = 256
    room_tokens: float = inf
    request_tokens: float = 0.0
    chunk_tokens: int = 8192
    prefix_hit_frac: float = 0.0
    block_tokens: int = 0
    role: str = "both"

    def __post_init__(self) -> None:
        """Check the ranges."""
        times_s = (self.step_s, self.request_s, self.context_s, self.token_s, self.attention_s, self.experts_s)
        if not all(0 <= time_s < inf for time_s in times_s) or not sum(times_s) > 0:
            raise RangeError("times of a step must be from 0, finite, and not all 0")
        if self.most_requests < 1 or not self.room_tokens > 0 or self.chunk_tokens < 1:
            raise RangeError("a replica must hold at least a request, and a step a token")
        if not 0 <= self.prefix_hit_frac < 1 or not 0 <= self.missed_frac <= 1:
            raise RangeError("prefix_hit_frac must be from 0 to below 1, missed_frac from 0 to 1")
        if self.role not in ("both", "prefill", "decode"):
            raise RangeError(f"a replica's role is both, prefill or decode, not '{self.role}'")


class Asked:
    """Requests as the replicas see them, and what became of each; lists by request."""

    __slots__ = ("_needs", "blocks", "end_s", "first_s", "left", "output", "prompt", "todo")

    def __init__(self, prompt: list[int], output: list[int], blocks: list[list[int]] | None) -> None:
        self.prompt = prompt
        self.output = output
        self.blocks = blocks
        self.todo = [0] * len(prompt)
        self.left = [0] * len(prompt)
        self.first_s = [inf] * len(prompt)
        self.end_s = [inf] * len(prompt)
        self._needs: dict[tuple[bool, float], list[float]] = {}

    def needs(self, spec: ReplicaSpec) -> list[float]:
        """Tokens that each request keeps on a replica: its prompt, and its answer where that is given there."""
        key = spec.role == "prefill", spec.request_tokens
        if key not in self._needs:
            answers = [1] * len(self.output) if key[0] else self.output
            self._needs[key] = [p + o + key[1] for p, o in zip(self.prompt, answers, strict=True)]
        return self._needs[key]


class Tally:
    """What steps did, in all replicas, by windows of time.

    Rows are windows; columns are busy time [s], steps, tokens decoded, tokens of context read, prompt tokens computed,
    pairs attended, and shares of the experts read.
    """

    COLUMNS = 7

    __slots__ = ("rows", "window_s")

    def __init__(self, window_s: float, horizon_s: float) -> None:
        self.window_s = window_s
        n = 1 if horizon_s == inf or window_s == inf else int(horizon_s // window_s) + 2
        self.rows = [[0.0] * self.COLUMNS for _ in range(n)]

    def add(self, start_s: float, end_s: float, did: tuple[float, ...]) -> None:
        """Count what a leap did, by its time in each window."""
        window_s, rows = self.window_s, self.rows
        last = 0 if window_s == inf else int(end_s // window_s)
        while last >= len(rows):
            rows.append([0.0] * self.COLUMNS)
        if start_s >= last * window_s or last == 0:
            row = rows[last]
            for column, value in enumerate(did):
                row[column] += value
            return
        whole_s = end_s - start_s
        for window in range(int(start_s // window_s), last + 1):
            share = (min(end_s, (window + 1) * window_s) - max(start_s, window * window_s)) / whole_s
            row = rows[window]
            for column, value in enumerate(did):
                row[column] += share * value


class Replica:
    """A replica and its batch.

    Attributes
    ----------
    end_s : float
        When the present leap ends; infinite while idle. [s]
    running : int
        Requests that it has admitted and that are not done.
    held : set of int
        The same by themselves.
    waiting : deque of int
        Requests that were given to it and not admitted; one deque for all where they share a queue.
    """

    __slots__ = (
        "_attended",
        "_context",
        "_ends",
        "_firsts",
        "_kept",
        "_needs",
        "_prefilling",
        "_start_s",
        "_step",
        "_steps",
        "_tokens",
        "_touched",
        "asked",
        "end_s",
        "held",
        "prefix",
        "running",
        "spec",
        "tally",
        "waiting",
    )

    def __init__(self, spec: ReplicaSpec, asked: Asked, tally: Tally, waiting: "deque[int]") -> None:
        self.spec = spec
        self.asked = asked
        self.tally = tally
        self.waiting = waiting
        self.end_s = inf
        self.running = 0
        self.held: set[int] = set()
        self.prefix: OrderedDict[int, None] = OrderedDict()
        self._ends: list[tuple[int, int]] = []
        self._prefilling: deque[int] = deque()
        self._firsts: list[int] = []
        self._needs = asked.needs(spec)
        self._kept = 0.0
        self._context = 0
        self._step = 0
        self._steps = 0
        self._tokens = 0
        self._attended = 0.0
        self._touched = 0.0
        self._start_s = 0.0

    @property
    def load(self) -> int:
        """Requests that run on it or wait in its queue."""
        return self.running + len(self.waiting)

    def has_room(self, request: int) -> bool:
        """Tell whether *request* would be admitted at the next step."""
        spec = self.spec
        return self.running < spec.most_requests and self._kept + self._needs[request] <= spec.room_tokens

    def offer(self, request: int, now_s: float) -> bool:
        """Take *request*; tell whether the end of the leap changed."""
        self.waiting.append(request)
        if self.end_s == inf:
            self.plan(now_s)
            return True
        if self._steps > 1 and len(self.waiting) == 1 and self.has_room(request):
            return self._shorten(now_s)
        return False

    def plan(self, now_s: float) -> None:
        """Admit what has room and compose the next leap, at the end of a step."""
        spec, asked, waiting = self.spec, self.asked, self.waiting
        ends, prefilling = self._ends, self._prefilling
        if waiting:
            prompt, needs = asked.prompt, self._needs
            while waiting and self.running < spec.most_requests:
                request = waiting[0]
                need = needs[request]
                if self._kept + need > spec.room_tokens:
                    break
                waiting.popleft()
                self._kept += need
                self.running += 1
                self.held.add(request)
                if asked.left[request]:
                    # Its prompt was computed elsewhere, and its first token came there.
                    heappush(ends, (self._step + asked.left[request], request))
                    self._context += prompt[request] + 1
                else:
                    asked.todo[request] = self._uncached(request)
                    prefilling.append(request)
        n, context = len(ends), self._context
        if prefilling:
            tokens, attended = self._chunk(max(spec.chunk_tokens - n, 1))
            steps = 1
        elif n:
            tokens, attended = 0, 0.0
            steps = ends[0][0] - self._step
        else:
            self.end_s = inf
            return
        touched = 0.0
        if spec.experts_s:
            touched = 1.0 - spec.missed_frac ** (n if n > tokens else tokens)
        first_s = (
            spec.step_s
            + spec.request_s * n
            + spec.context_s * context
            + spec.token_s * tokens
            + spec.attention_s * attended
            + spec.experts_s * touched
        )
        self._start_s = now_s
        self._steps = steps
        self._tokens = tokens
        self._attended = attended
        self._touched = touched
        self.end_s = now_s + steps * first_s + 0.5 * spec.context_s * n * steps * (steps - 1)

    def settle(self) -> list[int]:
        """Complete the leap that ends; return the requests that are done here."""
        spec, asked, ends = self.spec, self.asked, self._ends
        n, steps, end_s, context = len(ends), self._steps, self.end_s, self._context
        self.tally.add(self._start_s, end_s, self._did())
        step = self._step = self._step + steps
        context += steps * n
        done: list[int] = []
        while ends and ends[0][0] == step:
            request = heappop(ends)[1]
            context -= asked.prompt[request] + asked.output[request]
            asked.end_s[request] = end_s
            done.append(request)
        for request in self._firsts:
            if asked.first_s[request] == inf:
                asked.first_s[request] = end_s
            more = asked.output[request] - 1
            if more and spec.role == "both":
                heappush(ends, (step + more, request))
                context += asked.prompt[request] + 1
            else:
                if not more:
                    asked.end_s[request] = end_s
                else:
                    asked.left[request] = more
                done.append(request)
        self._firsts.clear()
        self._context = context
        for request in done:
            self._kept -= self._needs[request]
            self.held.discard(request)
        self.running -= len(done)
        return done

    def stop(self, now_s: float) -> None:
        """Count what the present leap did until *now_s*, in the mean of its steps."""
        if self.end_s == inf or now_s <= self._start_s:
            return
        share = (now_s - self._start_s) / (self.end_s - self._start_s)
        self.tally.add(self._start_s, now_s, tuple(share * value for value in self._did()))

    def evict(self, now_s: float) -> list[int]:
        """Lose all requests, as in a failure."""
        self.stop(now_s)
        lost = [*sorted(self.held)]
        self.held.clear()
        self._ends.clear()
        self._prefilling.clear()
        self._firsts.clear()
        self.prefix.clear()
        self._kept, self._context, self.running = 0.0, 0, 0
        self.end_s = inf
        return lost

    def match(self, request: int) -> int:
        """Leading blocks of a request's prompt that are in the prefix cache."""
        blocks = self.asked.blocks
        found = 0
        if blocks is not None:
            for block in blocks[request]:
                if block not in self.prefix:
                    break
                found += 1
        return found

    def _did(self) -> tuple[float, ...]:
        """What the present leap does, in the order of the tally."""
        n, steps = len(self._ends), self._steps
        return (
            self.end_s - self._start_s,
            steps,
            steps * n,
            steps * self._context + 0.5 * n * steps * (steps - 1),
            self._tokens,
            self._attended,
            steps * self._touched,
        )

    def _uncached(self, request: int) -> int:
        """Tokens of a prompt that must be computed; the last one always is, since it gives the first token."""
        spec, prompt = self.spec, self.asked.prompt[request]
        if not spec.block_tokens or self.asked.blocks is None:
            return max(round(prompt * (1.0 - spec.prefix_hit_frac)), 1)
        found = self.match(request)
        for block in self.asked.blocks[request]:
            self.prefix[block] = None
            self.prefix.move_to_end(block)
        # Blocks stay in what running requests do not keep; those least recently used go first.
        most = max((spec.room_tokens - self._kept) / spec.block_tokens, 0.0)
        while len(self.prefix) > most:
            self.prefix.popitem(last=False)
        return max(prompt - found * spec.block_tokens, 1)

    def _chunk(self, budget: int) -> tuple[int, float]:
        """Prompt tokens of the next step, first come first served, and the pairs that attend."""
        asked, prefilling = self.asked, self._prefilling
        todo, prompt, firsts = asked.todo, asked.prompt, self._firsts
        tokens, attended = 0, 0.0
        while prefilling and tokens < budget:
            request = prefilling[0]
            take = min(todo[request], budget - tokens)
            attended += take * (prompt[request] - todo[request] + 0.5 * take)
            tokens += take
            todo[request] -= take
            if todo[request]:
                break
            firsts.append(prefilling.popleft())
        return tokens, attended

    def _shorten(self, now_s: float) -> bool:
        """End the leap after the step that is under way at *now_s*; tell whether that changed its end."""
        spec, n = self.spec, len(self._ends)
        growth_s = spec.context_s * n
        first_s = (self.end_s - self._start_s) / self._steps - 0.5 * growth_s * (self._steps - 1)
        passed_s = now_s - self._start_s
        if growth_s > 1e-9 * first_s:
            half = first_s - 0.5 * growth_s
            steps = (sqrt(half * half + 2.0 * growth_s * passed_s) - half) / growth_s
        else:
            steps = passed_s / first_s
        whole = min(int(steps) + 1, self._steps)
        if whole == self._steps:
            return False
        self._steps = whole
        self.end_s = self._start_s + whole * first_s + 0.5 * growth_s * whole * (whole - 1)
        return True
