"""Read what the reference's configuration says: its file and its environment.

What belongs here: places, precedence (environment, then file), and the types of values. What does
not: what a key becomes (`translating.py`), and entries of Vault (`vault_layout.py`).

An empty variable is not set. A switch is true or false in any case, quoted or not: the reference
took a quoted "False" in its file for true, except for the dev suffix. Here it is false, and a note
says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from locutus_dagster.reference_config.keys import REFERENCE_KEYS, ReferenceKey, nearest, owner_of

__all__ = ["MASK", "Config", "Said", "Told", "config_of_mapping", "read_config", "tell"]

#: In the place of a secret.
MASK = "********"
_MODES = ("single", "continuous")
_NEVER_TRUTHY = "_use_dev_suffix"


@dataclass(frozen=True)
class Said:
    """What one key was set to, and where.

    Attributes:
        key: which one.
        value: of the key's own type.
        place: `config.yaml:12`, or `environment`.
    """

    key: ReferenceKey
    value: bool | float | str
    place: str

    @property
    def origin(self) -> str:
        """Place and name together, for people."""
        name = self.key.name if self.place != "environment" else self.key.environment
        return f"{self.place} {name}"

    @property
    def shown(self) -> str:
        """The value, for people; a secret is masked."""
        if self.key.secret:
            return MASK
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, float):
            return str(int(self.value)) if self.value.is_integer() else repr(self.value)
        return self.value


@dataclass(frozen=True)
class Config:
    """A configuration as it stands in its file.

    Attributes:
        name: of the file, or the path in Vault.
        content: each key's value and place.
        faults: why it cannot be read.
        notes: what a person should know.
    """

    name: str
    content: Mapping[str, tuple[object, str]] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class Told:
    """Everything that file and environment say.

    Attributes:
        name: of the file, or the path in Vault.
        said: by the key's name.
        unknown: the place of each key that the reference does not have either.
        notes: what a person should know.
        faults: one line each, with place and key.
    """

    name: str = ""
    said: dict[str, Said] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        """The value of a key; empty where it is not set."""
        said = self.said.get(name)
        return str(said.value) if said else ""

    def on(self, name: str, default: bool = False) -> bool:
        """Whether a switch is on."""
        said = self.said.get(name)
        return bool(said.value) if said else default


def read_config(text: str, name: str) -> Config:
    """Read a `config.yaml` with the line of each key.

    Args:
        name: what its places are called.
    """
    content: dict[str, tuple[object, str]] = {}
    notes: list[str] = []
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Config(name)
        if not isinstance(node, yaml.MappingNode):
            return Config(name, faults=(f"{name}: does not hold keys and values",))
        loader.flatten_mapping(node)
        for key_node, value_node in node.value:
            key = str(loader.construct_object(key_node, deep=True))
            place = f"{name}:{key_node.start_mark.line + 1}"
            if key in content:
                notes.append(f"{place} {key}: stands there twice; the last one counts")
            content[key] = (loader.construct_object(value_node, deep=True), place)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        return Config(name, faults=(f"{name}{line}: not valid YAML",))
    except (RecursionError, ValueError):  # nested beyond reason; a date that is none
        return Config(name, faults=(f"{name}: holds a value that cannot be read",))
    return Config(name, content, notes=tuple(notes))


def config_of_mapping(content: Mapping[str, Any], name: str) -> Config:
    """A configuration that an entry of Vault holds key by key."""
    return Config(name, {str(key): (value, name) for key, value in content.items()})


def tell(config: Config, environment: Mapping[str, str]) -> Told:
    """Hear the file and the environment, which wins.

    Never raises: what is wrong is in `faults`, all of it.
    """
    told = Told(config.name, notes=list(config.notes), faults=list(config.faults))
    for name, (value, place) in config.content.items():
        key = REFERENCE_KEYS.get(name)
        if key is None or key.place != "config":
            told.unknown[name] = place
            told.notes.append(f"{place} {name}: {_unknown(name)}")
        else:
            _hear(told, key, value, place)
    for key in REFERENCE_KEYS.values():
        said = environment.get(key.environment, "").strip() if key.environment else ""
        if said:
            _hear(told, key, said, "environment")
    return told


def _unknown(name: str) -> str:
    if owner := owner_of(name):
        return f"belongs to the reference's part for {owner}, which is not a part of Locutus here"
    if near := nearest(name):
        return f"no key of the reference's; did you mean {near}?"
    return "no key of the reference's; not used"


def _hear(told: Told, key: ReferenceKey, value: object, place: str) -> None:
    named = f"{place} {key.name if place != 'environment' else key.environment}"
    if value is None or (isinstance(value, str) and not value.strip() and key.kind != "text"):
        return
    try:
        heard = _coerced(key, value)
    except ValueError as error:
        told.faults.append(f"{named}: {error}")
        # What the file says does not count either: the environment was meant to win.
        told.said.pop(key.name, None)
        return
    quoted = key.kind == "bool" and isinstance(value, str) and place != "environment"
    if quoted and heard is False and not key.name.endswith(_NEVER_TRUTHY):
        told.notes.append(
            f'{named}: a quoted "{value}" was true to the reference; here it is false'
        )
    told.said[key.name] = Said(key, heard, place)


def _coerced(key: ReferenceKey, value: object) -> bool | float | str:
    if key.kind == "bool":
        word = value.strip().lower() if isinstance(value, str) else value
        if word is True or word == "true":
            return True
        if word is False or word == "false":
            return False
        raise ValueError("neither true nor false")
    if key.kind == "seconds":
        return _seconds(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("not a text; put it in quotes")
    text = str(value).strip()
    if key.kind == "mode" and text.lower() not in _MODES:
        raise ValueError("neither single nor continuous")
    if key.kind == "vault" and "/" not in text.strip("/"):
        raise ValueError("not a path in Vault, such as namespace:/rootpath/databases/locutus")
    if any(not sign.isprintable() for sign in text):
        raise ValueError("holds characters that cannot be printed")
    return text.lower() if key.kind == "mode" else text


def _seconds(value: object) -> float:
    try:
        seconds = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if isinstance(value, bool) or not math.isfinite(seconds) or seconds < 0:
        raise ValueError("not a number of seconds")
    return seconds
