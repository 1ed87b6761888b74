"""A ruling follows the Type of the attribute in the IOD of the instance, and says why."""

from __future__ import annotations

import pytest

from locutus_dagster.deid import Action, Option, basic_policy, compile_policy
from locutus_dagster.deid.policies.model import Override, PolicySpec
from locutus_dagster.deid.policies.rulebook import Place, Rulebook

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
SC = "1.2.840.10008.5.1.4.1.1.7"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"
SR = "1.2.840.10008.5.1.4.1.1.88.33"
UNKNOWN = "1.2.3.4"
FRAME_CONTENT = (0x52009230, 0x00209111)


@pytest.mark.parametrize(
    ("sop_class", "place", "tag", "vr", "action"),
    [
        # Series Date X/D: Type 3 in CT, not known in an unknown class.
        (CT, (), 0x00080021, "DA", Action.REMOVE),
        (UNKNOWN, (), 0x00080021, "DA", Action.DUMMY),
        # Content Date Z/D: Type 2C in CT, Type 1 in SR and enhanced images.
        (SC, (), 0x00080023, "DA", Action.EMPTY),
        (SR, (), 0x00080023, "DA", Action.DUMMY),
        (ENHANCED_MR, (), 0x00080023, "DA", Action.DUMMY),
        # Acquisition DateTime X/Z/D: Type 3 in CT, 1C in Enhanced MR.
        (CT, (), 0x0008002A, "DT", Action.REMOVE),
        (ENHANCED_MR, (), 0x0008002A, "DT", Action.DUMMY),
        # Station Name, Device Serial Number, X/Z/D: 3 in CT, Device Serial Number 1 in enhanced.
        (CT, (), 0x00181000, "LO", Action.REMOVE),
        (ENHANCED_MR, (), 0x00181000, "LO", Action.DUMMY),
        # RT Plan Date X/D: Type 2 in RT Plan, hence the variant that gives it a value.
        (RT_PLAN, (), 0x300A0006, "DA", Action.DUMMY),
        # Frame Acquisition DateTime is D; Frame Reference DateTime in the same macro 1C.
        (ENHANCED_MR, FRAME_CONTENT, 0x00189074, "DT", Action.DUMMY),
        # Acquisition Context Sequence X/Z: Type 2 in DX, not in CT.
        (DX, (), 0x00400555, "SQ", Action.EMPTY),
        (CT, (), 0x00400555, "SQ", Action.REMOVE),
        # Referenced Image Sequence X/Z/U*: the Common Instance Reference of the IOD depends on it.
        (CT, (), 0x00081140, "SQ", Action.UID),
        (RT_PLAN, (), 0x00082112, "SQ", Action.UID),
        # Waveform Annotation Sequence X/D: alone in a module that may be left out.
        (ECG, (), 0x0040B020, "SQ", Action.REMOVE),
        # Z becomes a dummy where the IOD asks for a value; elsewhere not.
        (CT, (), 0x00080050, "SH", Action.EMPTY),
        # At a place that nothing is said about, the variant that is valid for any Type.
        (CT, None, 0x00080021, "DA", Action.DUMMY),
        (CT, (), 0x00100010, "PN", Action.SUBJECT),
        (CT, (), 0x00280010, "US", Action.KEEP),
        (CT, (), 0x00091001, "LO", Action.REMOVE),
        (CT, (), 0x50020010, "US", Action.REMOVE),
        (CT, (), 0x60020010, "US", Action.REMOVE),
        (CT, (), 0x00100000, "UL", Action.REMOVE),
        (CT, (), 0x00020010, "UI", Action.REMOVE),
        (CT, (), 0x00080300, "SQ", Action.REMOVE),
        (CT, (), 0x00120062, "CS", Action.REMOVE),
        (CT, (), 0x0006FFFE, "LO", Action.REMOVE),
        # A UI that the table does not name is an object's; a class's stays.
        (CT, (), 0x00041511, "UI", Action.REMOVE),
        (CT, (), 0x00081155, "UI", Action.UID),
        (CT, (), 0x00081150, "UI", Action.KEEP),
        # Dates that the table does not name: Date of Gain Calibration.
        (CT, (), 0x00143076, "DA", Action.REMOVE),
    ],
)
def test_the_basic_profile_by_type(
    sop_class: str, place: Place, tag: int, vr: str, action: Action
) -> None:
    assert Rulebook(basic_policy(), sop_class).ruling(place, tag, vr).action is action


def test_a_ruling_says_where_it_comes_from() -> None:
    path = (0x00400275, 0x00400007)
    spec = PolicySpec(
        "site",
        frozenset({Option.CLEAN_DESCRIPTORS, Option.RETAIN_DEVICE_IDENTITY}),
        (Override("site.yaml, line 7", Action.REPLACE, path=path, text="step"),),
    )
    book = Rulebook(compile_policy(spec), CT)
    assert book.ruling((), 0x00081030, "LO").source == "PS3.15 E.1-1, Clean Descriptors"
    assert book.ruling((), 0x00181000, "LO").source == "PS3.15 E.1-1, Retain Device Identity"
    assert book.ruling((), 0x00080050, "SH").source == "PS3.15 E.1-1, Basic"
    assert book.ruling((), 0x00080070, "LO").action is Action.SCRUB
    inside = book.inside((), 0x00400275)
    ruling = book.ruling(inside, 0x00400007, "LO")
    assert (ruling.action, ruling.text, ruling.source) == (
        Action.REPLACE,
        "step",
        "site.yaml, line 7",
    )
    assert book.ruling((), 0x00400007, "LO").action is Action.CLEAN


def test_ages_that_a_site_keeps_are_still_aggregated() -> None:
    spec = PolicySpec("site", overrides=(Override("l. 1", Action.KEEP, path=(0x00101010,)),))
    assert Rulebook(compile_policy(spec), CT).ruling((), 0x00101010, "AS").action is Action.AGE
