"""Paths of tags: their text form, and how an element is found by them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from benchmarks.midi.places import PREAMBLE, Step, find, format_place, parse_place, text_of

_STANDARD = st.builds(Step, st.integers(0x00080000, 0x7FFFFFFF))
_PRIVATE = st.builds(
    lambda group, low, creator: Step((group | 1) << 16 | low, creator),
    st.integers(0x0009, 0x7FFF),
    st.integers(0, 0xFF),
    st.text("ABC XYZ_09.", max_size=20),
)


def _inner(step: Step, item: int) -> Step:
    return Step(step.tag, step.creator, item)


@given(
    st.lists(st.tuples(_STANDARD | _PRIVATE, st.integers(0, 9999)), max_size=4),
    _STANDARD | _PRIVATE,
)
def test_a_place_survives_being_written_and_read(above: list[tuple[Step, int]], last: Step) -> None:
    place = (*(_inner(step, item) for step, item in above), last)
    assert parse_place(format_place(place)) == place


def test_the_text_form_is_that_of_midi_style_keys() -> None:
    nested = (Step(0x00081140, item=0), Step(0x00081155))
    assert format_place(nested) == "<(0008,1140)>[<0000>]<(0008,1155)>"
    assert format_place((Step(0x00190092, "Creator"),)) == '<(0019,"CREATOR",92)>'
    assert parse_place(format_place(PREAMBLE)) == PREAMBLE


@pytest.mark.parametrize("text", ["", "(0008,1140)", "<(0008,1140)", "<(0008,1140)>x", "<(8,1)>"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_place(text)


def test_a_private_element_is_found_in_whichever_block_it_lies() -> None:
    dataset = Dataset()
    dataset.private_block(0x0019, "OTHER", create=True).add_new(0x0C, "LO", "wrong")
    dataset.private_block(0x0019, "Wanted", create=True).add_new(0x0C, "LO", "right")
    found = find(dataset, (Step(0x0019000C, "WANTED"),))
    assert found is not None
    assert found.value == "right"
    assert find(dataset, (Step(0x0019000D, "WANTED"),)) is None


def test_a_private_element_without_a_creator_is_found_only_while_nobody_reserves_its_block() -> (
    None
):
    dataset = Dataset()
    dataset[0x00171001] = DataElement(0x00171001, "LO", "lost")
    place = (Step(0x00170001, ""),)
    assert find(dataset, place) is not None
    dataset[0x00170010] = DataElement(0x00170010, "LO", "SOMEBODY")
    assert find(dataset, place) is None


def test_an_item_that_is_not_there_holds_nothing() -> None:
    dataset = Dataset()
    dataset.ReferencedImageSequence = [Dataset()]
    assert find(dataset, (Step(0x00081140, item=1), Step(0x00081155))) is None
    assert find(dataset, (Step(0x00081140, item=0), Step(0x00081155))) is None


def test_numbers_are_read_from_bytes_whose_vr_a_reader_did_not_know() -> None:
    element = DataElement(0x0019100E, "UN", struct.pack("<2d", 0.5, -2.0))
    assert text_of(element, "FD") == "0.5\\-2.0"


def test_words_are_read_from_bytes_in_each_encoding() -> None:
    for codec in ("utf-8", "latin-1", "iso8859-5", "iso2022_jp", "utf-16-le"):
        word = {"iso8859-5": "Лебедев", "iso2022_jp": "山口"}.get(codec, "Krämer")
        element = DataElement(0x00091006, "UN", b"\xfe\xff" + word.encode(codec))
        assert word in text_of(element, "LO"), codec
