"""What the bouncers will say of instances that nobody has fetched yet.

What belongs here: the forecast from the two attributes that a source knows without handing an
instance out. What does not: the rules themselves (`bouncers.py`), which decide both times.
"""

from __future__ import annotations

from locutus_dagster.deid.bouncers import modality_reason, storage_reason
from locutus_dagster.deid.policies.model import Policy

__all__ = ["foreseen"]

_PADDING = " \0"


def foreseen(sop_class: str, modality: str, policy: Policy) -> str:
    """Return why every instance of this kind will certainly be withheld, "" where none need be.

    What is not foreseen may still be withheld: for what its pixels, its series' description or
    its text hold.

    Args:
        sop_class: SOP Class UID; "" where it is not known, which foretells nothing.
        modality: value of Modality (0008,0060); "" where the instances have none.
    """
    uid = sop_class.strip(_PADDING)
    reason = storage_reason(uid, policy) if uid else ""
    return reason or modality_reason(modality.strip(_PADDING), policy)
