"""Where a value comes from: the layers that are laid over each other, and the origin of each value.

What belongs here: a layer, an origin, and laying layers over each other. What does not: reading a
layer (`reading.py`, `environment.py`, `yaml_places.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["DEFAULT", "Layer", "LayerName", "Origin", "Path", "dotted", "laid_over_each_other"]

LayerName = Literal[
    "environment", "reference environment", "call", "file", "reference file", "default"
]
Path = tuple[str, ...]
"""The parts of a key; an item of a list by its number."""


@dataclass(frozen=True)
class Origin:
    """Where a value was said.

    Attributes:
        layer: one of the layers of `reading.py`.
        place: in it, for people: `locutus.yaml:12:5`, `LOCUTUS_SCRATCH`, `default`.
    """

    layer: LayerName
    place: str


DEFAULT = Origin("default", "default")


def dotted(path: Iterable[object]) -> str:
    """A key as it is written for people."""
    return ".".join(str(part) for part in path)


@dataclass
class Layer:
    """What one place says.

    Attributes:
        values: nested, as in the file.
        places: where each key is said; what lies below a key is where the key is.
        whole: the place of what has no key of its own, such as the file's name.
    """

    name: LayerName
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, str] = field(default_factory=dict)
    whole: str = ""

    def origin(self, path: Path) -> Origin:
        """Where this layer says a key, or the key that it is part of."""
        for length in range(len(path), 0, -1):
            if place := self.places.get(path[:length]):
                return Origin(self.name, place)
        return Origin(self.name, self.whole)


def laid_over_each_other(layers: Iterable[Layer]) -> tuple[dict[str, Any], dict[Path, Origin]]:
    """Lay layers over each other, the lowest first; groups are joined key by key.

    Returns:
        The values that remain, and where each of them, and each group, was said.
    """
    values: dict[str, Any] = {}
    origins: dict[Path, Origin] = {}
    for layer in layers:
        for one, other in (("ledger", "ledger_url"), ("ledger_url", "ledger")):
            # Two ways to say one thing: the higher layer's way wins. Within one layer it is a
            # contradiction, which the model finds.
            if one in layer.values and other in values and other not in layer.values:
                del values[other]
                _forget(origins, (other,))
        _lay(values, layer.values, (), layer, origins)
    return values, origins


def _lay(
    under: dict[str, Any],
    over: Mapping[str, Any],
    path: Path,
    layer: Layer,
    origins: dict[Path, Origin],
) -> None:
    for key, value in over.items():
        here = (*path, key)
        if isinstance(value, dict) and isinstance(under.get(key), dict):
            _lay(under[key], value, here, layer, origins)
            continue
        _forget(origins, here)
        under[key] = _copied(value)
        origins.update((one, layer.origin(one)) for one in _paths(value, here))


def _forget(origins: dict[Path, Origin], path: Path) -> None:
    for known in [known for known in origins if known[: len(path)] == path]:
        del origins[known]


def _copied(value: Any) -> Any:
    """A copy of the groups in a value, so that laying something over it changes no layer."""
    if isinstance(value, dict):
        return {key: _copied(below) for key, below in value.items()}
    return value


def _paths(value: Any, path: Path) -> Iterator[Path]:
    yield path
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _paths(below, (*path, str(key)))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _paths(below, (*path, str(number)))
