"""The base of every stated model, and the number types with their ranges."""

import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(strict=True, gt=0)]
NonNegative = Annotated[float, Field(strict=True, ge=0)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]
Rate = Annotated[float, Field(strict=True, gt=-1, lt=1)]
Count = Annotated[int, Field(strict=True, ge=1)]
Name = Annotated[str, Field(strict=True, min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Text = Annotated[str, Field(strict=True, min_length=1)]


class Stated(BaseModel):
    """Frozen; unknown keys, infinities and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Lasting(Stated):
    """A contract with a span of its own."""

    start: datetime.date | None = Field(default=None, description="first day; the plan's if absent")
    end: datetime.date | None = Field(default=None, description="day after the last; the plan's if absent")

    @model_validator(mode="after")
    def _end_follows_start(self) -> Self:
        if self.start and self.end and self.end <= self.start:
            raise ValueError(f"end {self.end} is not after start {self.start}; swap or correct the dates")
        return self
