"""A weather year from the catalog or from a file of the planner, read with pvlib, checked and repaired in the open."""

import csv
import gzip
import hashlib
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.catalog.load import folder
from dcsim.catalog.normals import site, sites, synthetic_year
from dcsim.catalog.radiation import Radiation, radiation
from dcsim.errors import InputError, Problem, UnknownNameError
from dcsim.physics.psychrometrics import dew_point_c, humidity_ratio_from_rel_hum, standard_pressure_pa
from dcsim.registry import unknown

Floats = NDArray[np.float64]

MAX_GAP_H = 24
MAX_REPAIRED_FRAC = 0.02
MAX_DEW_POINT_C = 30.0
DEW_POINT_TOLERANCE_K = 0.2  # both temperatures are reported to 0.1 K
STUCK_RUN_H = 72


@dataclass(frozen=True)
class WeatherYear:
    """A year of hours, row i for the hour from i to i + 1 in local standard time.

    ``notes`` says, in sentences, what was found and repaired. ``extremes_c`` is the highest dry bulb and wet bulb of
    the record where it is longer than the year, or where the year was made from normals; plant is sized on them.
    ``radiation`` is None where the file holds none.
    """

    name: str
    source: str
    sha256: str
    dry_bulb_c: Floats
    dew_point_c: Floats
    pressure_pa: Floats
    utc_offset_h: float
    elevation_m: float
    notes: tuple[str, ...]
    extremes_c: tuple[float, float] | None = None
    radiation: Radiation | None = None

    @property
    def hours(self) -> int:
        """8760, or 8784 in a leap year."""
        return len(self.dry_bulb_c)


def stations() -> dict[str, dict[str, str]]:
    """Weather years that come with dcsim, by key."""
    with (folder() / "weather.csv").open(newline="", encoding="utf-8") as file:
        return {record["key"]: record for record in csv.DictReader(file)}


def weather(name: str, path: Callable[[], Path]) -> WeatherYear:
    """Read a weather year.

    Parameters
    ----------
    name : str
        Key of a shipped station, or the path of a file as the scenario states it.
    path : callable
        Gives that file, made absolute; EPW, TMY3, TMY2 or CSV, plain or gzip, told apart by its first line.

    Raises
    ------
    UnknownNameError
        If there is no such station or file.
    InputError
        If the file is not a whole plausible year; every fault is listed.
    """
    known = stations()
    if name in known or name in sites():
        return _shipped(name)
    file = path()
    if not file.is_file():
        hint = unknown(name, [*known, *sites()], "weather year")
        raise UnknownNameError(
            f"{hint}; nor is it a file: name an EPW, TMY3, TMY2 or CSV file, relative to the scenario file"
        )
    return read(file, name=file.name)


@lru_cache(maxsize=8)  # a study prepares the same plan many times, and reading a year is half of that
def _shipped(name: str) -> WeatherYear:
    """Year of a station or site that comes with dcsim."""
    if name not in (known := stations()):
        return from_normals(name)
    return read(Path(str(files("pvlib"))) / "data" / known[name]["pvlib_file"], name=known[name]["name"])


def from_normals(key: str, *, seed: int = 0, draw: int | None = None) -> WeatherYear:
    """Year made from the monthly normals of a site; see :func:`dcsim.catalog.normals.synthetic_year`.

    Raises
    ------
    UnknownNameError
        If there are no normals of it.
    """
    of = site(key)
    dry, dew, pressure, digest = synthetic_year(of, seed=seed, draw=draw)
    note = (
        f"the year of {of.name} was made from monthly normals ({of.years}): fit for energy and water, not for peaks; "
        "plant is sized on the record's extremes"
    )
    return WeatherYear(
        of.name,
        f"monthly normals, {of.source}",
        digest,
        dry,
        dew,
        pressure,
        utc_offset_h=round(of.longitude_deg / 15.0),
        elevation_m=of.elevation_m,
        notes=(note,),
        extremes_c=(of.dry_bulb_max_c, of.wet_bulb_max_c),
    )


def read(path: Path, name: str) -> WeatherYear:
    """Read one EPW, TMY3, TMY2 or CSV file; errors as for :func:`weather`."""
    raw = path.read_bytes()
    try:
        content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (EOFError, OSError) as error:
        raise InputError(str(path), [Problem(0, "", f"the gzip file is damaged or truncated: {error}")]) from None
    frame, meta, source, sun = _parse(content, path)
    notes: list[str] = []
    problems: list[str] = []
    columns = _checked(frame, float(meta["altitude"]), notes, problems)
    if problems:
        raise InputError(str(path), [Problem(0, "", problem) for problem in problems])
    return WeatherYear(
        name,
        source,
        hashlib.sha256(content).hexdigest(),
        *columns,
        utc_offset_h=float(meta["TZ"]),
        elevation_m=float(meta["altitude"]),
        notes=tuple(notes),
        radiation=sun,
    )


def _kind(content: bytes) -> str:
    """Format of a weather file, by its first line."""
    first = content[:400].decode("utf-8", "replace").splitlines()[0] if content else ""
    if first.upper().startswith("LOCATION"):
        return "EPW"
    if re.match(r"\s*\d{5}\s+\S", first) and "," not in first:
        return "TMY2"
    return "CSV" if DRY_BULB in content[:2000].decode("utf-8", "replace") else "TMY3"


# Columns of a plain CSV: dry bulb, and dew point or relative humidity; pressure, radiation and wind if they are known.
DRY_BULB, DEW_POINT, RELATIVE, PRESSURE = "dry_bulb_c", "dew_point_c", "rel_hum_frac", "pressure_pa"
SUN, WIND = ("ghi_w_m2", "dni_w_m2", "dhi_w_m2"), "wind_m_s"


def _parse(content: bytes, path: Path) -> tuple[pd.DataFrame, dict[str, float], str, Radiation | None]:
    """Hand the file to pvlib; returns temp_air, temp_dew [degC] and pressure [Pa], the station, and its radiation."""
    kind = _kind(content)
    try:
        with tempfile.NamedTemporaryFile(suffix=".epw" if kind == "EPW" else ".csv") as plain:
            plain.write(content)
            plain.flush()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dry, dew, pressure, meta, station, sun = READERS[kind](plain.name)
        columns = {"temp_air": dry, "temp_dew": dew, "pressure": pressure}
        frame = pd.DataFrame({name: np.asarray(values, dtype=float) for name, values in columns.items()})
    except (KeyError, ValueError, IndexError, TypeError, pd.errors.ParserError, UnicodeDecodeError) as error:
        message = (
            f"cannot be read as a {kind} file ({type(error).__name__}: {error}); dcsim reads EPW (first word "
            f"LOCATION), TMY3 (station line, header line, 8760 rows), TMY2 and CSV with columns {DRY_BULB}, "
            f"{DEW_POINT} or {RELATIVE}, and {PRESSURE} if known"
        )
        raise InputError(str(path), [Problem(0, "", message)]) from None
    return frame, meta, station, sun


Parsed = tuple[Any, Any, Any, dict[str, float], str, Radiation | None]


def _sun(data: Any, meta: Any, *columns: str) -> Radiation | None:
    """Radiation of what pvlib read: global, direct, diffuse, wind."""
    return radiation(float(meta["latitude"]), float(meta["longitude"]), *(data[column] for column in columns))


def _epw(name: str) -> Parsed:
    from pvlib import iotools

    data, meta = iotools.read_epw(name)
    pressure = data["atmospheric_pressure"].where(data["atmospheric_pressure"] < 999_999)
    station = f"{meta['city']}, {meta['data_type']}, WMO {meta['WMO_code']}"
    sun = _sun(data, meta, "ghi", "dni", "dhi", "wind_speed")
    return data["temp_air"], data["temp_dew"], pressure, meta, station, sun


def _tmy3(name: str) -> Parsed:
    from pvlib import iotools

    data, meta = iotools.read_tmy3(name, map_variables=True)
    station = f"{meta['Name']}, TMY3, WMO {meta['USAF']}"
    sun = _sun(data, meta, "ghi", "dni", "dhi", "wind_speed")
    return data["temp_air"], data["temp_dew"], data["pressure"] * 100.0, meta, station, sun


def _tmy2(name: str) -> Parsed:
    from pvlib import iotools

    data, meta = iotools.read_tmy2(name)
    # Tenths of a degree and of a metre a second, and millibars.
    sun = _sun(data.assign(wind=data["Wspd"] / 10.0), meta, "GHI", "DNI", "DHI", "wind")
    station = f"{meta['City']} {meta['State']}, TMY2, WBAN {meta['WBAN']}"
    return data["DryBulb"] / 10.0, data["DewPoint"] / 10.0, data["Pressure"] * 100.0, meta, station, sun


def _csv(name: str) -> Parsed:
    text = Path(name).read_text(encoding="utf-8")
    known_of = "elevation_m|utc_offset_h|latitude_deg|longitude_deg"
    told = dict(re.findall(rf"^#\s*({known_of})\s*[:=]\s*(-?[\d.]+)", text, re.MULTILINE))
    data = pd.read_csv(name, comment="#")
    dry = data[DRY_BULB].to_numpy(dtype=float)
    elevation = float(told.get("elevation_m", 0.0))
    pressure = np.full(len(dry), np.nan)
    if PRESSURE in data:
        pressure = data[PRESSURE].to_numpy(dtype=float)
    if DEW_POINT in data:
        dew = data[DEW_POINT].to_numpy(dtype=float)
    else:
        relative = np.clip(data[RELATIVE].to_numpy(dtype=float), 0.01, 1.0)
        known = np.where(np.isfinite(pressure), pressure, float(standard_pressure_pa(elevation)))
        good = np.isfinite(dry) & np.isfinite(relative)
        dew = np.full(len(dry), np.nan)
        dew[good] = dew_point_c(humidity_ratio_from_rel_hum(dry[good], relative[good], known[good]), known[good])
    sun = None
    if {*SUN, WIND} <= set(data) and {"latitude_deg", "longitude_deg"} <= set(told):
        place = (float(told["latitude_deg"]), float(told["longitude_deg"]))
        sun = radiation(*place, *(data[column] for column in (*SUN, WIND)))
    return dry, dew, pressure, {"altitude": elevation, "TZ": float(told.get("utc_offset_h", 0.0))}, "CSV", sun


READERS: dict[str, Callable[[str], Parsed]] = {"EPW": _epw, "TMY3": _tmy3, "TMY2": _tmy2, "CSV": _csv}


def _checked(
    frame: pd.DataFrame, elevation_m: float, notes: list[str], problems: list[str]
) -> tuple[Floats, Floats, Floats]:
    """Check a year and repair what may be repaired; *notes* and *problems* say what was found."""
    hours = len(frame)
    if hours not in (8760, 8784):
        problems.append(f"holds {hours} hours; a year has 8760 or 8784")
    dry = frame["temp_air"].to_numpy(copy=True)
    dew = frame["temp_dew"].to_numpy(copy=True)
    pressure = frame["pressure"].to_numpy(copy=True)
    dry[(dry < -70) | (dry > 60)] = np.nan
    dew[(dew < -90) | (dew > 60)] = np.nan

    humid = dew > MAX_DEW_POINT_C
    if humid.any():
        notes.append(f"{humid.sum()} hours with a dew point above {MAX_DEW_POINT_C:g} degC were rejected")
    above = (dew > dry + DEW_POINT_TOLERANCE_K) & ~humid
    if above.any():
        notes.append(f"{above.sum()} hours with a dew point above the dry bulb were rejected")
    dew[humid | above] = np.nan
    constant = float(np.nanstd(dew)) < 0.1 if not np.isnan(dew).all() else True
    if constant:
        problems.append("its humidity never changes, which is no measurement")
    elif (run := _longest_run(dew)) > STUCK_RUN_H:
        problems.append(
            f"its dew point stands still for {run} hours, longer than the {STUCK_RUN_H} h of a stuck sensor"
        )

    for what, values in (("dry bulb", dry), ("dew point", dew)):
        missing = np.isnan(values)
        if not missing.any():
            continue
        longest = _longest_run(np.where(missing, 1.0, np.nan))
        if missing.mean() > MAX_REPAIRED_FRAC or longest > MAX_GAP_H:
            problems.append(
                f"{missing.sum()} hours of {what} are missing or rejected, the longest gap {longest} h; at most "
                f"{MAX_REPAIRED_FRAC:.0%} and {MAX_GAP_H} h can be repaired"
            )
        else:
            notes.append(f"{missing.sum()} hours of {what} were interpolated, the longest gap {longest} h")
            index = np.arange(hours)
            values[missing] = np.interp(index[missing], index[~missing], values[~missing], period=hours)
    standard = float(standard_pressure_pa(elevation_m))
    implausible = ~((pressure > 0.8 * standard) & (pressure < 1.1 * standard))
    if implausible.any():
        notes.append(f"{implausible.sum()} hours without a plausible pressure got that of {elevation_m:g} m altitude")
        pressure[implausible] = standard
    return dry, np.minimum(dew, dry), pressure


def _longest_run(values: Floats) -> int:
    """Length of the longest run of equal finite values."""
    same = values[1:] == values[:-1]
    breaks = np.flatnonzero(~np.concatenate([[False], same, [False]]))
    return int(np.diff(breaks).max()) if np.isfinite(values).any() else 0
