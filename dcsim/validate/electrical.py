"""UPS efficiency against the curves of APC White Paper 108, by load and redundancy."""

from collections.abc import Mapping

from dcsim.physics.electrical import REDUNDANCY, UPS
from dcsim.registry import lookup
from dcsim.validate.common import Case, Kind, Suite


def predict(case: Case) -> Mapping[str, float]:
    """Efficiency of a UPS at a share of the critical load. [1]"""
    load = float(case["critical_load_frac"]) * lookup(REDUNDANCY, case["redundancy"], "redundancy").load_factor
    return {"published_ups_efficiency": float(lookup(UPS, case["ups"], "UPS").efficiency(load))}


SUITE = Suite(
    {
        "ups": Kind(
            ("ups", "redundancy", "critical_load_frac"),
            {"published_ups_efficiency": "1"},
            predict,
            # The legacy curve was fitted to its four points and the delta curve has the white paper's own coefficients:
            # these rows check the arithmetic and its rounding, and are no independent evidence.
            lambda case: case["ups"] in UPS,
            "efficiency of a UPS at part load",
        )
    },
    "APC White Paper 108, UPS efficiency",
)
