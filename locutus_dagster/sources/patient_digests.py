"""Telling patients apart without keeping who they are.

What belongs here: digests of Patient IDs, for every kind of source. What does not: what is done
about a study of several patients (`deid/patients.py` judges the files themselves).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

__all__ = ["patient_digest", "patient_digests"]

_SALT = secrets.token_bytes(16)
"""Of this process, so that its digests mean nothing anywhere else."""


def patient_digest(patient_id: bytes, *, salt: bytes) -> str:
    """16 hex digits for a Patient ID, "" for an empty one; padding and case make no difference.

    A salt keeps digests from being looked up in a list made beforehand. It keeps nobody who has
    it from trying all numbers of a hospital, so a digest is a precaution and no pseudonym.
    """
    bare = patient_id.strip(b" \0").upper()
    return hashlib.sha256(salt + bare).hexdigest()[:16] if bare else ""


def patient_digests(patient_ids: Iterable[bytes]) -> tuple[str, ...]:
    """One digest for each different Patient ID, sorted; equal only within this process."""
    digests = {patient_digest(patient_id, salt=_SALT) for patient_id in patient_ids}
    return tuple(sorted(digests - {""}))
