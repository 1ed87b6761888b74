"""Which keys there are: the model seen as a tree of keys.

What belongs here: finding the fields that a key may mean, and listing all keys. What does not: the
keys themselves (`model.py` and its neighbours), and any value.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from locutus_dagster.settings.model import Settings
from locutus_dagster.settings.workspace import WorkspaceSettings

__all__ = [
    "NAME",
    "Key",
    "alternatives",
    "every_key",
    "fields_at",
    "fields_of",
    "holds_more",
    "kind_of",
    "kinds_with",
    "models_of",
    "names_at",
    "what_is_below",
]

#: Stands in a key for a name of the operator's own, of a workspace or a target.
NAME = "NAME"


@dataclass(frozen=True)
class Key:
    """One key of the settings file.

    Attributes:
        path: its parts; `NAME` where the operator chooses.
        kind: of the source or target that it belongs to; empty where there is no choice.
        field: its type, default and description.
    """

    path: tuple[str, ...]
    kind: str
    field: FieldInfo

    @property
    def dotted(self) -> str:
        """As it is written in messages and documentation."""
        return ".".join(self.path)


def alternatives(annotation: Any) -> list[Any]:
    """The types that a value may have, without `Annotated` and unions around them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return alternatives(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [one for part in get_args(annotation) for one in alternatives(part)]
    return [annotation]


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """Those of the alternatives that are groups of settings."""
    return [
        one
        for one in alternatives(annotation)
        if isinstance(one, type) and issubclass(one, BaseModel)
    ]


def fields_of(model: type[BaseModel]) -> dict[str, Any]:
    """The annotations of a group's keys, `target:` of a workspace included."""
    found = {name: field.annotation for name, field in model.model_fields.items()}
    if model is WorkspaceSettings:
        found["target"] = get_args(found["targets"])[1]
    return found


def kind_of(model: type[BaseModel]) -> str:
    """What a kind of source or target is called; `other` for what another package brings along."""
    field = model.model_fields.get("kind")
    if field is None:
        return ""
    return str(field.default) if get_origin(field.annotation) is Literal else "other"


def holds_more(annotation: Any) -> bool:
    """Whether a value may be a list, or keys and values of the operator's own."""
    return any(get_origin(one) in (dict, list, tuple) for one in alternatives(annotation))


def what_is_below(annotation: Any, part: object) -> Iterator[Any]:
    """The annotations of what stands under `part` in a value."""
    for one in alternatives(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel):
            fields = fields_of(one)
            if part in fields:
                yield fields[str(part)]
        elif (arguments := get_args(one)) and get_origin(one) is not Literal:
            yield arguments[1] if get_origin(one) is dict else arguments[0]


def fields_at(path: Sequence[object]) -> list[Any]:
    """What the value of a key may be: the annotations of all fields that `path` can mean."""
    found: list[Any] = [Settings]
    for part in path:
        found = [below for one in found for below in what_is_below(one, part)]
    return found


def names_at(path: Sequence[object]) -> list[str]:
    """The keys that may stand below a key."""
    names = {
        name
        for annotation in fields_at(path)
        for model in models_of(annotation)
        for name in fields_of(model)
    }
    return sorted(names)


def kinds_with(path: Sequence[object]) -> list[str]:
    """The kinds of source or target that have a key; none where there is no choice of a kind."""
    return [
        kind_of(model)
        for annotation in fields_at(path[:-1])
        for model in models_of(annotation)
        if kind_of(model) and path[-1] in model.model_fields
    ]


@cache
def every_key() -> tuple[Key, ...]:
    """Each key of the settings, in the order of the model; groups only by what is in them."""
    return tuple(_keys_of(Settings, (), ""))


def _keys_of(model: type[BaseModel], path: tuple[str, ...], kind: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        below = (*path, name)
        (annotation, *more) = alternatives(field.annotation)
        if get_origin(annotation) is dict and models_of(get_args(annotation)[1]):
            below, annotation = (*below, NAME), get_args(annotation)[1]
        models = models_of(annotation) + [one for part in more for one in models_of(part)]
        if not models:
            yield Key(below, kind, field)
        elif path and name == "orthanc":
            yield Key(below, kind, field)  # as a source is written
        else:
            for one in models:
                yield from _keys_of(one, below, kind_of(one) or kind)
