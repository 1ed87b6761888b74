"""Keyed identities: the same original gives the same pseudonym, with the same key, for ever.

What belongs here: deriving pseudonyms from a secret. What does not: deciding what gets one
(`policy.py`), storing or resolving the secret (the caller's), any lookup table of originals.

Each purpose has its own domain, so that a pseudonym of one kind tells nothing about another.
"""

from __future__ import annotations

import hmac

__all__ = ["MIN_SECRET_BYTES", "Pseudonyms"]

#: The shortest secret that is accepted, in bytes.
MIN_SECRET_BYTES = 16

_UID = b"locutus-dagster/1/uid\0"
_STUDY = b"locutus-dagster/1/study-token\0"
_KEY = b"locutus-dagster/1/key-id\0"


class Pseudonyms:
    """Pseudonyms derived from one secret by HMAC-SHA256.

    Args:
        secret: the workspace's secret, at least `MIN_SECRET_BYTES` bytes.

    Raises:
        ValueError: the secret is too short.
    """

    __slots__ = ("_secret", "key_id")

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret must have at least {MIN_SECRET_BYTES} bytes")
        self._secret = bytes(secret)
        #: Short public name of the key: tells two keys apart and reveals nothing about either.
        self.key_id: str = self._digest(_KEY, "")[:4].hex()

    def __repr__(self) -> str:
        return f"Pseudonyms(key_id={self.key_id!r})"

    def _digest(self, purpose: bytes, original: str) -> bytes:
        message = purpose + original.encode("utf-8", "surrogateescape")
        return hmac.digest(self._secret, message, "sha256")

    def uid(self, original: str) -> str:
        """Return the pseudonymous UID of a UID, at most 44 characters, under the root 2.25.

        Padding (spaces, NUL) around the original does not count. The number is a UUID of version
        8, because 2.25 is the arc of UUIDs (PS3.5 B.2).
        """
        number = int.from_bytes(self._digest(_UID, original.strip(" \0"))[:16], "big")
        number = number & ~(0xF << 76) | 0x8 << 76  # version 8: made by its own rule
        number = number & ~(0x3 << 62) | 0x2 << 62  # variant of RFC 9562
        return f"2.25.{number}"

    def study_token(self, study_uid: str) -> str:
        """Return 32 hexadecimal digits that stand for the study in delivered file names."""
        return self._digest(_STUDY, study_uid.strip(" \0"))[:16].hex()
