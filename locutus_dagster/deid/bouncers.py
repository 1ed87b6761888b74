"""Bouncers: which instances do not get in, decided before any work is done on them.

What belongs here: one small function per reason, each looking at a few top-level attributes.
What does not: cleaning (`cleaning/`), rules that need pixels, the decision about each storage class
(`standard/data/storage_classes.csv`). A bouncer returns a reason, a fixed phrase without values, or
"" to let the instance pass. To add a rule, write a function and add it to `BOUNCERS`; the first
reason counts.
"""

from __future__ import annotations

from collections.abc import Callable

from locutus_dagster.deid.encoding.charsets import decode
from locutus_dagster.deid.encoding.codec import PIXEL_DATA
from locutus_dagster.deid.encoding.part10 import PIXEL_TAGS, Instance
from locutus_dagster.deid.policies.model import Policy
from locutus_dagster.deid.standard.dictionary import TRANSFER_SYNTAXES
from locutus_dagster.deid.standard.storage_classes import storage_class

__all__ = ["BOUNCERS", "bounce", "modality_reason", "storage_reason"]

_CHARSET = 0x00080005
_SOP_CLASS = 0x00080016
_SOP_INSTANCE = 0x00080018
_MODALITY = 0x00080060
_SERIES_DESCRIPTION = 0x0008103E
_STUDY = 0x0020000D
_SERIES = 0x0020000E
_BURNED_IN = 0x00280301
_RECOGNIZABLE = 0x00280302
_OVERLAYS, _OVERLAYS_END = 0x60000000, 0x60200000
_OVERLAY_BITS = 0x60000100
_OVERLAY_DATA = 0x60003000

_IMAGE_TYPE = 0x00080008
_LABEL_IN_IMAGE = 0x00480010

#: MPEG-2, MPEG-4 and HEVC carry sound beside the picture (PS3.5 A.4.5 to A.4.10).
_VIDEO = frozenset(
    uid
    for uid in TRANSFER_SYNTAXES
    if 100 <= int(uid.rpartition(".")[2]) <= 108 and uid.startswith("1.2.840.10008.1.2.4.")
)

_PIXEL_VRS = ("OB", "OW", "OF", "OD", "UN")


def _identified(instance: Instance, policy: Policy) -> str:
    if not instance.value(_SOP_CLASS):
        return "no SOP class"
    for tag in (_SOP_INSTANCE, _SERIES, _STUDY):
        if not instance.value(tag):
            return "no SOP, series or study instance UID"
    return ""


def storage_reason(sop_class: str, policy: Policy) -> str:
    """Return why instances of a SOP class are withheld, whatever else they hold; "" if not."""
    known = storage_class(sop_class)
    if known is None:
        return "not a standard storage class"
    return known.reason(policy.options)


def modality_reason(modality: str, policy: Policy) -> str:
    """Return why instances with this value of Modality are withheld, "" if not."""
    allowed = policy.settings.modalities
    if allowed is None:
        return ""
    if not modality:
        return "no modality"
    values = {value.strip().upper() for value in modality.split("\\")}
    return "" if values <= allowed else "modality not allowed"


def _storage(instance: Instance, policy: Policy) -> str:
    return storage_reason(instance.text(_SOP_CLASS), policy)


def _video(instance: Instance, policy: Policy) -> str:
    if instance.transfer_syntax in _VIDEO:
        return "video that may hold a voice or show a face"
    return ""


def _label(instance: Instance, policy: Policy) -> str:
    """A slide's label names its patient (PS3.3 C.8.12.4.1, Specimen Label in Image)."""
    flavors = instance.text(_IMAGE_TYPE).upper().split("\\")
    label = "LABEL" in flavors or _says_yes(instance, _LABEL_IN_IMAGE)
    return "label of a slide" if label else ""


def _pixels(instance: Instance, policy: Policy) -> str:
    known = storage_class(instance.text(_SOP_CLASS))
    if known is None or known.kind != "image":
        return ""
    for tag in PIXEL_TAGS:
        element = instance.find(tag)
        if element is not None and element[4] > element[3] and element[1] in _PIXEL_VRS:
            return ""
    return "no pixel data"


def _modality(instance: Instance, policy: Policy) -> str:
    return modality_reason(instance.text(_MODALITY), policy)


def _excluded_series(instance: Instance, policy: Policy) -> str:
    excluded = policy.settings.excluded_series
    if not excluded:
        return ""
    text, _ = decode(instance.value(_SERIES_DESCRIPTION), instance.value(_CHARSET))
    folded = text.casefold()
    found = any(one.strip().casefold() in folded for one in excluded)
    return "excluded series description" if found else ""


def _burned_in(instance: Instance, policy: Policy) -> str:
    return "burned-in annotation" if _says_yes(instance, _BURNED_IN) else ""


def _recognizable(instance: Instance, policy: Policy) -> str:
    return "recognizable visual features" if _says_yes(instance, _RECOGNIZABLE) else ""


def _overlay_in_pixels(instance: Instance, policy: Policy) -> str:
    """Overlays were once drawn in unused bits of the pixel data, where they would stay.

    Retired in 2004 (PS3.3 C.9.2); such a plane has no data of its own.
    """
    if not instance.has_between(_OVERLAYS, _OVERLAYS_END):
        return ""
    for plane in range(0, 0x20_0000, 0x2_0000):
        bits = instance.find(_OVERLAY_BITS + plane)
        if bits is None or instance.find(PIXEL_DATA) is None:
            continue
        data = instance.find(_OVERLAY_DATA + plane)
        if data is None or data[4] == data[3]:
            return "overlay inside the pixel data"
    return ""


def _says_yes(instance: Instance, tag: int) -> bool:
    return "YES" in {value.strip().upper() for value in instance.text(tag).split("\\")}


#: In the order of asking.
BOUNCERS: tuple[Callable[[Instance, Policy], str], ...] = (
    _identified,
    _storage,
    _video,
    _label,
    _pixels,
    _modality,
    _excluded_series,
    _burned_in,
    _recognizable,
    _overlay_in_pixels,
)


def bounce(instance: Instance, policy: Policy) -> str:
    """Return the reason to withhold an instance, "" where there is none."""
    for bouncer in BOUNCERS:
        reason = bouncer(instance, policy)
        if reason:
            return reason
    return ""
