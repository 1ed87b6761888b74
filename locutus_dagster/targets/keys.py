"""The key of a delivery: a template filled with values that have been made safe for a path.

What belongs here: placeholders and the alphabet of safe parts. What does not: what a target makes
of a key.
"""

from __future__ import annotations

import re
import string

from locutus_dagster.targets.base import TargetError

__all__ = ["PLACEHOLDERS", "delivery_key", "safe_part"]

PLACEHOLDERS = ("top", "subject_id", "imaging_type", "age", "anatomical_position", "study")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
_MAX_PART = 100


def safe_part(value: str) -> str:
    """Make `value` one harmless path part: no separators, no `..`, never empty or hidden."""
    part = _UNSAFE.sub("_", value.strip())[:_MAX_PART].strip("_")
    part = part.lstrip(".-")
    return part or "none"


def delivery_key(
    template: str,
    *,
    top: str,
    subject_id: str,
    imaging_type: str,
    age: str,
    anatomical_position: str,
    study: str,
) -> str:
    """Fill a key template.

    Args:
        top: the top-level prefix, a path of the operator's own choosing, used as it is.
        study: the study's keyed pseudonym.

    Raises:
        TargetError: the template names an unknown placeholder, or leaves `{study}` out, so that
            two studies could get one key.
    """
    try:
        fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        raise TargetError(
            f"The key template cannot be read ({error}).", "Its placeholders look like {study}."
        ) from None
    if any(spec or conversion for _, _, spec, conversion in fields):
        raise TargetError(
            "The key template formats a placeholder.", "Write {study}, without ':' or '!'."
        )
    names = {name or "" for _, name, _, _ in fields}
    if unknown := names - set(PLACEHOLDERS):
        raise TargetError(
            f"The key template names {', '.join(sorted(unknown)) or 'an empty placeholder'}.",
            f"It may use {', '.join(PLACEHOLDERS)}.",
        )
    if "study" not in names:
        raise TargetError(
            "The key template has no {study}, so studies would overwrite each other.",
            "Add uuid_{study}.zip at its end.",
        )
    prefix = "/".join(part for part in top.split("/") if part not in ("", ".", ".."))
    filled = template.format(
        top=prefix,
        subject_id=safe_part(subject_id),
        imaging_type=safe_part(imaging_type),
        age=safe_part(age),
        anatomical_position=safe_part(anatomical_position),
        study=safe_part(study),
    )
    return "/".join(part for part in filled.split("/") if part not in ("", ".", ".."))
