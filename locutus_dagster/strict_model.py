"""The base of every typed setting.

What belongs here: how strict and how discreet a model of settings is, the types that several rooms'
settings share, and the error that says what is wrong with them. What does not: any setting
(`settings/`, `vault/options.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

from locutus_dagster.errors import LocutusError

__all__ = [
    "MASK",
    "Discreet",
    "HttpAddress",
    "Location",
    "Secret",
    "SettingsError",
    "Size",
    "Strict",
    "expanded",
    "http_address",
    "is_http_address",
    "is_secret",
    "parse_size",
    "without_password",
]

#: Stands in the place of a secret wherever settings are shown.
MASK = "********"

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*$", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(://[^:@/?#\s]*:).+@", re.DOTALL)
_IN_QUERY = re.compile(r"([?&][^=&]*(?:pass|pwd|secret|token|key|sig)[^=&]*=)[^&#]*", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class SettingsError(LocutusError):
    """The settings cannot be used; the message lists every fault with its file, line and key."""


def is_secret(field: FieldInfo) -> bool:
    """Whether a field is a `Secret`, or may be one."""
    return _marked(field) or _holds_mark(field.annotation)


def _marked(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get("secret") is True


def _holds_mark(annotation: Any) -> bool:
    return any(
        _marked(part) if isinstance(part, FieldInfo) else _holds_mark(part)
        for part in get_args(annotation)
    )


@cache
def _secrets_of(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(name for name, field in model.model_fields.items() if is_secret(field))


def without_password(text: str) -> str:
    """Put a mask in the place of a password that an address has in it.

    A password with `@`, `/` or `?` in it that was not encoded is hidden, too: everything up to the
    last `@` is taken for it.
    """
    masked = _IN_ADDRESS.sub(rf"\1{MASK}@", text)
    return _IN_QUERY.sub(rf"\1{MASK}", masked) if "://" in text else masked


class Discreet(BaseModel):
    """A model whose representation has a mask in the place of each secret."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What the representation is made of."""
        return self._without_secrets()

    def _without_secrets(self) -> Iterator[tuple[str | None, Any]]:
        secrets = _secrets_of(type(self))
        for name, value in super().__repr_args__():
            if name in secrets and value is not None:
                yield name, MASK
            else:
                yield name, without_password(value) if isinstance(value, str) else value


class Strict(Discreet):
    """A group of settings: an unknown key is an error, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


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


def is_http_address(text: str) -> bool:
    """Whether a text is the address of an HTTP server; a user in it, and a path, are allowed."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return bool(
        parts.scheme in ("http", "https")
        and parts.hostname
        and port != 0
        and not parts.query
        and not parts.fragment
        and not any(sign.isspace() or not sign.isprintable() for sign in text)
    )


def http_address(value: str) -> str:
    """The address of an HTTP server as it is; raises ValueError for anything else."""
    if not is_http_address(value):
        raise ValueError("should be an address such as https://host.example:8042")
    return value


def _location(value: Path) -> Path:
    if "\0" in str(value):
        raise ValueError("should be a path; it has a character that no path can have")
    try:
        value.expanduser()
    except RuntimeError:
        raise ValueError("should be a path; nobody here has the home folder before it") from None
    return value


def expanded(text: str, name: str) -> Path:
    """The path that somebody named outside the settings, with `~` filled in.

    Args:
        name: what it was named by, such as a variable.

    Raises:
        SettingsError: it begins with the home folder of somebody who is not known here.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SettingsError(
            f"{name}: nobody here has the home folder that it begins with.",
            "Write the whole path.",
        ) from None


Size = Annotated[int, BeforeValidator(parse_size)]
"""A number of bytes, which may be written with a unit."""

HttpAddress = Annotated[str, AfterValidator(http_address)]
"""Where an HTTP server is; a password in it is masked wherever it is shown."""

Location = Annotated[Path, AfterValidator(_location)]
"""A path, as it was written: `~` in it is filled in where it is used."""

Secret = Annotated[str, Field(json_schema_extra={"secret": True})]
"""A secret or, better, a reference to one: `vault:mount/path#key`, `env:NAME`, `file:/path`."""
