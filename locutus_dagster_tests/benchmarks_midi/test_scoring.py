"""The rules of passing, one by one, on hand-made outputs."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping

import pytest
from pydicom import config
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from benchmarks.midi.answer_key import KeyFile, Maps
from benchmarks.midi.checks import Action, Check
from benchmarks.midi.places import PREAMBLE, Place, Step
from benchmarks.midi.scoring import Outcome, Score, score, survives

DESCRIPTION = (Step(0x0008103E),)
STUDY_DATE, CONTENT_DATE, DATE_TIME = (Step(0x00080020),), (Step(0x00080023),), (Step(0x0008002A),)
STUDY_UID, FRAME_UID = (Step(0x0020000D),), (Step(0x00200052),)
PATIENT_ID = (Step(0x00100020),)
NO_MAPS = Maps({}, {})


def output(**values: object) -> bytes:
    """Return the bytes of a file with these attributes, valid or not."""
    return encoded(ExplicitVRLittleEndian, values)


def encoded(syntax: UID, values: Mapping[str, object]) -> bytes:
    """Return the bytes of a file in a transfer syntax with explicit VR."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    little = syntax.is_little_endian
    dataset = FileDataset(
        "", Dataset(), bytes(128), meta, is_implicit_VR=False, is_little_endian=little
    )
    with config.disable_value_validation():
        dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def check(action: Action, place: Place, text: str = "", **more: str) -> Check:
    """Return a check whose category does not matter."""
    return Check(place, action, text, "HIPAA-R", **more)


def judged(
    files: list[tuple[str, bytes | None, list[Check]]],
    maps: Maps = NO_MAPS,
    options: tuple[str, ...] = (),
) -> Score:
    """Judge files, each a patient, an output and its checks."""
    key = [
        KeyFile(patient, "1", "1.1", f"1.1.{index}", "1.2", "OT", tuple(checks))
        for index, (patient, _, checks) in enumerate(files)
    ]
    outputs = {f"1.1.{index}": data for index, (_, data, _) in enumerate(files) if data is not None}
    return score(key, outputs, maps, options)


def outcome(data: bytes | None, one: Check, **more: object) -> Outcome:
    """Judge one check of one file."""
    (verdict,) = judged([("P", data, [one])], **more).verdicts  # type: ignore[arg-type]
    return verdict.outcome


def test_words_that_must_stay_may_stand_among_others_in_any_case() -> None:
    one = check(Action.TEXT_RETAINED, DESCRIPTION, "T1 MPRAGE")
    assert outcome(output(SeriesDescription="sag t1_mprage iso"), one) is Outcome.PASS
    assert outcome(output(SeriesDescription="sag t1 iso"), one) is Outcome.FAIL
    assert outcome(output(SeriesDescription=""), one) is Outcome.FAIL
    assert outcome(output(), one) is Outcome.FAIL


def test_a_failed_check_names_the_words_that_are_lost() -> None:
    one = check(Action.TEXT_RETAINED, DESCRIPTION, "T1 MPRAGE")
    (verdict,) = judged([("P", output(SeriesDescription="t1"), [one])]).verdicts
    assert verdict.lost == ("MPRAGE",)


def test_numbers_are_compared_as_numbers_value_by_value() -> None:
    spacing = (Step(0x00280030),)
    one = check(Action.TEXT_RETAINED, spacing, "0.50\\0.5", vr="DS")
    assert outcome(output(PixelSpacing=["0.5", "0.500"]), one) is Outcome.PASS
    assert outcome(output(PixelSpacing=["0.5", "0.6"]), one) is Outcome.FAIL
    assert outcome(output(PixelSpacing=["0.5"]), one) is Outcome.FAIL


def test_one_word_left_is_enough_to_fail_a_removal() -> None:
    one = check(Action.TEXT_REMOVED, DESCRIPTION, "Smith Jonathan")
    assert outcome(output(SeriesDescription="T1 jonathanx"), one) is Outcome.FAIL
    assert outcome(output(SeriesDescription="T1"), one) is Outcome.PASS
    assert outcome(output(), one) is Outcome.PASS


def test_a_short_token_is_left_only_where_it_stands_alone() -> None:
    assert survives("93", "age_93 years")
    assert not survives("93", "TR 1930")
    assert survives("Smith", "tSMITHson")
    assert survives("山口", "検査山口様")


def test_the_preamble_and_the_file_meta_information_are_judged_too() -> None:
    data = output()
    left = b"7010001".ljust(128, b"\0") + data[128:]
    one = check(Action.TEXT_REMOVED, PREAMBLE, "7010001")
    assert outcome(left, one) is Outcome.FAIL
    assert outcome(data, one) is Outcome.PASS
    kept = check(Action.TEXT_RETAINED, (Step(0x00020010),), str(ExplicitVRLittleEndian))
    assert outcome(data, kept) is Outcome.PASS


def test_a_check_without_words_is_a_mistake_in_the_key() -> None:
    for action in (Action.TEXT_RETAINED, Action.TEXT_REMOVED):
        with pytest.raises(ValueError):
            outcome(output(SeriesDescription="x"), check(action, DESCRIPTION, " "))


def test_tags_must_be_there_and_some_must_not_be_empty() -> None:
    there, filled = (check(a, PATIENT_ID) for a in (Action.TAG_RETAINED, Action.TEXT_NOTNULL))
    assert outcome(output(PatientID=""), there) is Outcome.PASS
    assert outcome(output(), there) is Outcome.FAIL
    assert outcome(output(PatientID=""), filled) is Outcome.FAIL
    assert outcome(output(PatientID="S1"), filled) is Outcome.PASS


def _dates(**values: str) -> list[Outcome]:
    checks = [
        check(Action.DATE_SHIFTED, STUDY_DATE, "20190619", vr="DA"),
        check(Action.DATE_SHIFTED, CONTENT_DATE, "20190620", vr="DA"),
        check(Action.DATE_SHIFTED, DATE_TIME, "20190619101502.25", vr="DT"),
    ]
    return [one.outcome for one in judged([("P", output(**values), checks)]).verdicts]


def test_dates_that_move_together_pass() -> None:
    moved = _dates(
        StudyDate="20190609", ContentDate="20190610", AcquisitionDateTime="20190609101502.25"
    )
    assert moved == [Outcome.PASS] * 3


def test_a_date_that_stays_or_moves_alone_fails() -> None:
    times = {"AcquisitionDateTime": "20190609101502.25"}
    assert _dates(StudyDate="20190609", ContentDate="20190611", **times)[1] is Outcome.FAIL
    assert _dates(StudyDate="20190609", ContentDate="20190620", **times)[1] is Outcome.FAIL


def test_a_date_with_a_time_must_move_by_whole_days() -> None:
    moved = _dates(
        StudyDate="20190609", ContentDate="20190610", AcquisitionDateTime="20190609101503.25"
    )
    assert moved == [Outcome.PASS, Outcome.PASS, Outcome.FAIL]


def test_a_date_that_is_gone_passes_and_one_that_is_none_fails() -> None:
    assert _dates(StudyDate="") == [Outcome.PASS] * 3
    assert _dates(StudyDate="20199999")[0] is Outcome.FAIL


def test_the_shift_is_compared_over_all_files_of_a_patient_and_of_no_other() -> None:
    one = check(Action.DATE_SHIFTED, STUDY_DATE, "20190619", vr="DA")
    files: list[tuple[str, bytes | None, list[Check]]] = [
        ("P", output(StudyDate="20190609"), [one]),
        ("P", output(StudyDate="20190609"), [one]),
        ("P", output(StudyDate="20190608"), [one]),
        ("Q", output(StudyDate="20190101"), [one]),
    ]
    outcomes = [verdict.outcome for verdict in judged(files).verdicts]
    assert outcomes == [Outcome.PASS, Outcome.PASS, Outcome.FAIL, Outcome.PASS]


def test_a_uid_must_change() -> None:
    one = check(Action.UID_CHANGED, STUDY_UID, "1.2.3.4")
    assert outcome(output(StudyInstanceUID="1.2.3.4"), one) is Outcome.FAIL
    assert outcome(output(StudyInstanceUID="2.25.9"), one) is Outcome.PASS
    assert outcome(output(), one) is Outcome.PASS


def test_a_uid_must_become_what_the_map_says() -> None:
    one = check(Action.UID_CONSISTENT, STUDY_UID, "1.2.3.4")
    data = output(StudyInstanceUID="2.25.9")
    assert outcome(data, one, maps=Maps({"1.2.3.4": "2.25.9"}, {})) is Outcome.PASS
    assert outcome(data, one, maps=Maps({"1.2.3.4": "2.25.8"}, {})) is Outcome.FAIL


def _uids(*pairs: tuple[str, str | None]) -> list[Outcome]:
    files: list[tuple[str, bytes | None, list[Check]]] = [
        (
            "P",
            output(**({} if new is None else {"FrameOfReferenceUID": new})),
            [check(Action.UID_CONSISTENT, FRAME_UID, old)],
        )
        for old, new in pairs
    ]
    return [verdict.outcome for verdict in judged(files).verdicts]


def test_a_uid_must_become_the_same_in_every_file_though_no_map_names_it() -> None:
    assert _uids(("1.5", "2.1"), ("1.5", "2.1"), ("1.5", "2.2")) == [
        Outcome.PASS,
        Outcome.PASS,
        Outcome.FAIL,
    ]


def test_two_uids_must_not_become_one() -> None:
    assert _uids(("1.5", "2.1"), ("1.6", "2.1")) == [Outcome.FAIL, Outcome.FAIL]


def test_an_absent_uid_passes_only_where_it_is_absent_everywhere() -> None:
    assert _uids(("1.5", None), ("1.5", None)) == [Outcome.PASS, Outcome.PASS]
    assert _uids(("1.5", None), ("1.5", "2.1")) == [Outcome.FAIL, Outcome.PASS]


def test_a_patient_keeps_one_identity_and_shares_it_with_nobody() -> None:
    files: list[tuple[str, bytes | None, list[Check]]] = [
        (patient, output(PatientID=new), [check(Action.PATID_CONSISTENT, PATIENT_ID, patient)])
        for patient, new in (("P", "S1"), ("P", "S2"), ("Q", "S3"), ("R", "S3"))
    ]
    outcomes = [verdict.outcome for verdict in judged(files, Maps({}, {"P": "S1"})).verdicts]
    assert outcomes == [Outcome.PASS, Outcome.FAIL, Outcome.FAIL, Outcome.FAIL]


def test_pixels_are_compared_by_checksum_whatever_the_byte_order() -> None:
    pixels = bytes(range(8))
    one = check(Action.PIXELS_RETAINED, (Step(0x7FE00010),), hashlib.md5(pixels).hexdigest())
    attributes = {"BitsAllocated": 16, "Rows": 1, "Columns": 4}
    assert outcome(output(PixelData=pixels, **attributes), one) is Outcome.PASS
    assert outcome(output(PixelData=pixels[::-1], **attributes), one) is Outcome.FAIL
    assert outcome(output(), one) is Outcome.FAIL
    swapped = bytes((1, 0, 3, 2, 5, 4, 7, 6))
    big = encoded(ExplicitVRBigEndian, {"PixelData": swapped, **attributes})
    assert outcome(big, one) is Outcome.PASS


def test_a_file_that_was_not_delivered_passes_removals_and_fails_the_rest() -> None:
    texts = {Action.PIXELS_RETAINED: "0", Action.TEXT_RETAINED: "x"}
    passing = {Action.TEXT_REMOVED, Action.DATE_SHIFTED, Action.UID_CHANGED}
    for action in Action:
        found = outcome(None, check(action, DESCRIPTION, texts.get(action, "20190619")))
        assert (found is Outcome.PASS) == (action in passing), action
        unreadable = outcome(b"no DICOM", check(action, DESCRIPTION, "20190619"))
        assert unreadable is found, action


def test_what_an_option_retains_is_not_judged() -> None:
    one = check(Action.TEXT_REMOVED, DESCRIPTION, "SN123456", waived_by="retain_device_identity")
    data = output(SeriesDescription="SN123456")
    assert outcome(data, one) is Outcome.FAIL
    assert outcome(data, one, options=("retain_device_identity",)) is Outcome.WAIVED


def test_the_score_is_passes_among_passes_and_failures() -> None:
    checks = [
        check(Action.TEXT_RETAINED, DESCRIPTION, "T1"),
        check(Action.TEXT_REMOVED, DESCRIPTION, "Smith"),
        check(Action.TEXT_REMOVED, DESCRIPTION, "T1", waived_by="clean_descriptors"),
    ]
    data = output(SeriesDescription="Smith T1")
    found = judged([("P", data, checks)], options=("clean_descriptors",))
    assert found.share() == 50.0
    assert [verdict.check.text for verdict in found.failures()] == ["Smith"]
