"""Wet bulb against psychrolib, an independent implementation of the ASHRAE equations."""

from collections.abc import Mapping

from dcsim.physics.psychrometrics import humidity_ratio_from_rel_hum, wet_bulb_c
from dcsim.units import kelvin_from_c
from dcsim.validate.common import Case, Kind, Suite


def predict(case: Case) -> Mapping[str, float]:
    """Wet bulb of one state of air. [degC]"""
    dry, relative, pressure = (float(case[name]) for name in ("dry_bulb_c", "rel_hum_frac", "pressure_pa"))
    ratio = humidity_ratio_from_rel_hum(dry, relative, pressure)
    return {"published_wet_bulb_c": float(wet_bulb_c(dry, ratio, pressure))}


SUITE = Suite(
    {
        "wet_bulb": Kind(
            ("dry_bulb_c", "rel_hum_frac", "pressure_pa"),
            {"published_wet_bulb_c": "K"},
            predict,
            lambda case: False,
            "wet bulb of moist air; compared as absolute temperatures, away from the ice point",
            scale=kelvin_from_c,
        )
    },
    "wet bulb by Newton's method against psychrolib 2.5.0, in kelvin",
)
