"""Every value that applies, as it may be shown, with its origin.

What belongs here: settings turned into lines for people, logs and runs, with secrets masked. What
does not: how the lines are printed (`cli/config.py`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel

from locutus_dagster.secret_refs import REFERENCES
from locutus_dagster.settings.model import Settings
from locutus_dagster.settings.origins import DEFAULT, Origin, Path, dotted
from locutus_dagster.strict_model import MASK, is_secret, without_password

__all__ = [
    "Effective",
    "cfg_out",
    "effective",
    "origins_of",
    "reference_paths",
    "references",
    "warnings_of",
]

#: The reference's words for where a value comes from, in its CFG_OUT lines.
_CFG_TYPES = {
    "environment": "env",
    "reference environment": "env",
    "call": "locutus-hardcoded",
    "file": "cfg",
    "reference file": "cfg",
    "default": "locutus-hardcoded",
}
#: A pattern that may name accessions, which no log or run may do.
_IDENTIFYING = ("watch", "rule", "accession")
#: Secrets that are shown but for the password in them.
_ADDRESSES = (("ledger_url",),)
#: What applies in the place of a key of `vault` that is left as it is; see `vault/options.py`.
_OF_VAULT = {
    "address": (None, "VAULT_ADDR"),
    "namespace": (None, "VAULT_NAMESPACE"),
    "verify": (True, "VAULT_CACERT"),
}
#: What the key of a number is called that another package takes for a secret.
_SECRETIVE = re.compile(r"pass|pwd|secret|token|key|pin", re.IGNORECASE)


#: What is said of a key with a secret in the file: of a secret, or of an address.
_STANDS_THERE = {
    True: "a secret stands in the file; write a reference in its place (vault:…, env:NAME or "
    "file:/path)",
    False: "a password stands in the file, within an address; give it by a key of its own, as a "
    "reference (vault:…, env:NAME or file:/path)",
}


@dataclass(frozen=True)
class Effective:
    """One value that applies.

    Attributes:
        key: its parts joined by dots.
        value: as it may be shown; empty where nothing is set.
        origin: where it was said.
        secret: whether the value is, or leads to, a secret.
        plain: whether a secret, or a password in an address, stands there itself, and not a
            reference to it.
    """

    key: str
    value: str
    origin: Origin
    secret: bool = False
    plain: bool = False

    @property
    def changed(self) -> bool:
        """Whether somebody has said it, be it the same as the default."""
        return self.origin.layer != "default"


def effective(settings: Settings) -> list[Effective]:
    """Every value that applies, in the order of the model, secrets masked."""
    origins = settings.origins
    return [
        _shown(path, value, secret, origins, settings) for path, value, secret in _leaves(settings)
    ]


def origins_of(settings: Settings) -> dict[str, Origin]:
    """Where every value that applies was said, by its key; defaults included."""
    return {one.key: one.origin for one in effective(settings)}


def cfg_out(values: list[Effective]) -> Iterator[tuple[str, str, str, str]]:
    """The columns of the reference's CFG_OUT lines, its heading first."""
    yield "CFG_OUT:", "KEY_TYPE", "KEY", "VALUE"
    for one in values:
        vault = one.secret and one.value.startswith(("vault:", "transit:"))
        kind = "locutus-via-vault" if vault else _CFG_TYPES[one.origin.layer]
        yield "CFG_OUT:", kind, one.key, one.value


def references(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each key whose value is a reference to a secret, with the reference."""
    for path, value in reference_paths(settings):
        yield dotted(path), value


def reference_paths(settings: Settings) -> Iterator[tuple[Path, str]]:
    """The same, with the parts of each key."""
    for path, value, _ in _leaves(settings):
        if isinstance(value, str) and value.startswith(REFERENCES):
            yield path, value


def warnings_of(settings: Settings) -> list[str]:
    """What is legal and should be looked at."""
    found = list(settings.notes)
    found += [
        f"{one.origin.place}: {one.key}: {_STANDS_THERE[one.secret]}"
        for one in effective(settings)
        if one.plain and one.origin.layer in ("file", "reference file")
    ]
    users: dict[str, list[str]] = {}
    for name, workspace in settings.workspaces.items():
        if workspace.secret is not None:
            users.setdefault(workspace.secret, []).append(name)
    found += [
        f"the workspaces {', '.join(names)} have one secret: a patient has the same pseudonyms in "
        "all of them"
        for names in users.values()
        if len(names) > 1
    ]
    return found


def _leaves(settings: Settings) -> Iterator[tuple[Path, Any, bool]]:
    return _of_model(settings, ())


def _of_model(model: BaseModel, path: Path) -> Iterator[tuple[Path, Any, bool]]:
    for name, field in type(model).model_fields.items():
        yield from _of_value(getattr(model, name), (*path, name), is_secret(field))


def _of_value(value: Any, path: Path, secret: bool) -> Iterator[tuple[Path, Any, bool]]:
    if isinstance(value, BaseModel):
        yield from _of_model(value, path)
    elif isinstance(value, dict):
        for name, below in value.items():
            # What another package's options hold, only that package knows.
            unknown = not isinstance(below, BaseModel)
            yield from _of_value(below, (*path, str(name)), secret or unknown)
    else:
        yield path, value, secret


def _shown(
    path: Path, value: Any, secret: bool, origins: dict[str, Origin], settings: Settings
) -> Effective:
    origin = _origin(path, origins)
    value, secret, origin = _in_its_place(path, value, origin, settings, secret)
    text = _text(value)
    if path[-3:] == _IDENTIFYING and text:
        return Effective(dotted(path), MASK, origin, secret=True)
    reference = isinstance(value, str) and value.startswith(REFERENCES)
    if not secret or reference or not text or _harmless(path, value):
        shown = text if reference else without_password(text)
        return Effective(dotted(path), shown, origin, secret, plain=shown != text)
    masked = without_password(text) if path in _ADDRESSES and "://" in text else MASK
    return Effective(dotted(path), masked, origin, secret=True, plain=MASK in masked)


def _harmless(path: Path, value: Any) -> bool:
    """Whether a value that only another package understands may be shown."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return isinstance(value, bool)
    # Behind the names of workspace and target, which are the operator's own.
    return not any(map(_SECRETIVE.search, path[path.index("options", 3) :]))


def _in_its_place(
    path: Path, value: Any, origin: Origin, settings: Settings, secret: bool
) -> tuple[Any, bool, Origin]:
    """What applies where nothing is said, if that is known here."""
    if path[:1] == ("vault",) and path[1] in _OF_VAULT:
        left, name = _OF_VAULT[path[1]]
        if value is left and (said := os.environ.get(name)):
            return said, False, Origin("environment", name)
    if value is not None:
        return value, secret, origin
    if path == ("scratch",):
        return settings.scratch_dir, False, origin
    if path == ("ledger_url",) and settings.ledger is None:
        return settings.ledger_address, True, origin
    return None, secret, origin


def _origin(path: Path, origins: dict[str, Origin]) -> Origin:
    """Where a key, or the group that holds all of it, was said."""
    return origins.get(dotted(path), DEFAULT)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, (tuple, list)):
        return ", ".join(_text(one) for one in value)
    return str(value)
