"""How the reference lays out Vault, and where each value of it can be referred to.

What belongs here: the entries of a database, of an Orthanc and of whole configurations, and the
forms that they come in. What does not: asking Vault (`vault/client.py`), and what the values become
(`translating.py`).

A path such as `namespace:/rootpath/trig-dicom-staging/production` may lead to an entry whose keys
are the configuration's, or to a key `production` of the entry above it that holds a whole
configuration as JSON, YAML or a mapping. A single value may also be an entry of its own below the
path. All of these are found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import yaml

from locutus_dagster.reference_config.keys import ENVIRONMENTS
from locutus_dagster.reference_config.reading import Config, config_of_mapping, read_config
from locutus_dagster.vault.faults import VaultMissingError
from locutus_dagster.vault.references import Place, parse_place

__all__ = ["Entry", "VaultReader", "app_config", "open_entry"]


class VaultReader(Protocol):
    """What of Vault is needed: the keys and values of one entry, and where a reference leads."""

    def entry(self, path: str, *, namespace: str | None = None) -> dict[str, Any]:
        """The entry at `path`.

        Raises:
            VaultError: there is none, or Vault cannot be asked.
        """
        ...

    def value(self, reference: str) -> str:
        """What `vault:` with `reference` behind it leads to.

        Raises:
            VaultError: nowhere, or Vault cannot be asked.
        """
        ...


@dataclass(frozen=True)
class Entry:
    """What lies at one of the reference's paths.

    Attributes:
        values: by key. They may be secret.
        references: by key, how a setting refers to it.
    """

    values: Mapping[str, Any]
    references: Mapping[str, str]

    def text(self, key: str) -> str:
        """A value as text; empty where there is none."""
        value = self.values.get(key)
        return "" if value is None else str(value).strip()


def open_entry(vault: VaultReader, path: str, keys: tuple[str, ...]) -> Entry:
    """Find the values of `keys` at a path, in whichever form they lie there.

    Raises:
        VaultError: there is nothing, or Vault cannot be asked.
    """
    place = parse_place(path)
    try:
        content = vault.entry(place.path, namespace=place.namespace)
    except VaultMissingError as missing:
        found = _inside(vault, place) or _below(vault, place, keys)
        if found is None:
            raise missing from None
        return found
    if keys and not any(key in content for key in keys) and len(content) == 1:
        # One key, whatever its name, that holds all the others.
        (outer,) = content
        if (inner := _mapping(content[outer])) is not None:
            return _nested(place, outer, inner)
    return Entry(content, {key: _reference(place, key) for key in content})


def app_config(vault: VaultReader, path: str, environment: str) -> Config:
    """A whole configuration out of Vault.

    Args:
        path: of an entry with a key for each environment, or of one environment's entry.
        environment: one of `ENVIRONMENTS`; empty where the path leads to one configuration.

    Raises:
        VaultError: there is none, or Vault cannot be asked.
    """
    place = parse_place(path)
    names = _spellings(environment)
    try:
        content = vault.entry(place.path, namespace=place.namespace)
    except VaultMissingError:
        for name in names:
            inner = Place(place.namespace, f"{place.path}/{name}")
            try:
                content = vault.entry(inner.path, namespace=inner.namespace)
            except VaultMissingError:
                continue
            return _config(content, f"vault:{inner}")
        last = _parent(place)
        if last is None:
            raise
        above, key = last
        content = vault.entry(above.path, namespace=above.namespace)
        place, names = above, [key]
    for name in names:
        if name in content:
            return _config(content[name], f"vault:{place}#{name}")
    there = [name for name in content if name in ENVIRONMENTS]
    if environment:
        raise VaultMissingError(
            f"vault:{place} holds no configuration for the environment {environment}.",
            f"It holds: {', '.join(sorted(there)) or 'none of ' + ', '.join(ENVIRONMENTS)}.",
        )
    if len(there) == 1:
        return _config(content[there[0]], f"vault:{place}#{there[0]}")
    if there:
        raise VaultMissingError(
            f"vault:{place} holds several configurations: {', '.join(sorted(there))}.",
            "Choose one with CURR_ENV, or with --environment.",
        )
    return _config(content, f"vault:{place}")


def _spellings(environment: str) -> list[str]:
    """All names that one environment goes by, the one that was asked for first."""
    meant = ENVIRONMENTS.get(environment)
    others = [name for name, means in ENVIRONMENTS.items() if means == meant and meant]
    return list(dict.fromkeys([environment, *others])) if environment else []


def _config(content: object, name: str) -> Config:
    if isinstance(content, str):
        return read_config(content, name)
    if isinstance(content, Mapping):
        if len(content) == 1:
            (only,) = content.values()
            if isinstance(only, str) and _mapping(only) is not None:
                return read_config(only, f"{name}#{next(iter(content))}")
        return config_of_mapping(content, name)
    return Config(name, faults=(f"{name}: does not hold a configuration",))


def _inside(vault: VaultReader, place: Place) -> Entry | None:
    """The last part of the path as a key of the entry above it."""
    last = _parent(place)
    if last is None:
        return None
    above, key = last
    try:
        content = vault.entry(above.path, namespace=above.namespace)
    except VaultMissingError:
        return None
    inner = _mapping(content.get(key))
    return None if inner is None else _nested(above, key, inner)


def _below(vault: VaultReader, place: Place, keys: tuple[str, ...]) -> Entry | None:
    """Each key as an entry of its own, with one value in it."""
    values: dict[str, Any] = {}
    references: dict[str, str] = {}
    for key in keys:
        inner = Place(place.namespace, f"{place.path}/{key}")
        try:
            content = vault.entry(inner.path, namespace=inner.namespace)
        except VaultMissingError:
            if not values:
                return None  # no layout of this kind; the others would be asked for in vain
            continue
        if len(content) == 1:
            ((name, values[key]),) = content.items()
            references[key] = _reference(inner, name)
    return Entry(values, references) if values else None


def _parent(place: Place) -> tuple[Place, str] | None:
    above, slash, last = place.path.rpartition("/")
    if not slash or "/" not in above:
        return None  # a mount alone holds no keys
    return Place(place.namespace, above), last


def _mapping(value: object) -> Mapping[str, Any] | None:
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)  # JSON is YAML, too
        except (yaml.YAMLError, RecursionError, ValueError):
            return None
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return value
    return None


def _nested(place: Place, outer: str, inner: Mapping[str, Any]) -> Entry:
    return Entry(inner, {key: _reference(place, f"{outer}.{key}") for key in inner})


def _reference(place: Place, key: str) -> str:
    return f"vault:{place}#{key}"
