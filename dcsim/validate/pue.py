"""PUE of plants against published tables by climate zone, and of cloud regions against what their operators report."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import fmean

import numpy as np
from scipy.stats import spearmanr

from dcsim.catalog.normals import sites
from dcsim.catalog.reference import at_hand
from dcsim.physics.electrical import PowerChain
from dcsim.physics.liquid_on_towers import DirectLiquidTower
from dcsim.study.plant import Design, Prepared, at_site, designs, plant_year
from dcsim.validate.common import Case, Kind, NotPredicted, Part, Suite, read
from dcsim.validate.lei import predict, stated
from dcsim.validate.second_model import cross_check
from dcsim.validate.sites import of_zone

# A region is predicted by a site with normals no further than this. [km]
NEAR_KM = 75.0
# Plant by operator: an assumption from what each publishes of its sites, nothing fitted; and the share of the IT load.
PRESETS = {
    "Amazon Web Services": "air_economiser_evaporative",
    "Google Cloud": "water_cooled_economiser",
    "Microsoft Azure": "air_economiser_evaporative",
}
PRESET_LOAD_FRAC = 0.6
# The plant with which climates alone are ranked.
ONE_PLANT = "water_cooled_economiser"
LEI_2025, LEI_2022, REGIONS = (
    "pue_lei_2025_16cases_by_zone.csv",
    "pue_lei_masanet_2022_by_zone.csv",
    "pue_cloud_regions_gsf.csv",
)


def lei(case: Case) -> Mapping[str, float]:
    """PUE of a system in a zone. [1]"""
    pue, _ = predict(case["Case"], case["Climate Zone"])
    return {"PUE_p50": pue, "pue_5th": pue}


def hpc(case: Case) -> Mapping[str, float]:
    """PUE of a supercomputer's cold plates on towers, from its load, water and share of liquid. [1]

    Parameters that no source gives have their defaults, but for the plant's base load, whose default was fitted on
    Frontier's cooling power: it is left out, so what controls and sumps take is missing.
    """
    cooling = DirectLiquidTower(
        facility_water_supply_c=float(case["facility_water_c"]),
        facility_water_delta_t_k=float(case["facility_water_rise_k"]),
        base_frac=0.0,
    )
    design = Design(cooling, PowerChain(redundancy="N", ups="none"), float(case["liquid_frac"]), 0.005)
    load = float(case["it_mean_mw"]) / float(case["it_design_mw"])
    place = case["weather"]
    years = of_zone(place.removeprefix("zone ")) if place.startswith("zone ") else (_ready(place),)
    return {"pue": fmean(plant_year(design, at.air, at.design_air, load, site=at.name, name="").pue for at in years)}


def _km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Distance on the globe of two points by latitude and longitude [degree]. [km]"""
    (a, b), (c, d) = (tuple(math.radians(x) for x in point) for point in (one, other))
    half = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * 6371.0 * math.asin(math.sqrt(half))


@cache
def _ready(key: str) -> Prepared:
    return at_site(key)


def region(case: Case) -> Mapping[str, float]:
    """PUE of an operator's assumed plant at the nearest site with normals. [1]"""
    name = PRESETS.get(case["provider"])
    if name is None:
        raise NotPredicted(f"no plant of {case['provider']} is assumed")
    return {"pue": _at(case, name)}


def _at(case: Case, name: str) -> float:
    """PUE of a design at the nearest site with normals of a region. [1]"""
    latitude, longitude = (float(x) for x in case["geolocation"].split(","))
    away = {key: _km((latitude, longitude), (of.latitude_deg, of.longitude_deg)) for key, of in sites().items()}
    key = min(away, key=lambda name: away[name])
    if away[key] > NEAR_KM:
        raise NotPredicted(f"the nearest site with normals, {key}, is {away[key]:.0f} km away")
    ready = _ready(key)
    return plant_year(designs()[name], ready.air, ready.design_air, PRESET_LOAD_FRAC, site=key, name=name).pue


@cache
def reported(provider: str) -> tuple[tuple[str, float, float], ...]:
    """Region, PUE of the operator's assumed plant there and PUE reported of it, of every region with normals."""
    path = at_hand(f"cases/{REGIONS}")
    found = []
    for case in read(path) if path else []:
        if case["provider"] == provider and case["pue"]:
            try:
                found.append((case["region"], _at(case, PRESETS[provider]), float(case["pue"])))
            except NotPredicted:
                continue
    return tuple(found)


def own_overhead(provider: str, without: str = "") -> float:
    """PUE that an operator reports above that of its assumed plant, the mean of all regions but one. [1]

    A share of the plant's overhead instead of an addition misses AWS and Azure by 18 and 19 %: what differs there is
    not a matter of climate.

    Raises
    ------
    NotPredicted
        If fewer than two other regions are reported and predicted.
    """
    others = [reported - ours for region, ours, reported in reported(provider) if region != without]
    if len(others) < 2:
        raise NotPredicted(f"{provider} reports fewer than two other regions whose weather is at hand")
    return fmean(others)


def region_by_others(case: Case) -> Mapping[str, float]:
    """PUE of an operator's assumed plant and of what its other regions report above theirs; at least 1. [1]"""
    return {"pue": max(1.0, region(case)["pue"] + own_overhead(case["provider"], case["region"]))}


def findings(cases: Sequence[Case]) -> Sequence[str]:
    """Rank correlation of regions' climate with what is reported of them."""
    pairs = []
    for case in cases:
        if case.get("provider") and case.get("pue"):
            try:
                pairs.append((_at(case, ONE_PLANT), float(case["pue"])))
            except NotPredicted:
                continue
    if len(pairs) < 5:
        return []
    rank = float(spearmanr(*np.array(pairs).T).statistic)
    return [
        f"climate alone does not predict a site: PUE of one plant ({ONE_PLANT}) in the climates of {len(pairs)} "
        f"region-years ranks with the PUE reported of them by {rank:.2f}; age, load and design decide more"
    ]


def parts() -> Sequence[Part]:
    """Tables whose parameters are published, those that rest on assumptions, and each operator's regions."""
    found = [
        Part("Lei 2025, systems 0, 1, 2 and 5", "middle of the published ranges", lambda c: _of(c, "2025", True)),
        Part("Lei and Masanet 2022, systems 1, 2 and 5", "bands alone", lambda c: _of(c, "2022", True)),
        Part("Lei 2025, other systems", "by assumed parameters", lambda c: _of(c, "2025", False)),
        Part("Lei and Masanet 2022, other systems", "by assumed parameters", lambda c: _of(c, "2022", False)),
    ]
    found.append(
        Part(
            "Frontier and ESIF",
            "from load, water and share of liquid; ESIF's installed power is recalled and decides its row",
            lambda c: "it_mean_mw" in c,
        )
    )
    return [*found, *(_operator(name) for name in PRESETS), *(_fitted(name) for name in PRESETS)]


def _of(case: Case, table: str, known: bool) -> bool:
    return "Case" in case and _table(case) == table and stated(case, table) == known


def _table(case: Case) -> str:
    """Which of the two tables a row is of: the later one's rows are told by their cooling system too."""
    return "2025" if "Cooling system" in case else "2022"


def _operator(name: str) -> Part:
    meaning = f"an assumed plant ({PRESETS[name]}), not fitted"
    return Part(f"regions of {name}", meaning, lambda case: case.get("provider") == name)


def _fitted(name: str) -> Part:
    meaning = "the same plant and a constant fitted on the operator's other regions"
    return Part(f"regions of {name}, fitted", meaning, lambda case: case.get("provider") == name, region_by_others)


LEI = ("Case", "Climate Zone", "Data center size")
SUITE = Suite(
    {
        "lei-2025": Kind(
            (*LEI, "Cooling system"),
            {"PUE_p50": "1"},
            lei,
            lambda case: False,
            "modelled PUE by climate zone, median and 5 to 95 % band",
            bands={"PUE_p50": ("PUE_p05", "PUE_p95")},
        ),
        "lei-2022": Kind(
            LEI,
            {"pue_5th": "1"},
            lei,
            lambda case: False,
            "modelled PUE by climate zone, 5 to 95 % band",
            bands={"pue_5th": ("pue_5th", "pue_95th")},
            band_only=True,
        ),
        "hpc": Kind(
            ("it_mean_mw", "it_design_mw", "facility_water_c", "facility_water_rise_k", "liquid_frac", "weather"),
            {"pue": "1"},
            hpc,
            lambda case: False,
            "PUE that supercomputer sites report of a year",
        ),
        "regions": Kind(
            ("year", "provider", "region", "geolocation"),
            {"pue": "1"},
            region,
            lambda case: False,
            "PUE that operators report of their regions",
        ),
    },
    "PUE by climate zone of published models, and reported by operators of regions",
    parts=parts,
    files=("pue-hpc.csv",),
    data_files=tuple(f"cases/{name}" for name in (LEI_2025, LEI_2022, REGIONS)),
    needs_data=True,
    findings=findings,
    checks=cross_check,
)
