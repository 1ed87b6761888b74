"""What fuzzing has found, each in the smallest form that shows it."""

from __future__ import annotations

import gc
import io
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from locutus_dagster.deid import Pseudonyms, deidentify_study
from locutus_dagster.deid.cleaning.descriptors import TextCleaner
from locutus_dagster.deid.cleaning.lexicon import Lexicon
from locutus_dagster.deid.encoding import codec
from locutus_dagster.deid.encoding.archive import RawZip
from locutus_dagster.deid.encoding.charsets import decode, encode
from locutus_dagster.deid.encoding.codec import Sharing, Walker
from locutus_dagster.deid.encoding.part10 import Sharings, open_instance
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.identities.identifiers import Identifiers
from locutus_dagster_tests.deid import builders
from locutus_dagster_tests.deid.builders import SECRET, SUBJECT
from locutus_dagster_tests.deid.hostile import REFERENCE
from locutus_dagster_tests.deid.hostile_zips import Member, zip_of
from locutus_dagster_tests.deid.judging import policies
from locutus_dagster_tests.deid.wire import LE, UNDEFINED, WIRES, Wire, extended

IMPLICIT = WIRES["implicit"]
TWO_SCRIPTS = b"\\ISO 2022 IR 144\\ISO 2022 IR 126"


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def test_a_repeated_sequence_may_not_nest_deeper_than_one_that_is_not() -> None:
    inner = LE.nested([REFERENCE], 40, undefined=False)
    outer = LE.nested([REFERENCE], 40, undefined=False, core=inner)
    items = [LE.item(one) for one in (inner, inner, inner, outer)]
    content = extended(LE, {0x00082228: LE.sequence(0x00082228, items)})
    sharing: Sharings = defaultdict(Sharing)
    for known in (None, sharing):
        with pytest.raises(UnreadableError, match="nesting too deep"):
            open_instance(content, known)


def test_elements_inside_un_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_ELEMENTS", 100)
    item = IMPLICIT.item(IMPLICIT.element(0x00080008, "CS") * 30)
    for make, value in ((LE.open_sequence, [item]), (LE.sequence, [item])):
        unknown = make(REFERENCE, value, "UN")
        walker = Walker(unknown, explicit=True, little=True)
        walker.data_set(0, len(unknown))
        assert walker.walked == 32
        content = LE.sequence(REFERENCE, [LE.item(unknown)] * 4)
        with pytest.raises(UnreadableError, match="too many elements"):
            Walker(content, explicit=True, little=True).data_set(0, len(content))


@pytest.mark.parametrize("wire", [LE, IMPLICIT])
def test_elements_above_a_sequence_count_while_it_is_walked(
    monkeypatch: pytest.MonkeyPatch, wire: Wire
) -> None:
    monkeypatch.setattr(codec, "MAX_ELEMENTS", 100)
    elements = wire.element(0x00080008, "CS") * 90
    content = elements + wire.sequence(REFERENCE, [wire.item(elements)])
    with pytest.raises(UnreadableError, match="too many elements"):
        Walker(content, explicit=wire.explicit, little=True).data_set(0, len(content))


def test_zeros_that_are_no_padding_are_looked_at_once() -> None:
    content = extended(IMPLICIT, {}, bytes(60_000), b"\1")
    began = time.process_time()
    with pytest.raises(UnreadableError, match="duplicate element"):
        open_instance(content)
    assert time.process_time() - began < 3  # over and over, it would be minutes


def test_a_walker_lets_its_buffer_go_at_once() -> None:
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(8):
            content = LE.element(0x7FE00010, "OW", bytes(8 << 20))
            Walker(content, explicit=True, little=True).data_set(0, len(content))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak < 40 << 20


def test_inflated_data_sets_are_not_all_held_at_once(tmp_path: Path) -> None:
    deflated = WIRES["deflated"]
    pixels = deflated.element(0x7FE00010, "OW", bytes(8 << 20))
    files = [extended(deflated, {0x7FE00010: pixels}, number=number) for number in range(10)]
    raw = builders.write_raw_zip(tmp_path / "raw.zip", files)

    class Nowhere(io.RawIOBase):
        def write(self, data: object) -> int:
            return 0

    tracemalloc.start()
    try:
        disposition = deidentify_study(
            raw,
            Nowhere(),  # type: ignore[arg-type]
            policy=policies()["basic"],
            pseudonyms=Pseudonyms(SECRET),
            subject_id=SUBJECT,
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert disposition.delivered == 10
    assert peak < 56 << 20


def test_a_text_of_nothing_but_titles_is_cleaned_in_time() -> None:
    cleaner = TextCleaner(Lexicon.standard())
    assert seconds(lambda: cleaner.clean("Dr. A " * 20_000)) < 10


def test_a_text_full_of_numbers_is_searched_for_all_identifiers_at_once() -> None:
    numbers = [f"{number * 7919:08}" for number in range(1, 20_000)]
    cleaner = TextCleaner(Lexicon.standard(), known=numbers)
    text = "; ".join(["axial", *(f"{number * 104729:09}" for number in range(1, 20_000))])
    assert seconds(lambda: cleaner.scrub(text)) < 10
    assert cleaner.scrub(f"axial {numbers[7]} mm") == "axial mm"


def test_nothing_is_left_of_a_text_that_is_crowded_with_names() -> None:
    names = ["xy" * half for half in range(3, 300)]
    cleaner = TextCleaner(Lexicon.standard(), names=names)
    assert cleaner.scrub("axial " + "xy" * 100_000) == ""
    assert cleaner.scrub("axial xyxyxy") == "axial"


def test_more_identifiers_than_a_study_can_have_make_a_file_unreadable(tmp_path: Path) -> None:
    names = [LE.element(0x00100010, "PN", b"Name%06d" % number) for number in range(8000)]
    crowd = LE.sequence(REFERENCE, map(LE.item, names))
    files = [extended(LE, {REFERENCE: crowd}), extended(LE, {}, number=2)]
    disposition, members = builders.run(tmp_path, files, policy=policies()["research"])
    reasons = [one.reason for one in disposition.instances]
    assert reasons == ["unreadable: too many identifiers", ""]
    assert b"zwyndlebert" not in next(iter(members.values())).lower()


def test_what_a_crowded_file_shares_with_a_good_one_is_still_collected() -> None:
    item = LE.item(LE.element(0x00100010, "PN", b"Quendolyne^Xaveria"))
    names = (LE.element(0x00100010, "PN", b"Name%06d" % number) for number in range(8000))
    twice = {tag: LE.sequence(tag, [item]) for tag in (REFERENCE, 0x00082228)}
    crowd = LE.sequence(0x00400275, map(LE.item, names))
    sharing: Sharings = defaultdict(Sharing)
    identifiers = Identifiers()
    with pytest.raises(UnreadableError, match="too many identifiers"):
        identifiers.add(open_instance(extended(LE, {**twice, 0x00400275: crowd}), sharing))
    assert not list(identifiers.found())
    identifiers.add(open_instance(extended(LE, twice, number=2), sharing))
    assert "Quendolyne^Xaveria" in {one.text for one in identifiers.found()}


def test_the_beginning_of_a_uid_that_is_too_long_is_searched_for() -> None:
    identifiers = Identifiers()
    uid = b"1.2." + b"3" * 96
    identifiers.add(open_instance(extended(LE, {0x00200052: LE.element(0x00200052, "UI", uid)})))
    assert uid[:64].decode() in identifiers.uids()
    assert max(map(len, identifiers.uids())) == 64


def test_a_list_of_uids_may_not_grow_without_bound(tmp_path: Path) -> None:
    uids = b"1\\" * 40_000
    content = extended(IMPLICIT, {0x00200052: IMPLICIT.element(0x00200052, "UI", uids)})
    disposition, _ = builders.run(tmp_path, [content], policy=policies()["basic"])
    assert disposition.withheld_by_reason == {"unreadable: value too long": 1}


@pytest.mark.parametrize("tag", [0x00080016, 0x00080018, 0x0020000D, 0x0020000E])
def test_an_instance_is_not_delivered_without_its_uids(tmp_path: Path, tag: int) -> None:
    content = bytearray(extended(LE, {}))
    head = tag.to_bytes(4, "big")
    at = content.index(head[1::-1] + head[:1:-1] + b"UI")
    content[at + 4 : at + 6] = b"LO"
    disposition, _ = builders.run(tmp_path, [bytes(content)], policy=policies()["research"])
    reason = "unreadable: UID of another value representation"
    assert disposition.withheld_by_reason == {reason: 1}
    content[at + 4 : at + 6] = b"UI"
    assert builders.run(tmp_path, [bytes(content)], policy=policies()["research"])[1]


@pytest.mark.parametrize(
    "text", ["ф\nф", "фδ\r\nфδ", "ф\\ф", "ф^δ=ф^δ", "axial\tф", "ф\fф δ\nδ", "ф" * 20_000]
)
def test_text_of_several_scripts_survives_line_breaks(text: str) -> None:
    assert decode(encode(text, TWO_SCRIPTS), TWO_SCRIPTS) == (text, True)


def test_scripts_that_take_turns_without_end_do_not_stop_the_work() -> None:
    text = "фδ" * 400_000
    assert seconds(lambda: encode(text + "\nф", TWO_SCRIPTS)) < 3
    assert decode(encode(text + "\nф", TWO_SCRIPTS), TWO_SCRIPTS)[0] == "\nф"


@pytest.mark.parametrize("name", [b"", b"\0", b"\0rest"])
def test_a_member_without_a_name_is_read(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / "raw.zip"
    path.write_bytes(zip_of([Member(b"content", name=name)]))
    with RawZip(path) as raw:
        assert bytes(raw.read(0)) == b"content"


def test_members_that_share_their_bytes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "raw.zip"
    path.write_bytes(zip_of([Member(b"one"), Member(b"one", shared=True), Member(b"two")]))
    with RawZip(path) as raw:
        for index in (0, 1):
            with pytest.raises(UnreadableError, match="overlapping members"):
                raw.read(index)
        assert bytes(raw.read(2)) == b"two"


def test_a_private_sequence_in_un_nests_no_deeper_than_any_other(tmp_path: Path) -> None:
    def nested(levels: int) -> bytes:
        content = b""
        for level in range(levels):
            wire = LE if level == levels - 1 else IMPLICIT
            creator = wire.element(0x00290010, "LO", b"ACME NEST ")
            value = IMPLICIT.item(content) if content else b""
            content = creator + wire.element(0x00291010, "UN", value)
        return extended(LE, {0x00290010: content})

    fine, _ = builders.run(tmp_path, [nested(60)], policy=policies()["nested"])
    assert fine.delivered == 1
    deep, _ = builders.run(tmp_path, [nested(600)], policy=policies()["nested"])
    assert deep.withheld_by_reason == {"unreadable: nesting too deep": 1}


def test_sequences_of_undefined_length_nest_in_un_as_well() -> None:
    for levels, readable in ((62, True), (70, False)):
        content = IMPLICIT.item(IMPLICIT.nested([REFERENCE], levels), UNDEFINED)
        data = extended(LE, {REFERENCE: LE.open_sequence(REFERENCE, [content], "UN")})
        if readable:
            assert open_instance(data).find(REFERENCE) is not None
        else:
            with pytest.raises(UnreadableError, match="nesting too deep"):
                open_instance(data)
