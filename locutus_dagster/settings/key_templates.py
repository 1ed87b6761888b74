"""Templates of delivery keys: their placeholders, the presets, and what is wrong with one.

What belongs here: what a template's text alone can be judged by. What does not: filling it with
values (`targets/keys.py`).
"""

from __future__ import annotations

import string
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BeforeValidator

__all__ = [
    "DEFAULT_KEY_TEMPLATE",
    "KEY_TEMPLATES",
    "PLACEHOLDERS",
    "KeyTemplate",
    "TemplateFault",
    "template_fault",
]

PLACEHOLDERS = ("top", "subject_id", "imaging_type", "age", "anatomical_position", "study")

#: The reference's two forms, with its placeholder names turned into ours: its key in a bucket, and
#: its folder on a share, which joins the attributes to one name.
KEY_TEMPLATES = {
    "bucket": "{top}/{subject_id}/{imaging_type}/{age}/{anatomical_position}/uuid_{study}.zip",
    "share": "{subject_id}_{imaging_type}_{age}_{anatomical_position}/uuid_{study}.zip",
}
DEFAULT_KEY_TEMPLATE = KEY_TEMPLATES["bucket"]


class TemplateFault(NamedTuple):
    """Why a key template cannot be used.

    Attributes:
        what: is wrong, as what is said of the template: "cannot be read".
        remedy: what to write, as it stands behind a colon.
    """

    what: str
    remedy: str


def template_fault(template: str) -> TemplateFault | None:
    """What is wrong with a template: it cannot be read, names what there is not, or lacks {study}.

    Without the study's pseudonym two studies could get one key.
    """
    try:
        fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
    except ValueError:
        return TemplateFault("cannot be read", "its placeholders look like {study}")
    if any(spec or conversion for _, _, spec, conversion in fields):
        return TemplateFault("formats a placeholder", "write {study}, without ':' or '!'")
    names = {name or "" for _, name, _, _ in fields}
    if not names <= set(PLACEHOLDERS):
        return TemplateFault(
            "names a placeholder that there is not", f"it may use {', '.join(PLACEHOLDERS)}"
        )
    if "study" not in names:
        return TemplateFault(
            "has no {study}, so studies would overwrite each other",
            "add uuid_{study}.zip at its end",
        )
    return None


def _preset(value: object) -> object:
    return KEY_TEMPLATES.get(value, value) if isinstance(value, str) else value


def _usable(value: str) -> str:
    if fault := template_fault(value):
        raise ValueError(f"{fault.what}: {fault.remedy}")
    return value


KeyTemplate = Annotated[str, BeforeValidator(_preset), AfterValidator(_usable)]
"""A template, which may be given by a preset's name."""
