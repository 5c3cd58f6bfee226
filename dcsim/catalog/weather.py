"""A weather year from the catalog or from a file of the planner, read with pvlib, checked and repaired in the open."""

import csv
import gzip
import hashlib
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dcsim.catalog.load import folder
from dcsim.errors import InputError, Problem, UnknownNameError
from dcsim.physics.psychrometrics import standard_pressure_pa
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

    ``notes`` says, in sentences, what was found and repaired.
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
        Gives that file, made absolute; EPW or TMY3, plain or gzip, told apart by its first line.

    Raises
    ------
    UnknownNameError
        If there is no such station or file.
    InputError
        If the file is not a whole plausible year; every fault is listed.
    """
    known = stations()
    if name in known:
        station = known[name]
        return read(Path(str(files("pvlib"))) / "data" / station["pvlib_file"], name=station["name"])
    file = path()
    if not file.is_file():
        hint = unknown(name, known, "weather year")
        raise UnknownNameError(f"{hint}; nor is it a file: name an EPW or TMY3 file, relative to the scenario file")
    return read(file, name=file.name)


def read(path: Path, name: str) -> WeatherYear:
    """Read one EPW or TMY3 file; errors as for :func:`weather`."""
    raw = path.read_bytes()
    try:
        content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (EOFError, OSError) as error:
        raise InputError(str(path), [Problem(0, "", f"the gzip file is damaged or truncated: {error}")]) from None
    frame, meta, source = _parse(content, path)
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
    )


def _parse(content: bytes, path: Path) -> tuple[pd.DataFrame, dict[str, float], str]:
    """Hand the file to pvlib; returns temp_air, temp_dew [degC] and pressure [Pa], and the station."""
    from pvlib import iotools

    is_epw = content[:8].upper() == b"LOCATION"
    try:
        with tempfile.NamedTemporaryFile(suffix=".epw" if is_epw else ".csv") as plain:
            plain.write(content)
            plain.flush()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if is_epw:
                    data, meta = iotools.read_epw(plain.name)
                    pressure = data["atmospheric_pressure"].where(data["atmospheric_pressure"] < 999_999)
                    station = f"{meta['city']}, {meta['data_type']}, WMO {meta['WMO_code']}"
                else:
                    data, meta = iotools.read_tmy3(plain.name, map_variables=True)
                    pressure = data["pressure"] * 100.0
                    station = f"{meta['Name']}, TMY3, WMO {meta['USAF']}"
        frame = pd.DataFrame(
            {
                "temp_air": data["temp_air"].to_numpy(dtype=float),
                "temp_dew": data["temp_dew"].to_numpy(dtype=float),
                "pressure": pressure.to_numpy(dtype=float),
            }
        )
    except (KeyError, ValueError, IndexError, TypeError, pd.errors.ParserError, UnicodeDecodeError) as error:
        kind = "an EPW" if is_epw else "a TMY3"
        message = (
            f"cannot be read as {kind} file ({type(error).__name__}: {error}); dcsim reads EPW (first word LOCATION) "
            "and TMY3 (station line, header line, 8760 rows)"
        )
        raise InputError(str(path), [Problem(0, "", message)]) from None
    return frame, meta, station


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
