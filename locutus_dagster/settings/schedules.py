"""When something happens by itself.

What belongs here: a point in time that comes back. What does not: what happens then.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from locutus_dagster.settings.cron import cron_fault
from locutus_dagster.strict_model import Strict

__all__ = ["ScheduleSettings", "known_timezone"]


def known_timezone(value: str) -> str:
    """The name of a time zone as it is; raises ValueError for one that nobody knows."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("should be a time zone such as Europe/Berlin") from None
    return value


class ScheduleSettings(Strict):
    """When something is done by itself."""

    cron: str = Field(description="minute hour day month weekday, or @daily and the like")
    timezone: str = Field(default="UTC", description="a name of the IANA database")

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str) -> str:
        if fault := cron_fault(value):
            raise ValueError(fault)
        return " ".join(value.split())

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        return known_timezone(value)
