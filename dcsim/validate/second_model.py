"""Five reference designs under our plants and under a second, simpler model of ours: a cross-check, not accuracy."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcsim.catalog.reference import at_hand
from dcsim.physics.cooling_air import WaterCooledChiller, WaterCooledEconomiser
from dcsim.physics.cooling_liquid import DirectLiquidAdiabatic
from dcsim.physics.electrical import PowerChain
from dcsim.physics.liquid_on_towers import DirectLiquidTower
from dcsim.physics.outside_air import AirEconomiserEvaporative
from dcsim.study.plant import Design, PlantYear, plant_year
from dcsim.validate.sites import at_place

FILE = "cases/pue_reference_designs.csv"
IT_LOAD_FRAC = 0.8
# Sites of the table whose weather file is in the reference data; the others are left out.
PLACES: Mapping[str, str] = {
    "Phoenix AZ (2B)": "weather/USA_AZ_Phoenix-Sky.Harbor.epw.gz",
    "Ashburn VA (4A)": "weather/USA_VA_Leesburg.Exec.epw.gz",
    "Chicago IL (5A)": "weather/USA_IL_Chicago.OHare.epw.gz",
    "Seattle WA (4C)": "weather/USA_WA_Seattle-Tacoma.epw.gz",
    "Dallas TX (3A)": "weather/USA_TX_Dallas-Fort.Worth.epw.gz",
    "San Jose CA (3C)": "weather/USA_CA_San.Jose-Mineta.epw.gz",
}
# That model has no base load and counts its lighting over the IT load; air handlers in reserve run along, each slower.
NO_BASE: Mapping[str, Any] = {"base_frac": 0.0}
SLOWED: Mapping[str, Any] = {**NO_BASE, "fan_redundancy": 1.0 / 0.85}


@dataclass(frozen=True)
class Reference:
    """A reference design, and why our answer for it differs from the second model's."""

    design: Design
    why: str


DESIGNS: dict[str, Reference] = {
    "R1": Reference(
        Design(
            WaterCooledChiller(
                **NO_BASE,
                supply_air_temp_c=18.0,
                air_delta_t_k=9.0,
                fan_pressure_pa=450.0,
                fan_efficiency_frac=0.6,
                fan_redundancy=1.0,
                chilled_water_supply_c=7.0,
                chilled_water_delta_t_k=6.0,
                chilled_pump_pressure_pa=250e3,
                pump_efficiency_frac=0.7,
                coil_latent_frac=0.03,
                condenser_range_k=5.5,
                condenser_pump_pressure_pa=220e3,
                carnot_frac=0.58,
                condenser_water_min_c=22.0,
                cycles_of_concentration=4.0,
            ),
            PowerChain(redundancy="2N", ups="legacy", pdu="transformer"),
            0.0,
            0.02 * IT_LOAD_FRAC,
        ),
        "fans here carry the heat of the power chain too; distribution there loses 2.5 % at any load",
    ),
    "R2": Reference(
        Design(
            WaterCooledEconomiser(
                **NO_BASE,
                air_delta_t_k=11.0,
                fan_pressure_pa=300.0,
                fan_efficiency_frac=0.65,
                condenser_range_k=5.5,
            ),
            PowerChain(redundancy="N+1", ups="modern", pdu="transformer"),
            0.0,
            0.01 * IT_LOAD_FRAC,
        ),
        "its towers stay 4 K above the wet bulb in any weather; ours come less near in the cold, and chillers run on",
    ),
    "R3": Reference(
        Design(
            AirEconomiserEvaporative(**SLOWED),
            PowerChain(redundancy="N+1", ups="eco", pdu="transformer"),
            0.0,
            0.005 * IT_LOAD_FRAC,
        ),
        "distribution transformers here lose more; half of the UPS's heat there never reaches the halls",
    ),
    "R4": Reference(
        Design(
            DirectLiquidAdiabatic(
                **SLOWED,
                facility_water_supply_c=40.0,
                facility_water_max_c=45.0,
                air_delta_t_k=11.0,
                fan_pressure_pa=300.0,
                fan_efficiency_frac=0.65,
                cycles_of_concentration=20.0,
            ),
            PowerChain(redundancy="4N/3", ups="modern", pdu="transformer"),
            0.85,
            0.005 * IT_LOAD_FRAC,
        ),
        "pads there are never flushed; coolers here share a part load and turn slower",
    ),
    "R5": Reference(
        Design(
            DirectLiquidTower(
                **NO_BASE,
                condenser_range_k=7.0,
                condenser_pump_pressure_pa=180e3,
                cycles_of_concentration=6.0,
            ),
            PowerChain(redundancy="N", ups="none", pdu="busway"),
            1.0,
            0.002 * IT_LOAD_FRAC,
        ),
        "coolant pumps here follow a rack's table of flow and pressure, and take a third of what they take there",
    ),
}


@dataclass(frozen=True)
class Pair:
    """One design at one site by our plants, and PUE, water and compressors over IT power by the second model."""

    site: str
    design: str
    ours: PlantYear
    pue: float
    wue_l_per_kwh: float
    compressors: float


def pairs(path: Path) -> list[Pair]:
    """Every row of a table of the second model whose weather is at hand."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        ready = at_place(PLACES.get(row["site"], ""))
        if ready is not None:
            of = DESIGNS[row["design"]].design
            ours = plant_year(of, ready.air, ready.design_air, IT_LOAD_FRAC, site=row["site"], name=row["design"])
            pue, wue, compressors = (float(row[column]) for column in ("pue", "wue", "chiller"))
            found.append(Pair(row["site"], row["design"], ours, pue, wue, compressors))
    return found


def cross_check() -> Sequence[str]:
    """How far both models are apart, design by design, and why."""
    path = at_hand(FILE)
    found = pairs(path) if path else []
    lines = []
    for name, reference in DESIGNS.items():
        of = [pair for pair in found if pair.design == name]
        if of:
            apart = [pair.ours.pue - pair.pue for pair in of]
            water = [pair.ours.wue_l_per_kwh - pair.wue_l_per_kwh for pair in of]
            lines.append(
                f"cross-check against a second model of ours, no measurement: {name} at {len(of)} sites, PUE "
                f"{min(apart):+.3f} to {max(apart):+.3f}, water {min(water):+.2f} to {max(water):+.2f} L/kWh: "
                f"{reference.why}"
            )
    return lines
