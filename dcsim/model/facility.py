"""What a planner states about the site, the building and its phases."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, Self, Union

from pydantic import Field, model_validator

from dcsim.model.base import Count, Fraction, Lasting, Name, Positive, Stated, Text
from dcsim.model.power import BatteryStorage, ContractedDemand, Ppa, Solar
from dcsim.physics.cooling import COOLING
from dcsim.physics.electrical import PowerChain
from dcsim.physics.fabric import FABRICS
from dcsim.physics.generators import Generators
from dcsim.physics.plant import CoolingPart
from dcsim.registry import unknown

# The pool of facility.server.
MAIN = "main"

if TYPE_CHECKING:
    Cooling = CoolingPart
else:
    # The registry decides which cooling systems a scenario may choose; a new entry there appears here by itself.
    Cooling = Annotated[Union[tuple(system.part for system in COOLING.values())], Field(discriminator="kind")]  # noqa: UP007


class CleanPower(Lasting):
    """Carbon-free power under contract, with its certificates."""

    name: Name
    capacity_mw: Positive = Field(le=5000, description="what it delivers at full output [MW]")
    profile: Text = Field(
        default="flat",
        description="flat, or the path of a CSV with a column capacity_frac, the output over the capacity of each hour "
        "of a year in local standard time, relative to the scenario file; a developer's 8,760 h estimate",
    )
    certificate_usd_per_mwh: Annotated[float, Field(strict=True, ge=0, le=1000)] = Field(
        description="paid for each MWh delivered, used or not, on top of the tariff; nominal [USD/MWh]"
    )


class Site(Stated):
    """Where the facility stands and what it is connected to."""

    name: Text
    utility_mw: Positive = Field(le=5000, description="power that the utility connection delivers at the meter [MW]")
    weather: Text = Field(
        description="a weather year of the catalog, or the path of an EPW or TMY3 file, relative to the scenario file"
    )
    design_margin_k: Annotated[float, Field(strict=True, ge=0, le=10)] | None = Field(
        default=None,
        description="added to the hottest dry bulb and wet bulb of the weather year to get the design hour; a typical "
        "year misses the extremes of a longer record; the catalog's if absent [K]",
    )
    tariff: Name = Field(description="key in the catalog's tariffs")
    contract: tuple[ContractedDemand, ...] = Field(
        default=(),
        description="contracted demand, in steps where it is ramped; it matters for tariffs with a minimum alone; "
        "utility_mw if empty",
    )
    carbon: Name = Field(description="key in the catalog's carbon tables")
    clean_power: tuple[CleanPower, ...] = Field(
        default=(), description="carbon-free power under contract; it moves market-based and hourly-matched carbon only"
    )
    ppas: tuple[Ppa, ...] = Field(
        default=(),
        description="power purchase agreements, physical and virtual; physical ones are used in the order stated",
    )
    solar: Solar | None = Field(default=None, description="photovoltaics behind the meter; none if absent")
    battery: BatteryStorage | None = Field(default=None, description="battery behind the meter; none if absent")
    residual_mix_kg_per_kwh: Annotated[float, Field(strict=True, ge=0, le=2)] | None = Field(
        default=None,
        description="carbon intensity of energy that no contract covers; the grid's own, hour by hour, if absent: too "
        "low where others claim its clean part [kg/kWh]",
    )
    diesel: Name = Field(default="us-diesel-2024", description="key of the price of diesel")
    water: Name = Field(default="loudoun-water-2024", description="key of the water and sewer prices")
    proxies: dict[Literal["weather", "tariff", "carbon", "water"], Text] = Field(
        default_factory=dict,
        description="inputs that stand in for the site's own, each with the reason; every output says so",
    )

    @model_validator(mode="after")
    def _ppas_are_told_apart(self) -> Self:
        names = [ppa.name for ppa in self.ppas]
        if len(set(names)) < len(names):
            raise ValueError(f"ppas: two share a name: {', '.join(names)}; name each once")
        return self

    @model_validator(mode="after")
    def _contract_is_in_order(self) -> Self:
        starts = [step.start for step in self.contract]
        if None in starts[1:]:
            raise ValueError("contract: every step but the first needs a start")
        dates = [start for start in starts if start is not None]
        if any(later <= earlier for earlier, later in pairwise(dates)):
            raise ValueError("contract: steps must be listed in the order of their starts, each once")
        return self


class Racks(Stated):
    """Rack slots and what feeds them."""

    feed_kw: Positive = Field(le=2000, description="rating of the feed of one rack [kW]")
    continuous_frac: Fraction = Field(default=0.8, description="share of the feed usable continuously (NEC 210.20)")
    height_u: Count = Field(default=48, le=70, description="rack units for servers")
    servers_per_rack: Count | None = Field(default=None, description="stated density; else as many as fit")


class Fabric(Stated):
    """The compute network, sized by formula."""

    kind: Name = Field(default="fat_tree", description=f"one of {', '.join(FABRICS)}")
    switch: Name = Field(default="qm9700", description="key in the catalog's switches")
    optic: Name = Field(default="osfp-400g-sr4", description="key in the catalog's optics")
    oversubscription: float = Field(default=1.0, ge=1, le=16, strict=True, description="leaf down-links over up-links")
    host_links: Literal["optical", "copper"] = Field(default="optical", description="cable between server and leaf")


MigInstances = Annotated[int, Field(strict=True, ge=1, le=7)]
MIG_MEANING = (
    "instances into which each GPU is split (MIG), all alike; a job of one GPU gets one, and larger ones go elsewhere"
)
TimeSlicesCount = Annotated[int, Field(strict=True, ge=1, le=48)]
SLICES_MEANING = (
    "jobs of one GPU that use each GPU in turns, at most; they slow each other once they need more than all of it, see "
    "workload.gpu_time_frac; larger jobs go elsewhere"
)
RunsIn = Literal["servers", "containers", "virtual_machines"]
RUNS_IN_MEANING = "servers themselves, containers or virtual machines, at the speed that the catalog has for each"


class Storage(Stated):
    """Shared storage of the site, beside that of storage servers in pools.

    Its power and price are in the share of storage and support servers; lower facility.support_power_frac where pools
    hold them.
    """

    capacity_tb: Positive = Field(description="usable capacity [TB]")
    write_gb_s: Positive | None = Field(
        default=None, description="rate at which it takes checkpoints; no limit if absent [GB/s]"
    )


class ServerPool(Stated):
    """Servers of another kind or generation, with a network and a queue of their own."""

    server: Name = Field(description="key in the catalog's servers, or a published spelling of it")
    server_design_kw: Positive | None = Field(
        default=None,
        description="power per server on which feeds and plant are sized; the catalog's peak if absent [kW]",
    )
    gpu_profile: Text | None = Field(
        default=None, description="how fast its GPUs are, as facility.gpu_profile; the nearest fitted one if absent"
    )
    racks: Racks | None = Field(default=None, description="its rack slots; those of the facility if absent")
    fabric: Fabric | None = Field(default=None, description="its compute network; as the facility's if absent")
    speed: dict[Name, Positive] = Field(
        default_factory=dict,
        description="speed of a GPU, or of an instance of one, by workload class over that for which run times are "
        "given, a whole GPU of the main pool; from step times where workload.class_models names a model, else 1, times "
        "the instance's share and that of virtual machines",
    )
    mig_instances: MigInstances = Field(default=1, description=MIG_MEANING)
    time_slices: TimeSlicesCount = Field(default=1, description=SLICES_MEANING)
    runs_in: RunsIn = Field(default="servers", description=RUNS_IN_MEANING)


class Schedule(Stated):
    """When something is ordered and when it stands on the floor, ready for power."""

    order: datetime.date
    delivery: datetime.date
    draws: tuple[Fraction, ...] = Field(
        default=(),
        description="shares of the price paid in equal steps from order to delivery, which sum to 1; if empty, evenly "
        "by month for construction and economics.hardware_deposit_frac on order for hardware",
    )

    @model_validator(mode="after")
    def _draws_are_whole(self) -> Self:
        if self.draws and abs(sum(self.draws) - 1.0) > 1e-9:
            raise ValueError(f"draws sum to {sum(self.draws):g}, not 1")
        return self

    @model_validator(mode="after")
    def _delivery_follows_order(self) -> Self:
        if self.delivery < self.order:
            raise ValueError(f"delivery {self.delivery} is before order {self.order}; swap or correct the dates")
        return self


class Phase(Stated):
    """One build phase: what it may use, when it is bought and when it is energised."""

    name: Name
    pool: Name = Field(default=MAIN, description="pool that its servers join: main, or a key of facility.pools")
    utility_mw: Positive = Field(description="share of the utility connection that this phase may draw [MW]")
    rack_slots: Count
    critical_kw: Positive | None = Field(
        default=None, description="IT power that its UPS may carry; sized if absent [kW]"
    )
    cooling_kw: Positive | None = Field(
        default=None, description="heat that its plant may remove; sized if absent [kW]"
    )
    budget_usd: Positive | None = Field(default=None, description="capital that it may spend [USD]")
    servers: Annotated[int, Field(strict=True, ge=1)] | Literal["max"] = Field(
        default="max", description="servers to install, or max for as many as the limits allow"
    )
    construction: Schedule
    hardware: Schedule
    energised: datetime.date = Field(description="when its servers take jobs")

    @model_validator(mode="after")
    def _energised_after_deliveries(self) -> Self:
        for what, schedule in (("construction", self.construction), ("hardware", self.hardware)):
            if self.energised < schedule.delivery:
                raise ValueError(
                    f"energised {self.energised} is before the delivery of its {what} on {schedule.delivery}; "
                    "energise later or deliver earlier"
                )
        return self


@dataclass(frozen=True)
class PoolParts:
    """A pool with every part known; ``own`` are those of racks and network that it states itself."""

    name: str
    server: str
    server_design_kw: float | None
    gpu_profile: str | None
    racks: Racks
    fabric: Fabric
    mig_instances: int = 1
    time_slices: int = 1
    runs_in: RunsIn = "servers"
    speed: Mapping[str, float] = field(default_factory=dict)
    own: frozenset[str] = frozenset()

    def place(self, *path: str) -> tuple[str, ...]:
        """Where a part of it stands in the scenario."""
        shared = path[0] in ("racks", "fabric") and path[0] not in self.own
        return ("facility", *path) if self.name == MAIN or shared else ("facility", "pools", self.name, *path)


class Conversion(Stated):
    """From air to liquid: on a day the plant and the servers become others; power, network and storage stay."""

    on: datetime.date = Field(description="day from which the new parts work; the first of a month")
    server: Name = Field(description="key in the catalog's servers, with the same GPUs")
    cooling: Cooling
    construction: Schedule = Field(description="order and delivery of the plant and its pipes")
    hardware: Schedule = Field(description="order and delivery of the servers")
    usd_per_critical_kw: Positive | None = Field(
        default=None, description="retrofit of plant, pipes and white space; the catalog's if absent [USD/kW]"
    )
    outage_days: Annotated[float, Field(strict=True, ge=0, le=365)] = Field(
        default=14.0, description="time for which each node is out, from that day on [d]"
    )
    share_at_once: Annotated[float, Field(strict=True, gt=0, le=1)] = Field(
        default=1.0, description="share of the nodes that is out at once: 1 for all, less to go hall by hall"
    )

    @model_validator(mode="after")
    def _is_delivered_in_time(self) -> Self:
        if self.on.day != 1:
            raise ValueError(f"on {self.on} must be the first day of a month; bills are monthly")
        for what, schedule in (("construction", self.construction), ("hardware", self.hardware)):
            if self.on < schedule.delivery:
                raise ValueError(f"on {self.on} is before the delivery of its {what} on {schedule.delivery}")
        return self


class Facility(Stated):
    """Servers, racks, fabric, power chain and plant."""

    server: Name = Field(description="key in the catalog's servers, or a published spelling of it")
    server_design_kw: Positive | None = Field(
        default=None,
        description="power per server on which feeds and plant are sized; the catalog's peak if absent [kW]",
    )
    gpu_profile: Text | None = Field(
        default=None,
        description="how fast its GPUs are: a profile that `dcsim calibrate` wrote, as a path relative to the scenario "
        "file, or the name of a fitted one; the nearest fitted one if absent",
    )
    mig_instances: MigInstances = Field(default=1, description=MIG_MEANING)
    time_slices: TimeSlicesCount = Field(default=1, description=SLICES_MEANING)
    runs_in: RunsIn = Field(default="servers", description=RUNS_IN_MEANING)
    racks: Racks
    fabric: Fabric = Fabric()
    power: PowerChain = PowerChain()
    generators: Generators = Generators()
    cooling: Cooling
    power_oversubscription: Annotated[float, Field(strict=True, ge=1, le=2)] = Field(
        default=1.0,
        description="design power of all servers over what UPS, plant and utility are sized for, since not all draw it "
        "at once; feeds of racks keep their size. Nothing is capped: a plan whose interval exceeds a rating is "
        "refused, so see it_peak_frac first",
    )
    support_power_frac: Fraction | None = Field(
        default=None,
        description="storage, management and login servers over the GPU servers' design power; the catalog's if absent",
    )
    lighting_frac: Fraction | None = Field(
        default=None,
        description="lighting, offices and building services over the design IT power; the catalog's if absent",
    )
    pools: dict[Name, ServerPool] = Field(
        default_factory=dict, description="pools of other servers, beside the main one of facility.server"
    )
    conversion: Conversion | None = Field(
        default=None, description="from air to liquid within the plan; none if absent"
    )
    storage: Storage | None = Field(default=None, description="shared storage, for its headroom; not counted if absent")
    phases: tuple[Phase, ...] = Field(min_length=1)

    def pool(self, name: str) -> PoolParts:
        """What a pool is made of, the facility's racks and network where it states none."""
        if name == MAIN:
            return PoolParts(
                MAIN,
                self.server,
                self.server_design_kw,
                self.gpu_profile,
                self.racks,
                self.fabric,
                self.mig_instances,
                self.time_slices,
                self.runs_in,
            )
        of = self.pools[name]
        return PoolParts(
            name,
            of.server,
            of.server_design_kw,
            of.gpu_profile,
            of.racks or self.racks,
            of.fabric or self.fabric,
            of.mig_instances,
            of.time_slices,
            of.runs_in,
            of.speed,
            frozenset(part for part in ("racks", "fabric") if getattr(of, part) is not None),
        )

    @property
    def pool_names(self) -> tuple[str, ...]:
        """Pools that have a phase, the main one first, then as stated."""
        used = {phase.pool for phase in self.phases}
        return tuple(name for name in (MAIN, *self.pools) if name in used)

    @model_validator(mode="after")
    def _phases_are_distinct_and_ordered(self) -> Self:
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f"two phases share a name: {', '.join(names)}; name each once")
        if MAIN in self.pools:
            raise ValueError(f"pools: '{MAIN}' is the pool of facility.server; name the other one otherwise")
        for index, phase in enumerate(self.phases):
            if phase.pool not in (MAIN, *self.pools):
                raise ValueError(f"phases[{index}].pool: {unknown(phase.pool, (MAIN, *self.pools), 'pool')}")
        idle = [name for name in self.pools if name not in self.pool_names]
        if idle:
            raise ValueError(f"pools: '{idle[0]}' has no phase; state its name as the pool of one, or leave it out")
        for name in self.pool_names:
            if self.pool(name).mig_instances > 1 and self.pool(name).time_slices > 1:
                raise ValueError(f"pool '{name}' has both mig_instances and time_slices; GPUs are split in one way")
        dates = [phase.energised for phase in self.phases]
        if dates != sorted(dates):
            raise ValueError("phases must be listed in the order of their energised dates")
        return self
