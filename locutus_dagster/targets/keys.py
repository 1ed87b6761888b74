"""The key of a delivery: a template filled with values that have been made safe for a path.

What belongs here: filling a template, and the alphabet of safe parts. What does not: what is wrong
with a template (`settings/key_templates.py`), and what a target makes of a key.
"""

from __future__ import annotations

import re

from locutus_dagster.settings.key_templates import template_fault
from locutus_dagster.targets.base import TargetError

__all__ = ["delivery_key", "safe_part"]

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
        TargetError: the template is one that the settings would refuse.
    """
    if fault := template_fault(template):
        remedy = fault.remedy[0].upper() + fault.remedy[1:]
        raise TargetError(f"The key template {fault.what}.", f"{remedy}.")
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
