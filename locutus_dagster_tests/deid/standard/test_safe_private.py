"""Table E.3.10-1: rows looked up by hand, and how a private attribute is found."""

from __future__ import annotations

import pytest
from pydicom.datadict import private_dictionary_VR

from locutus_dagster.deid.encoding.codec import LONG_VRS, SHORT_VRS
from locutus_dagster.deid.standard.safe_private import load_safe_private, safe_private

VRS = {vr for vrs in (LONG_VRS, SHORT_VRS) for vr in vrs.values()}


def test_the_table_is_complete_and_every_row_is_a_private_attribute() -> None:
    rows = load_safe_private()
    assert len(rows) == 479
    assert all(row.group & 1 and 0 <= row.element <= 0xFF for row in rows)
    assert all(row.creator == row.creator.strip() != "" for row in rows)
    assert len({(row.creator, row.group, row.element) for row in rows}) == len(rows)


def test_a_vr_is_one_of_the_standards_or_not_given() -> None:
    unknown = [row for row in load_safe_private() if row.vr not in VRS]
    assert {row.vr for row in unknown} == {""}
    assert {(row.creator, row.group) for row in unknown} == {
        ("SIEMENS Ultrasound SC2000", 0x0119),
        ("SIEMENS Ultrasound SC2000", 0x0129),
    }
    assert len(unknown) == 5


def test_vrs_agree_with_pydicoms_private_dictionary_where_it_has_the_attribute() -> None:
    compared, different = 0, []
    for row in load_safe_private():
        tag = row.group << 16 | 0x2000 | row.element  # any block
        try:
            vr = private_dictionary_VR(tag, row.creator)
        except KeyError:
            continue
        compared += 1
        if vr != row.vr:
            different.append((row.creator, f"{tag:08X}"))
    assert compared > 150
    # The standard says SH and UL, pydicom's dictionary LO and CS; the table keeps to the standard.
    assert different == [
        ("HOLOGIC, Inc.", "7E012002"),
        ("Philips Imaging DD 001", "20012055"),
    ]


def test_an_attribute_is_found_in_whatever_block_it_stands() -> None:
    found = safe_private("SIEMENS MR HEADER", 0x0019, 0x100C)
    assert found is not None
    assert (found.meaning, found.vr, found.vm) == ("B Value", "IS", "1")
    assert safe_private("SIEMENS MR HEADER", 0x0019, 0xFF0C) is found


@pytest.mark.parametrize(
    ("creator", "group", "element"),
    [
        ("SIEMENS MR HEADER", 0x0019, 0x100B),
        ("SIEMENS MR HEADER", 0x0029, 0x100C),
        ("siemens mr header", 0x0019, 0x100C),
        ("SIEMENS CSA HEADER", 0x0029, 0x1010),
        ("", 0x0019, 0x100C),
    ],
)
def test_what_is_not_on_the_list_is_not_safe(creator: str, group: int, element: int) -> None:
    assert safe_private(creator, group, element) is None


def test_of_two_vrs_the_first_is_assumed() -> None:
    volume = safe_private("Philips Imaging DD 001", 0x2001, 0x10FF)
    assert volume is not None
    assert volume.vr == "OW"
