"""Bouncers: which instances do not get in, decided before any work is done on them.

What belongs here: one small function per reason, each looking at a few top-level attributes.
What does not: cleaning (`transform.py`), rules that need pixels. A bouncer returns a reason, a
fixed phrase without values, or "" to let the instance pass. To add a rule, write a function and
add it to `BOUNCERS`; the first reason counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from locutus_dagster.deid.dictionary import SOP_CLASSES
from locutus_dagster.deid.part10 import Instance
from locutus_dagster.deid.policy import Policy
from locutus_dagster.deid.transform import PIXEL_TAGS

__all__ = ["BOUNCERS", "IMAGE_STORAGE_CLASSES", "bounce"]

_SOP_CLASS = 0x00080016
_SOP_INSTANCE = 0x00080018
_MODALITY = 0x00080060
_STUDY = 0x0020000D
_SERIES = 0x0020000E
_BURNED_IN = 0x00280301
_RECOGNIZABLE = 0x00280302

_PIXEL_VRS = ("OB", "OW", "OF", "OD", "UN")

_IMAGE_NAME = re.compile(r"Image Storage( - For (Presentation|Processing))?$")

#: SOP classes whose registered name says that they store images (PS3.6 Table A-1), retired ones
#: included. Segmentations, presentation states, documents, reports, waveforms and private
#: classes are not among them.
IMAGE_STORAGE_CLASSES: frozenset[str] = frozenset(
    uid for uid, name in SOP_CLASSES.items() if _IMAGE_NAME.search(name)
)


def _identified(instance: Instance, policy: Policy) -> str:
    if not instance.value(_SOP_CLASS):
        return "no SOP class"
    for tag in (_SOP_INSTANCE, _SERIES, _STUDY):
        if not instance.value(tag):
            return "no SOP, series or study instance UID"
    return ""


def _image(instance: Instance, policy: Policy) -> str:
    known = instance.text(_SOP_CLASS) in IMAGE_STORAGE_CLASSES
    return "" if known else "not an image storage class"


def _pixels(instance: Instance, policy: Policy) -> str:
    for tag in PIXEL_TAGS:
        element = instance.find(tag)
        if element is not None and element[4] > element[3] and element[1] in _PIXEL_VRS:
            return ""
    return "no pixel data"


def _modality(instance: Instance, policy: Policy) -> str:
    text = instance.text(_MODALITY)
    if not text:
        return "no modality"
    values = {value.strip().upper() for value in text.split("\\")}
    return "" if values <= policy.modalities else "modality not allowed"


def _burned_in(instance: Instance, policy: Policy) -> str:
    return "burned-in annotation" if _says_yes(instance, _BURNED_IN) else ""


def _recognizable(instance: Instance, policy: Policy) -> str:
    return "recognizable visual features" if _says_yes(instance, _RECOGNIZABLE) else ""


def _says_yes(instance: Instance, tag: int) -> bool:
    return "YES" in {value.strip().upper() for value in instance.text(tag).split("\\")}


#: In the order of asking.
BOUNCERS: tuple[Callable[[Instance, Policy], str], ...] = (
    _identified,
    _image,
    _pixels,
    _modality,
    _burned_in,
    _recognizable,
)


def bounce(instance: Instance, policy: Policy) -> str:
    """Return the reason to withhold an instance, "" where there is none."""
    for bouncer in BOUNCERS:
        reason = bouncer(instance, policy)
        if reason:
            return reason
    return ""
