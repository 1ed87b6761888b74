"""What the environment says: variables `LOCUTUS_…`, nested with `__`.

What belongs here: turning variables into a layer. What does not: the reference's names
(`reference_settings.py`) and references such as `env:NAME` (`secret_refs.py`).

A variable's text is the value of a plain key as it is. For a list it is JSON or text with commas,
for a group of keys it is JSON. `null` is nothing, where a key may have nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import NoneType
from typing import Any, get_origin

from locutus_dagster.settings.faults import Fault
from locutus_dagster.settings.keys import alternatives, fields_at, models_of, names_at
from locutus_dagster.settings.model import Settings
from locutus_dagster.settings.origins import Layer, Origin, Path, dotted

__all__ = ["environment_layer"]

_PREFIX = str(Settings.model_config["env_prefix"])
_NESTED = str(Settings.model_config["env_nested_delimiter"])
#: Begin like settings and are none: where the file is, and what the tests photograph.
_OTHERS = ("LOCUTUS_CONFIG", "LOCUTUS_SCREENSHOTS")
#: How much a name must look like a setting's to be taken for a misspelt one.
_ALIKE = 0.75


def environment_layer(environment: Mapping[str, str]) -> tuple[Layer, list[Fault], list[str]]:
    """Read the variables that are settings.

    A name that is no setting is a fault when it looks like one. It may as well belong to something
    else: a container's label, a service that Kubernetes announces, a secret that `env:` names.

    Returns:
        The layer; the faults; the names that are taken for somebody else's.
    """
    layer = Layer("environment", whole="the environment")
    faults: list[Fault] = []
    foreign: list[str] = []
    names = [name for name in environment if name.startswith(_PREFIX) and name not in _OTHERS]
    # What says more is read later, so that it wins over the group that it belongs to.
    for name in sorted(names, key=lambda one: (one.count(_NESTED), one)):
        path = tuple(name.removeprefix(_PREFIX).lower().split(_NESTED))
        text = environment[name]
        if not text:
            continue
        annotations = fields_at(path) if all(path) else []
        origin = Origin("environment", name)
        if not annotations:
            if (fault := _unknown(path, origin)) is None:
                foreign.append(name)
            else:
                faults.append(fault)
            continue
        try:
            value = _value(text, annotations)
        except ValueError:
            faults.append(Fault(dotted(path), "not valid JSON", origin))
            continue
        _put(layer, path, value)
        layer.places[path] = name
    return layer, faults, foreign


def _unknown(path: Path, origin: Origin) -> Fault | None:
    known = 0
    while known < len(path) and path[known] and fields_at(path[: known + 1]):
        known += 1
    if known == len(path):
        return None
    like = get_close_matches(path[known], names_at(path[:known]), n=1, cutoff=_ALIKE)
    if not like and len(path) == 1:
        return None
    message = "is not a setting"
    if like:
        meant = _PREFIX + _NESTED.join((*path[:known], like[0], *path[known + 1 :])).upper()
        message += f"; did you mean {meant}?"
    return Fault(dotted(path), message, origin)


def _value(text: str, annotations: Iterable[Any]) -> Any:
    """What a text means for a key.

    Raises:
        ValueError: it had to be JSON.
    """
    types = [one for annotation in annotations for one in alternatives(annotation)]
    if text.strip() == "null" and NoneType in types:
        return None
    groups = any(models_of(one) or get_origin(one) is dict for one in types)
    lists = any(get_origin(one) in (tuple, list) for one in types)
    if groups or (lists and text.lstrip().startswith("[")):
        return json.loads(text)
    if lists:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _put(layer: Layer, path: Path, value: Any) -> None:
    group = layer.values
    for part in path[:-1]:
        below = group.get(part)
        if not isinstance(below, dict):
            below = group[part] = {}
        group = below
    group[path[-1]] = value
