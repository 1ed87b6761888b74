"""The walk finds every element, believes no length, and never fails in another way."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locutus_dagster.deid.encoding import codec, part10
from locutus_dagster.deid.encoding.codec import FRAGMENTS, Walker
from locutus_dagster.deid.encoding.part10 import open_instance
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster_tests.deid import builders
from locutus_dagster_tests.deid.builders import raw_element

ITEM, ITEM_END, END = (struct.pack("<HH", 0xFFFE, n) for n in (0xE000, 0xE00D, 0xE0DD))
UNDEFINED = struct.pack("<L", 0xFFFFFFFF)
ZERO = bytes(4)


def walk(content: bytes, *, explicit: bool = True) -> list[codec.Element]:
    return Walker(content, explicit=explicit, little=True).data_set(0, len(content))


def rich_file(syntax: str = "explicit", *, undefined_length: bool = True) -> bytes:
    inner = builders.item(ReferencedSOPInstanceUID="1.2.3.4.5.6.7.8.9", PatientName="A^B")
    outer = builders.item(ReferencedStudySequence=builders.sequence(inner, inner))
    ds = builders.ct(ReferencedImageSequence=builders.sequence(outer, outer))
    ds.private_block(0x0029, "ACME", create=True).add_new(1, "PN", "C^D")
    return builders.encode(ds, syntax, undefined_length=undefined_length)


def test_offsets_point_at_headers_values_and_ends() -> None:
    first, second = raw_element(0x00080060, "CS", b"CT"), raw_element(0x00100010, "PN", b"A^B ")
    assert walk(first + second) == [
        (0x00080060, "CS", 0, 8, 10, None),
        (0x00100010, "PN", 10, 18, 22, None),
    ]


@pytest.mark.parametrize("undefined", [False, True])
def test_items_are_walked_with_defined_and_undefined_lengths(undefined: bool) -> None:
    inner = raw_element(0x00100010, "PN", b"A^B ")
    if undefined:
        content = ITEM + UNDEFINED + inner + ITEM_END + ZERO + END + ZERO
        sequence = raw_element(0x00081140, "SQ", content, 0xFFFFFFFF)
    else:
        content = ITEM + struct.pack("<L", len(inner)) + inner
        sequence = raw_element(0x00081140, "SQ", content)
    ((tag, vr, start, _, end, items),) = walk(sequence)
    assert (tag, vr, start, end) == (0x00081140, "SQ", 0, len(sequence))
    assert [[element[:2] for element in item] for item in items] == [[(0x00100010, "PN")]]


@pytest.mark.parametrize("undefined", [False, True])
def test_a_sequence_inside_un_is_walked_as_implicit_vr(undefined: bool) -> None:
    inner = struct.pack("<HHL", 0x0010, 0x0010, 4) + b"A^B "
    content = ITEM + struct.pack("<L", len(inner)) + inner + (END + ZERO if undefined else b"")
    element = raw_element(0x00081140, "UN", content, 0xFFFFFFFF if undefined else None)
    ((_, vr, _, _, _, items),) = walk(element)
    assert vr == "UN"
    assert items[0][0][:2] == (0x00100010, "PN")


def test_un_that_only_pretends_to_be_a_sequence_has_no_items() -> None:
    ((_, vr, _, _, _, items),) = walk(raw_element(0x00081140, "UN", b"no items here "))
    assert (vr, items) == ("UN", None)


def test_un_of_undefined_length_must_not_be_a_plain_attribute() -> None:
    # Its nested content would otherwise be kept without anybody having looked inside.
    content = raw_element(0x00080008, "UN", END + ZERO, 0xFFFFFFFF)
    with pytest.raises(UnreadableError, match="undefined length"):
        walk(content)


def test_encapsulated_pixel_data_is_skipped_as_a_whole() -> None:
    fragments = ITEM + ZERO + ITEM + struct.pack("<L", 4) + b"\xff\xd8\xff\xd9" + END + ZERO
    element = raw_element(0x7FE00010, "OB", fragments, 0xFFFFFFFF)
    after = raw_element(0x7FE10010, "LO", b"x ")
    pixels, last = walk(element + after)
    assert pixels[5] is FRAGMENTS
    assert pixels[4] == len(element) == last[2]


@pytest.mark.parametrize("explicit", [False, True])
def test_zeros_behind_the_last_element_are_padding(explicit: bool) -> None:
    head = raw_element(0x00080060, "CS", b"CT")
    if not explicit:
        head = struct.pack("<HHL", 0x0008, 0x0060, 2) + b"CT"
    for padding in (1, 7, 8, 100):
        assert len(walk(head + bytes(padding), explicit=explicit)) == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (raw_element(0x00100010, "PN", b"A^B ", 0x7000), "truncated value"),
        (raw_element(0x7FE00010, "OW", b"\0" * 8, 0x80000000), "truncated value"),
        (raw_element(0x00081140, "SQ", ITEM + struct.pack("<L", 99), 8), "truncated item"),
        (raw_element(0x00081140, "SQ", ITEM + UNDEFINED, 0xFFFFFFFF), "missing item delimiter"),
        (raw_element(0x00081140, "SQ", b"", 0xFFFFFFFF), "missing sequence delimiter"),
        (raw_element(0x00081140, "SQ", b"12345678"), "item expected"),
        (raw_element(0x00400275, "OB", b"", 0xFFFFFFFF), "undefined length"),
        (raw_element(0x7FE00010, "OB", ITEM + ZERO, 0xFFFFFFFF), "truncated pixel data"),
        (raw_element(0x7FE00010, "OB", b"12345678", 0xFFFFFFFF), "broken fragments"),
        (raw_element(0x00100010, "PN", b"")[:4] + b"??\0\0", "unknown value representation"),
        (raw_element(0x00100010, "PN", b"")[:7], "truncated header"),
    ],
)
def test_what_does_not_add_up_is_unreadable(content: bytes, code: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        walk(content)
    assert caught.value.code == code


@pytest.mark.parametrize("vr", ["SQ", "UN"])
@pytest.mark.parametrize("explicit", [False, True])
def test_ten_thousand_levels_are_too_deep_and_not_a_crash(vr: str, explicit: bool) -> None:
    if explicit:
        level = raw_element(0x00081140, vr, b"", 0xFFFFFFFF) + ITEM + UNDEFINED
    else:
        level = struct.pack("<HHL", 0x0008, 0x1140, 0xFFFFFFFF) + ITEM + UNDEFINED
    with pytest.raises(UnreadableError):
        walk(level * 10_000, explicit=explicit)


def test_sixty_levels_are_fine() -> None:
    content = raw_element(0x00081140, "SQ", b"", 0xFFFFFFFF) + ITEM + UNDEFINED
    closing = ITEM_END + ZERO + END + ZERO
    assert len(walk(content * 60 + closing * 60)) == 1


def test_the_number_of_elements_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_ELEMENTS", 100)
    element = raw_element(0x00080060, "CS", b"")
    assert len(walk(element * 99)) == 99
    with pytest.raises(UnreadableError, match="too many elements"):
        walk(element * 101)
    items = (ITEM + ZERO) * 101
    with pytest.raises(UnreadableError, match="too many elements"):
        walk(raw_element(0x00081140, "SQ", items))


@pytest.mark.parametrize("syntax", builders.SYNTAXES)
def test_a_file_cut_anywhere_is_unreadable_or_ends_at_an_element(syntax: str) -> None:
    content = rich_file(syntax)
    whole = open_instance(content)
    for cut in range(0, len(content) - 1, 3):
        try:
            instance = open_instance(content[:cut])
        except UnreadableError:
            continue
        # What is readable is a beginning of the whole, never something else.
        assert instance.tags == whole.tags[: len(instance.tags)]
        assert 0x7FE00010 not in instance.tags


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(builders.SYNTAXES)),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_mutated_bytes_are_walked_or_unreadable(
    syntax: str, undefined: bool, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(rich_file(syntax, undefined_length=undefined))
    for place, value in changes:
        content[132 + place % (len(content) - 132)] = value
    try:
        instance = open_instance(bytes(content))
    except UnreadableError:
        return
    for _, _, start, value, end, _ in instance.elements:
        assert 0 <= start < value <= end <= len(instance.buf)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.booleans(), st.booleans())
def test_any_bytes_are_walked_or_unreadable(content: bytes, explicit: bool, little: bool) -> None:
    walker = Walker(content, explicit=explicit, little=little)
    try:
        elements = walker.data_set(0, len(content))
    except UnreadableError:
        return
    assert all(element[4] <= len(content) for element in elements)


def test_files_without_preamble_or_meta_are_read() -> None:
    content = builders.encode(builders.ct(), "explicit")
    assert open_instance(content[132:]).text(0x00080060) == "CT"
    for syntax in ("explicit", "implicit", "big endian"):
        whole = builders.encode(builders.ct(), syntax)
        first = b"\0\x08\0\x05" if syntax == "big endian" else b"\x08\0\x05\0"
        bare = whole[whole.index(first) :]
        instance = open_instance(bare)
        assert instance.text(0x00080060) == "CT"
        assert instance.transfer_syntax == builders.SYNTAXES[syntax]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "truncated file meta information"),
        (b"%PDF-1.4 and so on, which is no DICOM", "not DICOM"),
        (bytes(128) + b"DICM", "truncated file meta information"),
    ],
)
def test_what_is_no_dicom_is_unreadable(content: bytes, code: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        open_instance(content)
    assert caught.value.code == code


def test_an_unknown_transfer_syntax_is_unreadable() -> None:
    content = builders.encode(builders.ct()).replace(
        b"1.2.840.10008.1.2.1\0", b"1.2.840.113619.5.2\0\0"
    )
    with pytest.raises(UnreadableError, match="unknown transfer syntax"):
        open_instance(content)


def test_a_deflate_bomb_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part10, "MAX_DEFLATED_DATA_SET", 1 << 20)
    ds = builders.ct()
    ds.PixelData = bytes(3 << 20)
    with pytest.raises(UnreadableError, match="inflates beyond the bound"):
        open_instance(builders.encode(ds, "deflated"))


def test_elements_out_of_order_are_sorted_and_equal_tags_are_unreadable() -> None:
    ct, name = raw_element(0x00080060, "CS", b"CT"), raw_element(0x00100010, "PN", b"A^B ")
    assert open_instance(ct + name).tags == [0x00080060, 0x00100010]
    swapped = raw_element(0x00080005, "CS", b"") + name + ct
    assert open_instance(swapped).tags == [0x00080005, 0x00080060, 0x00100010]
    with pytest.raises(UnreadableError, match="duplicate element"):
        open_instance(ct + name + name)
