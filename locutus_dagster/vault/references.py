"""The parts of a reference into Vault.

What belongs here: splitting `mount/path#key` and `mount/key#name`, and the reference system's
`namespace:/rootpath/path`. What does not: where a mount ends within a path, which only Vault knows
(`client.py`), and the prefixes `vault:` and `transit:` (`secret_refs.py`).

A reference that cannot be read is not quoted: it may be a secret that was pasted at a wrong place.
"""

from __future__ import annotations

from dataclasses import dataclass

from locutus_dagster.vault.faults import VaultError

__all__ = ["Place", "parse_named", "parse_place"]


@dataclass(frozen=True)
class Place:
    """Where something lies in Vault.

    Attributes:
        namespace: None where that of the settings applies.
        path: mount and path, without slashes at its ends.
    """

    namespace: str | None
    path: str

    def __str__(self) -> str:
        return self.path if self.namespace is None else f"{self.namespace}:/{self.path}"


def parse_place(text: str) -> Place:
    """Read `mount/path` or `namespace:/mount/path`.

    A namespace is counted from the root namespace, as in Vault's own header. Slashes at the ends
    do not count.

    Raises:
        VaultError: it is neither; the message does not quote it.
    """
    namespace, colon, path = text.partition(":/")
    if not colon:
        return Place(None, _checked(text, at_least=2))
    return Place(_checked(namespace, at_least=1), _checked(path, at_least=2))


def parse_named(text: str) -> tuple[Place, str]:
    """Read a place, `#` and what is wanted from it: the key of an entry, or a ring's name.

    The first `#` ends the place.

    Raises:
        VaultError: a part is missing; the message does not quote it.
    """
    path, hash_sign, name = text.partition("#")
    if not hash_sign or not name.strip() or not name.isprintable():
        raise _malformed("there is no '#' with a name behind it")
    return parse_place(path), name


def _checked(path: str, *, at_least: int) -> str:
    """The path without slashes at its ends; no segment of it leads anywhere else."""
    segments = path.strip("/").split("/")
    if len(segments) < at_least or not all(segments):
        raise _malformed("a part of its path is missing")
    # An HTTP library resolves dots before it sends a path: another one would be asked for.
    if any(part in (".", "..") or not part.isprintable() or part.isspace() for part in segments):
        raise _malformed("its path holds dots, blanks or control characters as a part")
    return "/".join(segments)


def _malformed(why: str) -> VaultError:
    return VaultError(
        f"A reference into Vault cannot be read: {why}.",
        "Write vault:mount/path#key or transit:mount/key#name, with namespace:/ before the mount "
        "where it lies in another namespace.",
    )
