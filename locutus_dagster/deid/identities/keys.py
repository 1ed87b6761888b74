"""A key ring: the secrets of a workspace by version, so that one can be replaced.

What belongs here: the text of a key file, reading and extending it. What does not: deriving
anything from a key (`pseudonyms.py`), deciding where the file lies or writing it (the caller's).

New deliveries are made with the current key. The older ones stay in the file, so that a delivery
that was made with one of them can be made again, or linked. A subject's dates and UIDs differ
between two keys: what belongs together has to be delivered with one key.

A key file is UTF-8 text. Blank lines and lines that begin with "#" say nothing. Every other line
is a version, a space and a secret, versions ascending; the highest is the current key. A secret
alone, without a version, is the file's only key and has version 1.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from locutus_dagster.deid.faults import DeidError
from locutus_dagster.deid.identities.pseudonyms import MIN_SECRET_BYTES, Pseudonyms

__all__ = ["KeyFileError", "KeyRing", "new_secret", "rotated"]

_NEW_SECRET_BYTES = 32
_VERSIONED = re.compile(r"([1-9][0-9]{0,8})[ \t]+([^ \t].*)", re.ASCII)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_FORM = "Write one key a line: a version number, a space, the secret."


class KeyFileError(DeidError):
    """A key file cannot be used. The message names a line and never quotes it.

    Attributes:
        line: the line's number, from 1; 0 where the fault is not that of one line.
    """

    def __init__(self, message: str, hint: str = "", line: int = 0) -> None:
        super().__init__(f"Line {line} of the key file {message}." if line else message, hint)
        self.line = line


class KeyRing:
    """The keys of one workspace; it can be pickled, and shows no secret.

    Args:
        keys: the keys by ascending version, at least one.
    """

    __slots__ = ("_keys",)

    def __init__(self, *keys: Pseudonyms) -> None:
        versions = [key.version for key in keys]
        if not keys or versions != sorted(set(versions)):
            raise ValueError("a key ring needs keys by ascending version")
        self._keys = keys

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self.key_ids)})"

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Return the keys in the text of a key file.

        Raises:
            KeyFileError: there is no key, or a line is not as it should be.
        """
        return cls(*(Pseudonyms(secret.encode(), version) for _, version, secret in _lines(text)))

    @classmethod
    def read(cls, path: Path) -> KeyRing:
        """Return the keys in a file which only its owner can read.

        Raises:
            KeyFileError: the file cannot be read, other users can read or change it, or a line is
                not as it should be.
        """
        try:
            with path.open("rb") as stream:
                # Of the open file: the one behind the name might be another one by now.
                mode = os.fstat(stream.fileno()).st_mode
                text = stream.read().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise KeyFileError(
                f"The key file {path} cannot be read ({why}).",
                "Restore it from your backup, readable for the user who runs Locutus.",
            ) from None
        if mode & _OTHERS:
            raise KeyFileError(
                f"The key file {path} is open to other users of this machine.",
                f"Close it: chmod 600 {path}",
            )
        return cls.parse(text)

    @property
    def current(self) -> Pseudonyms:
        """The key with the highest version."""
        return self._keys[-1]

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The public names of all keys, the current one last."""
        return tuple(key.key_id for key in self._keys)

    def find(self, key_id: str) -> Pseudonyms | None:
        """Return the key with this public name, or None where the ring does not hold it."""
        return next((key for key in self._keys if key.key_id == key_id), None)


def new_secret() -> str:
    """Return a random secret: 64 hexadecimal digits."""
    return secrets.token_hex(_NEW_SECRET_BYTES)


def rotated(text: str) -> str:
    """Return the text of a key file with a new current key at its end.

    Comments stay. A secret that stood alone gets the version 1 written before it, and remains the
    same key.

    Raises:
        KeyFileError: the text is not that of a key file.
    """
    lines = text.split("\n")
    highest = 0
    for number, highest, secret in _lines(text):
        if lines[number - 1].rstrip("\r") == secret:
            lines[number - 1] = f"{highest} {lines[number - 1]}"
    if lines[-1]:
        lines.append("")
    lines[-1] = f"{highest + 1} {new_secret()}"
    return "\n".join([*lines, ""])


def _lines(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield line number, version and secret of each key, all rules checked.

    A secret is taken as it is written, not as the bytes that its digits might stand for.
    """
    known: set[str] = set()
    highest = 0
    alone = False
    # Not by `splitlines`: that would also end a line at rare characters, within a secret.
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line != line.strip():
            raise KeyFileError("begins or ends with white space", "Remove it.", number)
        match = _VERSIONED.fullmatch(line)
        version, secret = (int(match[1]), match[2]) if match else (1, line)
        # A character that nobody sees would make another secret of one that looks the same.
        if not secret.isprintable() or " " in secret:
            raise KeyFileError("holds more than a version and a secret", _FORM, number)
        if alone or (match is None and highest):
            raise KeyFileError("stands beside a secret that has no version", _FORM, number)
        if version <= highest:
            raise KeyFileError(
                "has a version that is not higher than the one before",
                "Number the keys upwards, the newest last.",
                number,
            )
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise KeyFileError(
                f"has a secret of fewer than {MIN_SECRET_BYTES} bytes",
                "Make one with: openssl rand -hex 32",
                number,
            )
        if secret in known:
            raise KeyFileError("repeats the secret of an earlier line", "Make a new one.", number)
        known.add(secret)
        highest, alone = version, match is None
        yield number, version, secret
    if not highest:
        raise KeyFileError(
            "The key file holds no key.",
            "Restore it from your backup; a new key would change every pseudonym.",
        )
