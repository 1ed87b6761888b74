"""Reading YAML so that the line and column of every key are known.

What belongs here: a file's values, where each stands, and keys that stand there twice. What does
not: what a key means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from locutus_dagster.settings.origins import Path
from locutus_dagster.strict_model import SettingsError

__all__ = ["Contents", "read_yaml"]

#: More than any settings have; what a file of nested anchors would grow to has more.
_MOST_KEYS = 50_000


@dataclass
class Contents:
    """What a YAML file says.

    Attributes:
        places: where each key and each item of a list stands, as (line, column), counted from 1.
        twice: keys that stand a second time beside themselves, with that second place.
    """

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    twice: list[tuple[Path, tuple[int, int]]] = field(default_factory=list)


def read_yaml(path: FilePath) -> Contents | None:
    """Read a file; None when there is none.

    Raises:
        SettingsError: it cannot be read, or holds something else than keys and values. The message
            has the place and quotes nothing.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror}).", "Check its permissions."
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: not UTF-8 text.", "Save the file as UTF-8.") from None
    found = Contents()
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                for count, _ in enumerate(_walk(node, (), found, ())):
                    if count > _MOST_KEYS:
                        raise SettingsError(f"{path}: more keys than settings can have.")
                values = loader.construct_document(node)
                if values is not None:
                    found.values = values
        finally:
            loader.dispose()
    except _PlacedError as error:
        line, column = error.place
        raise SettingsError(
            f"{path}, line {line}, column {column}: {error.what}.", "Mend the file at that place."
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        # A ValueError is that of a date such as 2026-13-01.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(
            f"{path}{where}: not valid YAML.", "Mend the file at that place."
        ) from None
    if not isinstance(found.values, dict):
        raise SettingsError(f"{path}: the file must hold keys and values.")
    return found


class _PlacedError(Exception):
    what = ""

    def __init__(self, place: tuple[int, int]) -> None:
        super().__init__()
        self.place = place


class _EndlessError(_PlacedError):
    what = "an anchor that holds itself"


class _UnusableKeyError(_PlacedError):
    what = "a key that is no text"


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _walk(node: yaml.Node, path: Path, found: Contents, above: tuple[int, ...]) -> Iterator[None]:
    """Note the places of everything below a node; yields once for each."""
    if id(node) in above:
        raise _EndlessError(_place(node))
    above = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            here = (*path, str(number))
            found.places.setdefault(here, _place(item))
            yield
            yield from _walk(item, here, found, above)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                merged.append(value)
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise _UnusableKeyError(_place(key))
            key.tag = "tag:yaml.org,2002:str"  # so that 1, null and on are keys like any other
            here = (*path, key.value)
            if key.value in seen:
                found.twice.append((here, _place(key)))
            seen.add(key.value)
            found.places.setdefault(here, _place(key))
            yield
            yield from _walk(value, here, found, above)
        for value in merged:  # after the keys of its own, which win
            several = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for one in several:
                yield from _walk(one, path, found, above)
