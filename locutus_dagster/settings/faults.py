"""What is wrong with the settings, told all at once: each fault with its place and its key.

What belongs here: a fault, the error that lists them, and the translation of pydantic's errors.
What does not: finding contradictions (`contradictions.py`).

No message quotes a value: it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from locutus_dagster.settings.clash import CLASH
from locutus_dagster.settings.keys import (
    every_key,
    holds_more,
    kind_of,
    kinds_with,
    models_of,
    names_at,
    what_is_below,
)
from locutus_dagster.settings.model import Settings
from locutus_dagster.settings.origins import DEFAULT, Origin, Path, dotted
from locutus_dagster.strict_model import SettingsError

__all__ = ["Fault", "FaultySettingsError", "Found", "faults_of"]

_TEXTS = {
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_parsing": "should be a number",
    "float_type": "should be a number",
    "path_type": "should be a path",
    "string_type": "should be text; put it in quotes",
    "dict_type": "should hold keys and values",
    "model_type": "should hold keys and values",
    "model_attributes_type": "should hold keys and values",
    "tuple_type": "should be a list",
}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        key: as it was written, its parts joined by dots.
        message: what is wrong with it; without its value.
        origin: where it was said.
    """

    key: str
    message: str
    origin: Origin

    def __str__(self) -> str:
        """One line for people."""
        place = "" if self.origin == DEFAULT else self.origin.place
        return ": ".join(part for part in (place, self.key, self.message) if part)


class FaultySettingsError(SettingsError):
    """The settings have faults.

    Attributes:
        faults: all of them.
    """

    def __init__(self, file: str, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(dict.fromkeys(faults), key=_place_in_order))
        many = len(self.faults)
        lines = "".join(f"\n  {fault}" for fault in self.faults)
        super().__init__(
            f"The settings have {many} fault{'s' if many > 1 else ''} (the file is {file}):{lines}",
            "Mend them all, then look with: locutus config check",
        )


def _place_in_order(fault: Fault) -> list[tuple[int, str]]:
    """What faults are sorted by: those of a file in the order of its lines."""
    parts = re.split(r"(\d+)", fault.origin.place)
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]


@dataclass(frozen=True)
class Found:
    """A fault, and what of the values it is about.

    Attributes:
        about: what has to be left out so that the rest can be judged.
    """

    path: Path
    message: str
    about: tuple[Path, ...]


def faults_of(error: ValidationError) -> list[Found]:
    """Translate what pydantic found; one fault for each key."""
    found: dict[Path, Found] = {}
    for one in error.errors(include_url=False, include_input=False):
        fault = _fault_of(one)
        before = found.setdefault(fault.path, fault)
        if before.message != fault.message:
            # A value that may be of several types is refused once for each of them.
            message = f"{before.message}, or {fault.message.removeprefix('should be ')}"
            found[fault.path] = replace(before, message=message)
    return list(found.values())


def _fault_of(error: Any) -> Found:
    path = _path_of(error["loc"])
    kind, message = error["type"], error["msg"]
    if kind == CLASH:
        about = tuple((*path, *key) for key in error["ctx"]["keys"]) or (path,)
        return Found(about[0], error["ctx"]["said"], about)
    if kind == "extra_forbidden":
        return Found(path, "is not a setting" + _suggestion(path), (path,))
    if kind == "missing":
        return Found(path, "is missing", (path[:-1],))
    if kind == "value_error":
        return Found(path, message.removeprefix("Value error, "), (path,))
    return Found(path, _TEXTS.get(kind) or "should" + message.partition(" should")[2], (path,))


def _suggestion(path: Path) -> str:
    """What may have been meant by a key that is none, as the end of a sentence; or nothing."""
    name = path[-1]
    if kinds := kinds_with(path):
        return f"; it belongs to kind {' and '.join(kinds)}"
    for key in every_key():
        if key.path[-1] == name and not key.kind:
            return f"; it belongs to '{dotted(key.path[:-1]) or 'the top of the file'}'"
    if like := get_close_matches(name, names_at(path[:-1]), n=1):
        return f"; did you mean '{like[0]}'?"
    return ""


def _path_of(loc: Sequence[int | str]) -> Path:
    """The key that pydantic means, without what it adds for the alternatives of a type."""
    path: list[str] = []
    annotations: list[Any] = [Settings]
    for part in loc:
        groups = [model for one in annotations for model in models_of(one)]
        if len(groups) > 1:  # the part is the kind
            annotations = [model for model in groups if kind_of(model) == part]
            continue
        if path and not groups and not any(map(holds_more, annotations)):
            break
        path.append(str(part))
        annotations = [below for one in annotations for below in what_is_below(one, part)]
    return tuple(path)
