"""When something happens by itself.

What belongs here: a point in time that comes back. What does not: what happens then.
"""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from locutus_dagster.strict_model import Strict

__all__ = ["ScheduleSettings", "known_timezone"]

_CRON = re.compile(r"@(yearly|annually|monthly|weekly|daily|hourly)|\S+( +\S+){4}")


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
        if not _CRON.fullmatch(value.strip()):
            raise ValueError("should be five fields such as '0 3 * * *', or @daily and the like")
        return value.strip()

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        return known_timezone(value)
