"""Whose a study is: the subjects file, judged line by line, and pseudonyms that stay."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.deid import Pseudonyms
from locutus_dagster.deid.identities.keys import KeyRing
from locutus_dagster.manifests.arriving import ArrivedRow, add_arrivals
from locutus_dagster.manifests.reading import ManifestError
from locutus_dagster.pipeline.arrivals import WatchingError
from locutus_dagster.pipeline.arrivals_subjects import (
    NobodyKnowsError,
    SubjectsFile,
    pseudonymous_subject,
)
from locutus_dagster_tests.pipeline.watching_pacs import Watched


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "subjects.csv"
    path.write_text(text)
    return path


def test_a_subject_is_found_by_accession_number_first_and_by_patient_however_written(
    tmp_path: Path,
) -> None:
    text = "\ufeff# of November\nsubject_id, MRN ,ACCESSION_NUM\nS1,Ab 12,\n\nS2,,A7\nS3,ab 13,\n"
    subjects = SubjectsFile(written(tmp_path, text))
    assert subjects.subject("A1", " AB  12\0") == "S1"
    assert subjects.subject("A7", "ab 13") == "S2"
    with pytest.raises(NobodyKnowsError, match="does not name"):
        subjects.subject("a7", "12")


FAULTS = {
    "no header": ("", "is empty"),
    "no subject": ("MRN\nSECRET\n", "line 1 needs SUBJECT_ID"),
    "nothing to know it by": ("SUBJECT_ID\nSECRET\n", "line 1 needs SUBJECT_ID, and MRN or"),
    "too few fields": ("SUBJECT_ID,MRN\nS1,1\nSECRET\n", "line 3 has 1 fields"),
    "bad subject": ("SUBJECT_ID,MRN\nS/SECRET,1\n", "line 2 has no usable SUBJECT_ID: only"),
    "empty subject": ("SUBJECT_ID,MRN\n,SECRET\n", "line 2 has no usable SUBJECT_ID: empty"),
    "nobody": ("SUBJECT_ID,MRN\nSECRET,\n", "line 2 names neither"),
    "contradiction": ("SUBJECT_ID,MRN\nS1,secret\n#\nS2, SECRET\n", "line 4 contradicts"),
    "the patient itself": ("SUBJECT_ID,MRN\nSECRET,Secret\n", "line 2 has as SUBJECT_ID"),
    "no CSV": ('SUBJECT_ID,MRN\n"SECRET"x,1\n', "line 2 is not CSV"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_used_is_refused_by_line_and_without_values(
    tmp_path: Path, fault: str
) -> None:
    text, said = FAULTS[fault]
    with pytest.raises(WatchingError, match=said) as refused:
        SubjectsFile(written(tmp_path, text))
    assert "secret" not in str(refused.value).casefold()


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(WatchingError, match="No such file"):
        SubjectsFile(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"SUBJECT_ID,MRN\n\xff,1\n")
    with pytest.raises(WatchingError, match="UTF-8"):
        SubjectsFile(tmp_path / "bytes.csv")


@given(text=st.text(max_size=40))
def test_whatever_stands_in_a_file_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-subjects.csv"
    path.write_bytes(("SUBJECT_ID,MRN\n" + text).encode("utf-8", "surrogatepass"))
    with suppress(WatchingError):
        SubjectsFile(path)


def test_a_patient_stays_one_subject_when_the_key_is_rotated() -> None:
    old, new = Pseudonyms(b"o" * 32, 1), Pseudonyms(b"n" * 32, 2)
    before = pseudonymous_subject(KeyRing(old), "MRN1")
    assert pseudonymous_subject(KeyRing(old, new), " mrn1") == before
    assert pseudonymous_subject(KeyRing(new), "MRN1") != before


def test_subjects_of_the_file_are_used_and_a_file_that_is_mended_is_looked_at_again(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, "SUBJECT_ID,MRN\nS1,MRN1\n")
    w = Watched.build(tmp_path / "w", subjects=str(path))
    w.load("M1")
    w.pacs.arrive("one", "A1", patient="MRN1")
    w.pacs.arrive("two", "A2", patient="MRN2")
    w.pacs.rest()
    assert w.live() == ["A1"]
    assert w.items()["A1"].subject_id == "S1"
    assert w.verdict("two") == "the subjects file does not name its patient"
    # Broken, it holds up what needs it and nothing else.
    path.write_text("SUBJECT_ID,MRN\n,MRN1\n")
    w.pacs.arrive("m", "M1")
    w.pacs.rest()
    assert w.live() == ["M1"]
    assert "line 2" in w.watcher.problems[0]
    path.write_text("SUBJECT_ID,MRN\nS1,MRN1\nS2,MRN2\n")
    w.later(minutes=16)
    assert w.live() == ["A2"]
    assert w.watcher.problems == []
    w.parts.close()


def test_rows_are_added_once_and_beside_no_other_manifest_s(tmp_path: Path) -> None:
    w = Watched.build(tmp_path / "w")
    (asked,) = w.load("M1")
    rows = [ArrivedRow("A1", "S1", "CT"), ArrivedRow("M1", "S9"), ArrivedRow("A2", "bad/subject")]
    for _ in range(2):
        first, known, refused = add_arrivals(w.ledger, "default", "arrived-x", rows)
        assert (first.partition_key, known.partition_key) == ("arrived-x~000001", asked)
        assert refused.refused.startswith("no row can be made of it: SUBJECT_ID")
    (second,) = add_arrivals(w.ledger, "default", "arrived-x", [ArrivedRow("A3", "S3")])
    assert second.partition_key == "arrived-x~000002"
    assert [item.line for item in w.ledger.manifest_items("default", "arrived-x")] == [2, 3]
    # What is refused leaves no manifest without rows behind.
    add_arrivals(w.ledger, "default", "arrived-y", [ArrivedRow("A4", "")])
    assert w.ledger.manifest_names("default") == ["asked", "arrived-x"]
    with pytest.raises(ManifestError, match="loaded from a file"):
        add_arrivals(w.ledger, "default", "asked", rows)
    w.parts.close()
