"""Weather of climate zones for suites of plants: files of the catalog, of the reference data, and of the user."""

import os
from functools import cache
from pathlib import Path

from dcsim.catalog.reference import ABSENT, at_hand
from dcsim.catalog.weather import read
from dcsim.study.plant import Prepared, at_site, prepare
from dcsim.validate.common import NotPredicted

# Sites by climate zone of ASHRAE 169: a weather year of the catalog, or a file of the reference data.
ZONES: dict[str, tuple[str, ...]] = {
    "1A": ("miami-fl-tmy2",),
    "2B": ("weather/USA_AZ_Phoenix-Sky.Harbor.epw.gz",),
    "3A": ("weather/USA_TX_Dallas-Fort.Worth.epw.gz",),
    "3C": ("weather/USA_CA_San.Jose-Mineta.epw.gz",),
    "4A": ("greensboro-nc-tmy3", "weather/USA_VA_Leesburg.Exec.epw.gz"),
    "4C": ("weather/USA_WA_Seattle-Tacoma.epw.gz",),
    "5A": ("weather/USA_IL_Chicago.OHare.epw.gz",),
}
# Folder of more weather files, each named by its zone first, as 6A-minneapolis.epw.
WEATHER_DIR = "DCSIM_WEATHER_DIR"


def of_zone(zone: str) -> tuple[Prepared, ...]:
    """Every site of a zone that is at hand.

    Raises
    ------
    NotPredicted
        If there is none: no other zone stands in.
    """
    found = [site for name in ZONES.get(zone, ()) if (site := at_place(name)) is not None]
    folder = os.environ.get(WEATHER_DIR)
    if folder:
        names = (f"{zone}-*", f"{zone}_*", f"{zone}.*")
        paths = sorted(path for name in names for path in Path(folder).glob(name))
        found += [_file(path) for path in paths]
    if not found:
        why = f"{ABSENT} ({', '.join(ZONES[zone])})" if zone in ZONES else "no weather of it is at hand"
        raise NotPredicted(f"zone {zone}: {why}; name a folder with --weather-dir that holds {zone}-NAME.epw")
    return tuple(found)


@cache
def at_place(name: str) -> Prepared | None:
    """Air of a weather year of the catalog, or of a file of the reference data; None where it is not at hand."""
    if not name:
        return None
    if "/" not in name:
        return at_site(name)
    path = at_hand(name)
    return None if path is None else _file(path)


@cache
def _file(path: Path) -> Prepared:
    return prepare(read(path, path.name))
