"""The base of every typed setting.

What belongs here: how strict a model of settings is, the types that several rooms' settings share,
and the error that says what is wrong with them. What does not: any setting (`settings/`,
`vault/options.py`).
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from locutus_dagster.errors import LocutusError

__all__ = ["Secret", "SettingsError", "Size", "Strict", "parse_size"]

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*$", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class SettingsError(LocutusError):
    """The settings cannot be used; the message lists every fault with its file, line and key."""


class Strict(BaseModel):
    """A group of settings: an unknown key is an error, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_size(value: object) -> int:
    """Turn `20GiB`, `500 MB` or a number into bytes (`GB` is 1000³, `GiB` is 1024³)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.match(str(value))
    if not match:
        raise ValueError("is not a size such as 20GiB, 500MB or a number of bytes")
    number, unit, binary = match.groups()
    base = 1024 if binary else 1000
    return int(float(number) * base ** _POWERS[unit.lower()])


Size = Annotated[int, BeforeValidator(parse_size)]
"""A number of bytes, which may be written with a unit."""

Secret = Annotated[str, Field(repr=False, json_schema_extra={"secret": True})]
"""A secret or, better, a reference to one: `vault:mount/path#key`, `env:NAME`, `file:/path`."""
