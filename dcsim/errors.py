"""Errors that a user can act on: each says where, what was given, the rule and the way out.

Physics and loaders raise these; ``cli.py`` alone turns a :class:`DcsimError` into a message and an exit code.
"""

from dataclasses import dataclass


class DcsimError(Exception):
    """Base of every error that dcsim raises on purpose; 3 = it failed while running."""

    exit_code = 3


class UsageError(DcsimError):
    """A command was given something that it cannot use."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name is in no registry or catalog; the message carries the nearest one."""


class RangeError(UsageError, ValueError):
    """An argument is outside the range in which a formula is valid."""


class CapacityError(UsageError):
    """A load exceeds the rating of the equipment that must carry it."""


@dataclass(frozen=True, order=True)
class Problem:
    """One fault in an input file.

    ``line`` is 1-based and 0 where the fault belongs to the file as a whole; ``path`` is the dotted place inside it.
    """

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        """Format as ``line 14  halls[1].cooling.kind: 'x' is not ...``."""
        place = f"line {self.line}  " if self.line else ""
        return f"{place}{self.path + ': ' if self.path else ''}{self.message}"


class InputError(UsageError):
    """An input file has faults, all of which are listed."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = sorted(problems)
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {problem}" for problem in self.problems)]))
