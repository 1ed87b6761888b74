"""What became of the reference's configuration.

What belongs here: collecting values, their origins, and what is told about each key. What does not:
any decision (`translating.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from locutus_dagster.reference_config.keys import REFERENCE_KEYS
from locutus_dagster.reference_config.reading import MASK, Said, Told

__all__ = ["Fate", "Result"]


@dataclass(frozen=True)
class Fate:
    """What became of one key that is set.

    Attributes:
        name: of the key.
        value: as it may be shown.
        place: where it is set.
        became: our dotted keys; none where it has no effect.
        why: what it means here, or why it has no effect.
    """

    name: str
    value: str
    place: str
    became: tuple[str, ...]
    why: str


@dataclass
class Result:
    """A configuration in our words.

    Attributes:
        told: what was translated.
        values: nested, in the shape of `locutus.yaml`.
        origins: the place of each value, by dotted key.
        notes: what a person should know.
        faults: why it cannot be used; one line each.
    """

    told: Told
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _became: dict[str, list[str]] = field(default_factory=dict)
    _unused: dict[str, str] = field(default_factory=dict)
    _entries: list[Fate] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.notes += self.told.notes
        self.faults += self.told.faults

    def set(self, dotted: str, value: object, origin: str) -> None:
        """Set one of our values."""
        *groups, last = dotted.split(".")
        group = self.values
        for name in groups:
            group = group.setdefault(name, {})
        group[last] = value
        self.origins[dotted] = origin

    def put(self, name: str, dotted: str, value: object, *, shown: str | None = None) -> None:
        """Set one of our values because of a key that is set.

        Args:
            shown: what the key is said to have become, in the place of `dotted`.
        """
        self.set(dotted, value, self.told.said[name].origin)
        told = dotted if shown is None else shown
        if told:
            self.became(name, told)

    def take(self, name: str, dotted: str) -> None:
        """Set one of our values to that of a key, if it is set."""
        if name in self.told.said:
            self.put(name, dotted, self.told.said[name].value)

    def became(self, name: str, dotted: str) -> None:
        """Say what a key became."""
        self._became.setdefault(name, [])
        if dotted not in self._became[name]:
            self._became[name].append(dotted)

    def unused(self, name: str, why: str) -> None:
        """Say why a key has no effect in this configuration, whether it is set or not."""
        self._unused[name] = why

    def in_vault(self, name: str, value: str, place: str, became: str) -> None:
        """Say what a key of an entry in Vault became; nothing, where `became` is empty.

        Args:
            value: is masked here if it is secret.
        """
        key = REFERENCE_KEYS[name]
        shown = MASK if key.secret else value
        self._entries.append(Fate(name, shown, place, (became,) if became else (), key.why))

    def nothing_below(self, root: str, why: str) -> None:
        """Say of every key that becomes something below `root` that it has no effect."""
        for key in REFERENCE_KEYS.values():
            if key.becomes.startswith(root):
                self._became.pop(key.name, None)
                self._unused.setdefault(key.name, why)

    def fault(self, name: str, why: str) -> None:
        """Say what is wrong with a key that is set."""
        said = self.told.said.get(name)
        self.faults.append(f"{said.origin if said else name}: {why}")

    def at(self, dotted: str) -> object:
        """One of our values; None where it is not set."""
        group: Any = self.values
        for name in dotted.split("."):
            group = group.get(name) if isinstance(group, dict) else None
        return group

    @property
    def fates(self) -> list[Fate]:
        """What became of each key that is set, in the order of the reference's documents.

        Keys of entries in Vault come last.
        """
        said = self.told.said
        return [self._fate(said[name]) for name in REFERENCE_KEYS if name in said] + self._entries

    def _fate(self, said: Said) -> Fate:
        became = tuple(self._became.get(said.key.name, ()))
        why = said.key.why
        if not became and said.key.name in self._unused:
            why = f"not used: {self._unused[said.key.name]}"
        return Fate(said.key.name, said.shown, said.place, became, why)
