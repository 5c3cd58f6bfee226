"""Registries are plain dicts; this is the one lookup with a did-you-mean error."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from dcsim.errors import UnknownNameError

Entry = TypeVar("Entry")


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the known name closest to *name*, or None where nothing is close."""
    matches = get_close_matches(name, list(names), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown(name: str, names: Iterable[str], what: str) -> str:
    """Say that *name* is not a known *what*, with the nearest name or else all of them."""
    known = sorted(names)
    match = nearest(name, known)
    hint = f"did you mean '{match}'?" if match else f"known: {', '.join(known)}"
    return f"'{name}' is not a known {what}; {hint}"


def lookup(registry: Mapping[str, Entry], name: str, what: str) -> Entry:
    """Return ``registry[name]``.

    Raises
    ------
    UnknownNameError
        If *name* is not registered; the message holds the nearest name.
    """
    try:
        return registry[name]
    except KeyError:
        raise UnknownNameError(unknown(name, registry, what)) from None
