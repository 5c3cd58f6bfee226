"""Fits of published all-reduce sweeps: a ramp for each system, one set of link efficiencies for all healthy ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.catalog.fitted import Fitted, to_json
from dcsim.catalog.published_sweeps import LARGE_B, Links, links
from dcsim.physics.collectives import BUS_FACTOR, DEGRADED_FRAC, Fabric, collective_s, ramp_s

from ..fit import Prior
from .common import fit, measurements

FILE = "published-collectives.csv"
TIMES = ("time_us_oop", "time_us_ip")
# A ramp, in the order in which rows free its parameters, and the links' efficiencies; medians by hand.
RAMP = {
    "bus_b_s": Prior(0.0, 0.5),
    "ramp_b": Prior(1e7, 2.0),
    "alpha_s": Prior(3e-5, 1.0),
    "exponent": Prior(0.5, 0.5, 1.0),
}
LINKS = {
    "domain_eff": Prior(0.80, 0.10, 1.0),
    "nvls_eff": Prior(1.0, 0.15),
    "network_eff": Prior(0.90, 0.10, 1.0),
    "launch_s": Prior(5e-6, 1.5),
    "ramp_b": Prior(2e6, 1.0),
}
RAMP_NOISE, LINKS_NOISE = 0.02, 0.15


@dataclass(frozen=True)
class Sweep:
    """Published times of one system, by size; shape (n,)."""

    system: str
    links: Links
    cases: tuple[str, ...]
    size_b: Any
    time_s: Any

    @property
    def factor(self) -> float:
        """Bus factor of an all-reduce. [1]"""
        return float(BUS_FACTOR["all_reduce"](self.links.gpus))


@cache
def sweeps() -> tuple[Sweep, ...]:
    """The published sweeps."""
    rows: dict[str, list[Mapping[str, str]]] = {}
    for record in measurements(FILE):
        rows.setdefault(record["system"], []).append(record)
    out = []
    for system, of in rows.items():
        values = [
            (row["case_id"], float(row["size_B"]), float(row[column]) * 1e-6)
            for row in of
            for column in TIMES
            if row[column]
        ]
        cases, size, time = zip(*values, strict=True)
        out.append(Sweep(system, links(of[0]), cases, np.array(size), np.array(time)))
    return tuple(out)


def _all_links(of: Sequence[Sweep], values: Mapping[str, float]) -> Any:
    """Modelled all-reduce times of some sweeps, one after the other. [s]"""
    fabrics = [(sweep, sweep.links.fabric(values)) for sweep in of]
    names = ("domain_gpus", "domain_b_s", "nvls_b_s", "network_b_s", "launch_s", "ramp_b")
    rows = {
        name: np.concatenate([np.full(len(sweep.size_b), getattr(fabric, name)) for sweep, fabric in fabrics])
        for name in names
    }
    ranks = np.concatenate([np.full(len(sweep.size_b), sweep.links.gpus) for sweep in of])
    return collective_s("all_reduce", np.concatenate([s.size_b for s in of]), ranks, Fabric(**rows))


def _efficiencies(of: Sequence[Sweep]) -> Fitted:
    """Link efficiencies of some sweeps."""
    return fit(
        "all",
        lambda values: _all_links(of, values),
        np.concatenate([sweep.time_s for sweep in of]).tolist(),
        LINKS,
        noise=LINKS_NOISE,
        cases=[case for sweep in of for case in sweep.cases],
        source=FILE,
        families=[sweep.system for sweep in of],
    )


def _with_spread(of: Sequence[Sweep]) -> Fitted:
    """Link efficiencies, and how far they err on a system that they were not fitted on, by size."""
    squares: dict[bool, list[Any]] = {False: [], True: []}
    for held in of:
        others = _efficiencies([sweep for sweep in of if sweep is not held])
        error = np.log(_all_links([held], others.parameters) / held.time_s)
        for large in squares:
            one = error[(held.size_b >= LARGE_B) == large]
            squares[large] += [np.mean(one**2)] if len(one) else []
    found = _efficiencies(of)
    spread = {"small_sd": np.sqrt(np.mean(squares[False])), "large_sd": np.sqrt(np.mean(squares[True]))}
    # The spread between systems holds the scatter within them.
    return replace(found, scatter=0.0, parameters={**found.parameters, **{k: float(v) for k, v in spread.items()}})


def _ramp(sweep: Sweep, note: str) -> Fitted:
    """A sweep's own ramp; the best of a few starts, since size and steepness of a ramp trade against each other."""
    endless = sweep.factor * sweep.size_b[-1] / sweep.time_s[-1]
    found = []
    for start_b in (1e6, 1e7, 1e8):
        priors = {**RAMP, "bus_b_s": Prior(float(endless), 0.5), "ramp_b": Prior(start_b, 2.0)}
        if len(sweep.size_b) <= 2 * len(priors) + 2:
            # A few large messages tell nothing of latency and steepness.
            priors = {name: priors[name] for name in ("bus_b_s", "ramp_b")}
        found.append(
            fit(
                sweep.system,
                lambda values: ramp_s(sweep.size_b, sweep.factor, **values),
                sweep.time_s.tolist(),
                priors,
                noise=RAMP_NOISE,
                cases=sweep.cases,
                source=FILE,
                base={name: prior.median for name, prior in RAMP.items()},
                note=note,
                families=[sweep.system],
            )
        )

    def miss(of: Fitted) -> float:
        modelled = ramp_s(sweep.size_b, sweep.factor, **of.parameters)
        return float(np.mean(np.abs(np.log(modelled / sweep.time_s))))

    return min(found, key=miss)


@cache
def fits() -> tuple[list[Fitted], dict[str, Fitted]]:
    """Fits of every system and of all healthy ones together; and, by system, the latter without it."""
    every = sweeps()
    plateau = {sweep.system: _plateau_frac(sweep, [other for other in every if other is not sweep]) for sweep in every}
    healthy = [sweep for sweep in every if plateau[sweep.system] >= DEGRADED_FRAC]
    notes = {
        sweep.system: ""
        if sweep in healthy
        else f"degraded: {plateau[sweep.system]:.2f} of the bus bandwidth that its links should give"
        for sweep in every
    }
    shipped = [_with_spread(healthy)] + [_ramp(sweep, notes[sweep.system]) for sweep in every]
    held = {sweep.system: _with_spread([other for other in healthy if other is not sweep]) for sweep in every}
    return shipped, held


def _plateau_frac(sweep: Sweep, others: Sequence[Sweep]) -> float:
    """Bus bandwidth at the largest message over what links of *others*' efficiencies would give. [1]"""
    expected = _all_links([sweep], _efficiencies(others).parameters)
    return float((expected / sweep.time_s)[-1])


def files() -> dict[Path, str]:
    """Text of the fitted files, by path under the catalog's profiles."""
    shipped, held = fits()
    return {Path("collectives.json"): to_json(shipped)} | {
        Path("validation") / f"collectives-without-{system}.json": to_json([one]) for system, one in held.items()
    }
