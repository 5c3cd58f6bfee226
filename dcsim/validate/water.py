"""Water of plants against published tables by climate zone."""

from collections.abc import Mapping, Sequence

from dcsim.validate.common import Case, Kind, Part, Suite
from dcsim.validate.lei import predict, stated
from dcsim.validate.pue import LEI, LEI_2022, LEI_2025


def table_convention(case: Case) -> Mapping[str, float]:
    """Water of a system in a zone, all heat of towers as vapour, as the tables have it. [L/kWh]"""
    _, wue = predict(case["Case"], case["Climate Zone"], all_latent=True)
    return {"WUE_p50": wue, "wue_5th": wue}


def saturated(case: Case) -> Mapping[str, float]:
    """The same with air that leaves towers saturated, the model of every other answer. [L/kWh]"""
    _, wue = predict(case["Case"], case["Climate Zone"])
    return {"WUE_p50": wue, "wue_5th": wue}


def parts() -> Sequence[Part]:
    """Systems whose parameters are published, by the tables' convention and by ours; and the others."""

    def known(case: Case) -> bool:
        return stated(case, "2025" if "Cooling system" in case else "2022")

    return [
        Part("systems 0, 1, 2 and 5", "towers by the tables' convention, all heat as vapour", known),
        Part("systems 0, 1, 2 and 5", "towers by their saturated air, not the tables' convention", known, saturated),
        Part("other systems", "by assumed parameters", lambda case: not known(case)),
    ]


SUITE = Suite(
    {
        "lei-2025": Kind(
            (*LEI, "Cooling system"),
            {"WUE_p50": "L/kWh"},
            table_convention,
            lambda case: False,
            "modelled water by climate zone, median and 5 to 95 % band",
            bands={"WUE_p50": ("WUE_p05", "WUE_p95")},
        ),
        "lei-2022": Kind(
            LEI,
            {"wue_5th": "L/kWh"},
            table_convention,
            lambda case: False,
            "modelled water by climate zone, 5 to 95 % band",
            bands={"wue_5th": ("wue_5th", "wue_95th")},
            band_only=True,
        ),
    },
    "water of the site over IT energy, by climate zone of published models",
    parts=parts,
    data_files=tuple(f"cases/{name}" for name in (LEI_2025, LEI_2022)),
    needs_data=True,
)
