"""All-reduce times against published nccl-tests sweeps, and which sweeps show a degraded fabric."""

from collections.abc import Mapping, Sequence
from functools import cache

from dcsim.catalog.fitted import Fitted, fitted, with_interval
from dcsim.catalog.load import folder
from dcsim.catalog.published_sweeps import COLUMNS, LARGE_B, links
from dcsim.physics.collectives import BUS_FACTOR, DEGRADED_FRAC, collective_s, ramp_s
from dcsim.validate.common import Case, Interval, Kind, Part, Prediction, Suite

ANSWERS = {"time_us_oop": "us", "time_us_ip": "us"}


def from_sweep(of: Fitted, case: Case) -> Mapping[str, Prediction]:
    """Time by the ramp that was fitted on the case's own system."""
    size, ranks = float(case["size_B"]), links(case).gpus
    factor = BUS_FACTOR["all_reduce"](ranks)
    return _times(with_interval(lambda values: ramp_s(size, factor, **values), of))


def from_links(of: Fitted, case: Case) -> Mapping[str, Prediction]:
    """Time from the data sheet rates of the links, by efficiencies of other systems."""
    size, known = float(case["size_B"]), links(case)
    spread = of.parameters["large_sd" if size >= LARGE_B else "small_sd"]
    return _times(
        with_interval(lambda v: collective_s("all_reduce", size, known.gpus, known.fabric(v)), of, extra_sd=spread)
    )


def _times(found: tuple[float, float, float]) -> Mapping[str, Prediction]:
    """In and out of place take the same time."""
    middle, low, high = (1e6 * float(value) for value in found)
    return dict.fromkeys(ANSWERS, Interval(middle, low, high))


def predict(case: Case) -> Mapping[str, Prediction]:
    """Time by the system's own ramp where it was fitted, else from its links."""
    known = fitted("collectives")
    own = known.get(case["system"])
    return from_sweep(own, case) if own else from_links(known["all"], case)


def degraded(cases: Sequence[Case]) -> list[str]:
    """Systems whose largest message gets less than 0.6 of the bus bandwidth that their links should give."""
    largest: dict[str, Case] = {}
    for case in cases:
        if case.get("time_us_oop") or case.get("time_us_ip"):
            best = largest.get(case["system"])
            largest[case["system"]] = case if best is None or float(case["size_B"]) > float(best["size_B"]) else best
    found = []
    for system, case in largest.items():
        measured = min(float(case[column]) for column in ANSWERS if case.get(column))
        expected = from_links(_without(system), case)["time_us_oop"]
        assert isinstance(expected, Interval)
        frac = expected.value / measured
        if frac < DEGRADED_FRAC:
            found.append(f"{system} is degraded: {frac:.2f} of the bus bandwidth that its links should give")
    return found


def _without(system: str) -> Fitted:
    """Link efficiencies that never saw a system."""
    if system in fitted("collectives"):
        return fitted(f"validation/collectives-without-{system}")["all"]
    return fitted("collectives")["all"]


@cache
def parts() -> tuple[Part, ...]:
    """Healthy sweeps as fitted and as predicted by links of the others, together and one by one; degraded ones."""
    if not (folder() / "profiles" / "collectives.json").exists():
        return ()
    known = {key: one for key, one in fitted("collectives").items() if key != "all"}
    healthy = [key for key, one in known.items() if not one.note]
    fit = "each fitted by its own ramp"
    held = "from link rates and efficiencies of the other systems"

    def left_out(case: Case) -> Mapping[str, Prediction]:
        return from_links(_without(case["system"]), case)

    def one_by_one(key: str) -> tuple[Part, Part]:
        def is_it(case: Case) -> bool:
            return case["system"] == key

        return Part(key, "fitted", is_it, detail=True), Part(key, held, is_it, left_out, detail=True)

    return (
        Part("healthy sweeps", fit, lambda case: case["system"] in healthy),
        Part("healthy sweeps", held, lambda case: case["system"] in healthy, left_out),
        Part(
            "healthy sweeps, 1 MB and more",
            held,
            lambda case: case["system"] in healthy and float(case["size_B"]) >= LARGE_B,
            left_out,
        ),
        *(part for key in healthy for part in one_by_one(key)),
        *(
            Part(f"{key}, degraded", "fitted", lambda case, key=key: case["system"] == key)  # type: ignore[misc]
            for key in known
            if key not in healthy
        ),
    )


def in_sample(case: Case) -> bool:
    """Whether the case's system has a ramp of its own."""
    own = fitted("collectives").get(case["system"])
    return own is not None and case["system"] in own.families


SUITE = Suite(
    {
        "all_reduce": Kind(COLUMNS, ANSWERS, predict, in_sample, "time of an all-reduce by message size"),
    },
    "time of all-reduces in published sweeps of nccl-tests",
    parts,
    findings=degraded,
)
