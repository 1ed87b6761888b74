"""A study as a whole: consistent, repeatable, counted, and within bounds."""

from __future__ import annotations

import io
import logging
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import pydicom
import pytest

from locutus_dagster.deid import (
    DeidError,
    Disposition,
    Pseudonyms,
    basic_policy,
    deidentify_study,
    study,
)
from locutus_dagster.deid.encoding import archive
from locutus_dagster_tests.deid import builders
from locutus_dagster_tests.deid.builders import SECRET, SUBJECT, ct, encode, item, run, sequence

PSEUDONYMS = Pseudonyms(SECRET)


def slices(count: int = 3) -> list[bytes]:
    return [encode(ct(number)) for number in range(1, count + 1)]


def read(members: dict[str, bytes]) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(io.BytesIO(content)) for content in members.values()]


def test_members_are_named_by_pseudonyms_in_the_order_of_the_input(tmp_path: Path) -> None:
    disposition, members = run(tmp_path, slices())
    token = PSEUDONYMS.study_token(builders.STUDY)
    series = PSEUDONYMS.uid(builders.SERIES)
    assert list(members) == [
        f"{token}/{series}/{PSEUDONYMS.uid(f'{builders.INSTANCE}.{number}')}.dcm"
        for number in (1, 2, 3)
    ]
    assert disposition.study_token == token
    assert disposition.study_uid == PSEUDONYMS.uid(builders.STUDY)
    assert disposition.key_id == PSEUDONYMS.key_id
    assert disposition.policy_fingerprint == basic_policy().fingerprint
    assert (disposition.total, disposition.delivered, disposition.withheld) == (3, 3, 0)
    assert disposition.size_out == sum(map(len, members.values()))
    assert disposition.size_in == sum(map(len, slices()))


def test_uids_agree_across_instances_and_references(tmp_path: Path) -> None:
    reference = item(ReferencedSOPInstanceUID=f"{builders.INSTANCE}.1")
    second = ct(2, ReferencedInstanceSequence=sequence(reference))
    _, members = run(tmp_path, [encode(ct(1)), encode(second, "implicit")])
    one, two = read(members)
    assert one.FrameOfReferenceUID == two.FrameOfReferenceUID == PSEUDONYMS.uid(builders.FRAME)
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert two.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_same_study_and_secret_give_the_same_bytes(
    tmp_path: Path, method: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = builders.write_raw_zip(tmp_path / "raw.zip", slices(), method)
    outputs = []
    for zone in ("UTC", "Asia/Tokyo"):
        monkeypatch.setenv("TZ", zone)
        out = io.BytesIO()
        deidentify_study(
            raw, out, policy=basic_policy(), pseudonyms=Pseudonyms(SECRET), subject_id=SUBJECT
        )
        outputs.append(out.getvalue())
    assert outputs[0] == outputs[1]
    # And stored or deflated input makes no difference either.
    assert builders.delivered(outputs[0]) == run(tmp_path, slices())[1]


def test_another_secret_gives_other_uids(tmp_path: Path) -> None:
    other = Pseudonyms(b"another secret, also long enough")
    (one,) = read(run(tmp_path, slices(1))[1])
    (two,) = read(run(tmp_path, slices(1), pseudonyms=other)[1])
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert one[keyword].value != two[keyword].value


def test_every_member_is_accounted_for(tmp_path: Path) -> None:
    files = [
        encode(ct(1)),
        b"Quimbleton: this is no DICOM file",
        encode(ct(2, BurnedInAnnotation="YES")),
        encode(ct(3)),
        encode(ct(1)),
        encode(ct(4, StudyInstanceUID="1.2.3.9")),
        encode(ct(5))[:-3],
    ]
    calls: list[tuple[int, int]] = []
    disposition, members = run(tmp_path, files, progress=lambda *seen: calls.append(seen))
    assert [one.reason for one in disposition.instances] == [
        "",
        "unreadable: not DICOM",
        "burned-in annotation",
        "",
        "duplicate instance",
        "another study",
        "unreadable: truncated value",
    ]
    assert len(members) == disposition.delivered == 2
    assert disposition.withheld == 5
    assert sum(disposition.withheld_by_reason.values()) == 5
    rows = disposition.as_rows()
    assert sum(row["count"] for row in rows) == 7
    assert {
        "sop_class": "1.2.840.10008.5.1.4.1.1.2",
        "modality": "CT",
        "disposition": "clean",
        "reason": "",
        "count": 2,
    } in rows
    assert calls == [(number, 7) for number in range(1, 8)]
    assert disposition.instances[0].disposition is Disposition.CLEAN


def test_a_study_of_which_nothing_is_left_gives_an_empty_zip(tmp_path: Path) -> None:
    disposition, members = run(tmp_path, [b"nothing"])
    assert (disposition.delivered, members, disposition.study_uid) == (0, {}, "")
    assert disposition.as_rows()


def test_a_damaged_member_is_withheld_and_the_rest_delivered(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raw = builders.write_raw_zip(tmp_path / "raw.zip", slices(), method)
        content = bytearray(raw.read_bytes())
        with zipfile.ZipFile(raw) as opened:
            at = opened.infolist()[1].header_offset + 60
        content[at] ^= 0xFF
        raw.write_bytes(content)
        out = io.BytesIO()
        disposition = deidentify_study(
            raw, out, policy=basic_policy(), pseudonyms=PSEUDONYMS, subject_id=SUBJECT
        )
        assert [one.reason for one in disposition.instances] == ["", "unreadable file", ""]
        assert disposition.instances[1].instance == "000002.dcm"
        assert len(builders.delivered(out.getvalue())) == 2


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_whose_checksum_is_another_is_withheld(tmp_path: Path, method: int) -> None:
    raw = builders.write_raw_zip(tmp_path / "raw.zip", slices(1), method)
    with zipfile.ZipFile(raw) as opened:
        checksum = opened.infolist()[0].CRC
    stated, other = (number.to_bytes(4, "little") for number in (checksum, checksum ^ 1))
    raw.write_bytes(raw.read_bytes().replace(stated, other))
    disposition = deidentify_study(
        raw, io.BytesIO(), policy=basic_policy(), pseudonyms=PSEUDONYMS, subject_id=SUBJECT
    )
    assert disposition.withheld_by_reason == {"unreadable file": 1}


def test_a_member_that_inflates_beyond_its_size_is_withheld(tmp_path: Path) -> None:
    raw = builders.write_raw_zip(tmp_path / "raw.zip", [bytes(1 << 20)], zipfile.ZIP_DEFLATED)
    size = (1 << 20).to_bytes(4, "little")
    raw.write_bytes(raw.read_bytes().replace(size, (1000).to_bytes(4, "little")))
    out = io.BytesIO()
    disposition = deidentify_study(
        raw, out, policy=basic_policy(), pseudonyms=PSEUDONYMS, subject_id=SUBJECT
    )
    assert disposition.withheld_by_reason == {"unreadable file": 1}


def test_many_deflated_members_go_through_an_anonymous_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(tmp_path, slices(5))[1]
    monkeypatch.setattr(archive, "_IN_MEMORY", 2000)
    disposition, members = run(tmp_path, slices(5), method=zipfile.ZIP_DEFLATED)
    assert members == expected
    assert disposition.delivered == 5
    assert [path.name for path in tmp_path.iterdir()] == ["raw.zip"]


def test_what_is_not_kept_between_the_passes_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(tmp_path, slices(5))
    monkeypatch.setattr(study, "_KEPT_ELEMENTS", 0)
    assert run(tmp_path, slices(5)) == expected


@pytest.mark.parametrize(
    "subject", ["", "   ", "a" * 65, "a\\b", "a^b", "a=b", "tab\tbed", "Jürgen", "line\n2"]
)
def test_an_illegal_subject_id_is_refused_without_repeating_it(
    tmp_path: Path, subject: str
) -> None:
    with pytest.raises(DeidError) as caught:
        run(tmp_path, slices(1), subject_id=subject)
    assert "Use 1 to 64 printable" in str(caught.value)
    assert not subject.strip() or subject.strip() not in str(caught.value)


def test_a_subject_id_is_stripped(tmp_path: Path) -> None:
    (ds,) = read(run(tmp_path, slices(1), subject_id=" S 1 ")[1])
    assert ds.PatientID == "S 1"


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4 no zip", b"\0" * 1000])
def test_a_raw_file_that_is_no_zip_is_an_error_for_people(
    tmp_path: Path, content: bytes | None
) -> None:
    raw = tmp_path / "Quimbleton.zip"
    if content is not None:
        raw.write_bytes(content)
    with pytest.raises(DeidError) as caught:
        deidentify_study(
            raw, io.BytesIO(), policy=basic_policy(), pseudonyms=PSEUDONYMS, subject_id=SUBJECT
        )
    assert "Quimbleton" not in str(caught.value)
    assert caught.value.hint


def test_names_of_members_are_never_used(tmp_path: Path) -> None:
    raw = tmp_path / "raw.zip"
    with zipfile.ZipFile(raw, "w") as opened:
        opened.mkdir("Quimbleton") if hasattr(opened, "mkdir") else None
        opened.writestr("Quimbleton/../../etc/Dorothea.dcm", encode(ct()))
        opened.writestr("Quimbleton/notes.txt", b"notes")
    out = io.BytesIO()
    disposition = deidentify_study(
        raw, out, policy=basic_policy(), pseudonyms=PSEUDONYMS, subject_id=SUBJECT
    )
    assert disposition.total == 2
    assert b"quimbleton" not in out.getvalue().lower() + repr(disposition).lower().encode()


def test_no_value_is_logged_or_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = encode(ct(1, KVP="12")).replace(b"DS\x04\x002.5 ", b"DS\x04\x00Quim")
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        run(tmp_path, [odd, odd[:700], b"Quimbleton"])
    assert not caplog.records


def test_internal_values_show_nothing_when_printed() -> None:
    from locutus_dagster.deid.cleaning.transform import StudyTransform
    from locutus_dagster.deid.cleaning.values import Values
    from locutus_dagster.deid.encoding.part10 import open_instance
    from locutus_dagster.deid.identities.identifiers import Identifiers
    from locutus_dagster.deid.verification.residue import ResidueScan

    instance = open_instance(encode(ct()))
    identifiers = Identifiers(["ACC4711X"])
    identifiers.add(instance)
    values = Values(basic_policy(), PSEUDONYMS, SUBJECT, identifiers)
    output = StudyTransform(basic_policy(), values, SUBJECT).apply(instance, "1.2")
    shown = [instance, identifiers, values, *identifiers.found(), ResidueScan(identifiers), output]
    text = repr(shown) + repr(output.segments)
    for secret in ("quimbleton", "acc4711x", "pat778899", builders.FRAME):
        assert secret not in text.lower()


def test_memory_stays_flat_for_a_large_instance(tmp_path: Path) -> None:
    size = 300 << 20
    ds = ct(NumberOfFrames=str(size // 32))
    content = encode(ds)
    head = content[: content.index(b"\xe0\x7f\x10\x00OW") + 8]
    raw = tmp_path / "raw.zip"
    chunk = bytes(1 << 20)
    with zipfile.ZipFile(raw, "w") as opened, opened.open("000001.dcm", "w") as member:
        member.write(head + size.to_bytes(4, "little"))
        for _ in range(size >> 20):
            member.write(chunk)

    class Nowhere(io.RawIOBase):
        def write(self, data: object) -> int:
            return 0

    tracemalloc.start()
    try:
        disposition = deidentify_study(
            raw, Nowhere(), policy=basic_policy(), pseudonyms=PSEUDONYMS, subject_id=SUBJECT
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert disposition.delivered == 1
    assert disposition.size_out > size
    assert peak < 16 << 20
