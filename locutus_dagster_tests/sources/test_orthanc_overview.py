"""What an Orthanc says about a study without giving it away: overview, and time of change."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from locutus_dagster.sources.base import FoundStudy, SourceUnavailableError, StudyChangedError
from locutus_dagster.sources.orthanc import OrthancSource
from locutus_dagster.sources.orthanc_terms import utc_time
from locutus_dagster_tests.parts.orthanc import OrthancServer
from locutus_dagster_tests.sources.conftest import Told
from locutus_dagster_tests.sources.faulty_orthanc import (
    STUDY_ID,
    After,
    Body,
    Cut,
    Fault,
    FaultyOrthanc,
    Hang,
    Status,
)
from locutus_dagster_tests.sources.studies import (
    PATIENT_ID,
    PATIENT_NAME,
    ROOT_UID,
    everything_said,
    instance,
    study_of,
)

ACCESSION = "XQ-SECRET-88"
LOOKS = ("look-study", "look-series", "look-instance")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """An Orthanc that the tests of this module share; each uses accession numbers of its own."""
    with OrthancServer(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def source(orthanc: OrthancServer) -> Iterator[OrthancSource]:
    source = OrthancSource(orthanc.url, timeout=20)
    yield source
    source.close()


def upload(orthanc: OrthancServer, instances: list[bytes]) -> None:
    for data in instances:
        orthanc.upload(data)


def only(source: OrthancSource, accession: str) -> FoundStudy:
    (study,) = source.find(accession)
    return study


# --- a real Orthanc ------------------------------------------------------------------------------


@pytest.mark.orthanc
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_each_instance_counts_by_its_own_sop_class_and_its_series_modality(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    def made(series: int, number: int, sop_class: str, modality: str) -> bytes:
        changes = {"SOPClassUID": sop_class, "Modality": modality}
        return instance("MIXED", study="1", series=series, number=number, changes=changes)

    upload(
        orthanc,
        [
            *(made(1, number, CTImageStorage, "CT") for number in range(1, 6)),
            *(made(1, number, SecondaryCaptureImageStorage, "CT") for number in (6, 7)),
            *(made(2, number, SecondaryCaptureImageStorage, "ot ") for number in (1, 2, 3)),
            made(3, 1, ComprehensiveSRStorage, "SR"),
        ],
    )
    study = only(source, "MIXED")
    overview = source.overview(study)
    assert overview.series == 3
    assert overview.kinds == {
        (CTImageStorage, "CT"): 5,
        (SecondaryCaptureImageStorage, "CT"): 2,
        (SecondaryCaptureImageStorage, "OT"): 3,
        (ComprehensiveSRStorage, "SR"): 1,
    }
    assert sum(overview.kinds.values()) == study.instances
    assert len(overview.patients) == 1


@pytest.mark.orthanc
def test_what_the_header_does_not_tell_is_empty(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    unnamed = {"SOPClassUID": None, "Modality": None, "PatientID": ""}
    upload(orthanc, [instance("UNTOLD", study="2", changes=unnamed)])
    overview = source.overview(only(source, "UNTOLD"))
    assert (overview.series, overview.kinds, overview.patients) == (1, {("", ""): 1}, ())


@pytest.mark.orthanc
def test_an_instance_that_contradicts_its_series_counts_with_its_series(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    """No series may mix modalities, and Orthanc notes one; the SOP class still is its own."""
    odd = {"SOPClassUID": MRImageStorage, "Modality": "MR"}
    upload(orthanc, [instance("ODD", study="3"), instance("ODD", study="3", number=2, changes=odd)])
    overview = source.overview(only(source, "ODD"))
    assert overview.kinds == {(CTImageStorage, "CT"): 1, (MRImageStorage, "CT"): 1}


@pytest.mark.orthanc
def test_two_patients_under_one_study_uid_are_two_studies_with_different_digests(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    upload(
        orthanc,
        [
            instance("PEOPLE", study="4", changes={"PatientID": "MRN-1"}),
            instance("PEOPLE", study="4", number=2, changes={"PatientID": "MRN-2"}),
            instance("PEOPLE", study="5", changes={"PatientID": " mrn-1 "}),
        ],
    )
    patients = [source.overview(study).patients for study in source.find("PEOPLE")]
    assert [len(one) for one in patients] == [1, 1, 1]
    assert len(set(patients)) == 2
    assert "MRN" not in str(patients)


@pytest.mark.orthanc
def test_a_study_of_many_instances_is_told_in_full(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    captured = {"SOPClassUID": SecondaryCaptureImageStorage}
    scan = instance("MANY", study="6", number=1000, pixels=2)
    capture = instance("MANY", study="6", number=1000, pixels=2, changes=captured)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        for number in range(1000, 1520):
            series = f"{ROOT_UID}.6.{number % 4}".encode()
            one = capture if number % 100 == 7 else scan
            one = one.replace(f"{ROOT_UID}.6.1".encode(), series)
            zipped.writestr(f"{number}", one.replace(series + b".1000", series + b".%d" % number))
    upload(orthanc, [archive.getvalue()])
    overview = source.overview(only(source, "MANY"))
    assert overview.series == 4
    assert overview.kinds == {(CTImageStorage, "CT"): 514, (SecondaryCaptureImageStorage, "CT"): 6}


@pytest.mark.orthanc
def test_a_study_that_vanished_has_changed(orthanc: OrthancServer, source: OrthancSource) -> None:
    upload(orthanc, study_of("VANISHED", 2, study="7"))
    study = only(source, "VANISHED")
    orthanc.ask("DELETE", f"/studies/{study.source_id}")
    with pytest.raises(StudyChangedError):
        source.overview(study)


@pytest.mark.orthanc
def test_an_overview_tells_and_logs_no_identifier(
    orthanc: OrthancServer, source: OrthancSource, told: Told
) -> None:
    upload(orthanc, study_of("UNLOGGED", 2, study="8"))
    study = only(source, "UNLOGGED")
    overview = source.overview(study)
    said = f"{overview!r} {study!r} {told}"
    for identifier in ("UNLOGGED", study.source_id, PATIENT_ID, ROOT_UID, *overview.patients):
        assert identifier not in said


@pytest.mark.orthanc
def test_the_time_of_change_is_in_utc_wherever_orthanc_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with OrthancServer(tmp_path) as tokyo:
        upload(tokyo, study_of("TOKYO", 1))
        source = OrthancSource(tokyo.url)
        changed_at = only(source, "TOKYO").changed_at
        source.close()
    assert changed_at is not None
    assert abs(datetime.now(timezone.utc) - changed_at) < timedelta(minutes=5)


@pytest.mark.orthanc
def test_the_time_of_change_moves_when_an_instance_is_added(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    upload(orthanc, study_of("GROWING", 2, study="9"))
    before = only(source, "GROWING")
    assert only(source, "GROWING") == before
    time.sleep(1.1)  # Orthanc tells whole seconds
    upload(orthanc, [instance("GROWING", study="9", number=3)])
    after = only(source, "GROWING")
    assert before.changed_at is not None
    assert after.changed_at is not None
    assert after.changed_at > before.changed_at
    assert after.version != before.version


@pytest.mark.orthanc
@pytest.mark.parametrize("pause", [0.0, 1.1])
def test_a_study_deleted_and_sent_again_has_another_version_however_soon(
    orthanc: OrthancServer, source: OrthancSource, pause: float
) -> None:
    accession = f"AGAIN{pause}"
    made = study_of(accession, 2, study=f"10.{int(pause)}")
    upload(orthanc, made)
    before = only(source, accession)
    orthanc.ask("DELETE", f"/studies/{before.source_id}")
    time.sleep(pause)
    upload(orthanc, made)
    after = only(source, accession)
    assert (after.source_id, after.size) == (before.source_id, before.size)
    assert after.version != before.version
    assert pause == 0.0 or after.changed_at != before.changed_at


# --- an Orthanc that is ill --------------------------------------------------------------------


def impatient(faulty: FaultyOrthanc) -> OrthancSource:
    return OrthancSource(faulty.url, attempts=3, backoff=0.01, timeout=0.4)


def test_thousands_of_instances_take_few_requests() -> None:
    with FaultyOrthanc(ACCESSION, [b"a"] * 2500) as faulty:
        faulty.series = {name: f"s{number % 7}" for number, name in enumerate(faulty.instances)}
        source = OrthancSource(faulty.url)
        overview = source.overview(only(source, ACCESSION))
        source.close()
        asked = [faulty.requests[look] for look in LOOKS]
    assert (overview.series, overview.kinds) == (7, {(CTImageStorage, "CT"): 2500})
    assert asked == [1, 1, 3]


@pytest.mark.parametrize("look", LOOKS)
def test_each_question_is_tried_again(look: str) -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 2)) as faulty:
        source = impatient(faulty)
        study = only(source, ACCESSION)
        for faults in ([Status(503), Hang(0.8)], [Cut(3), Status(429)]):
            faulty.plan(look, *faults)
            assert source.overview(study).kinds == {(CTImageStorage, "CT"): 2}
        source.close()
        assert faulty.requests[look] == 6


@pytest.mark.parametrize("fault", [Status(502), Cut(3), Hang(0.8)], ids=["ill", "cut", "silent"])
@pytest.mark.parametrize("look", LOOKS)
def test_a_server_that_only_fails_is_unavailable_after_bounded_attempts(
    look: str, fault: Fault, told: Told
) -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 2)) as faulty:
        source = impatient(faulty)
        study = only(source, ACCESSION)
        faulty.always(look, fault)
        with pytest.raises(SourceUnavailableError, match="failed 3 times") as caught:
            source.overview(study)
        source.close()
        assert faulty.requests[look] == 3
    said = everything_said(caught.value) + str(told)
    for identifier in (ACCESSION, STUDY_ID, *faulty.instances, PATIENT_NAME, PATIENT_ID):
        assert identifier not in said


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 2)) as faulty:
        source = impatient(faulty)
        study = only(source, ACCESSION)
        faulty.always("look-study", Status(status))
        with pytest.raises(SourceUnavailableError, match="credentials"):
            source.overview(study)
        source.close()
        assert faulty.requests["look-study"] == 1


def test_an_orthanc_without_the_route_is_told_from_a_study_that_vanished() -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 2)) as faulty:
        source = impatient(faulty)
        study = only(source, ACCESSION)
        faulty.always("look-study", Status(404))
        with pytest.raises(SourceUnavailableError, match=r"bulk-content.*1\.9\.4"):
            source.overview(study)
        source.close()


@pytest.mark.parametrize("look", LOOKS)
def test_a_study_that_goes_between_the_questions_has_changed(look: str) -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 2)) as faulty:
        source = impatient(faulty)
        study = only(source, ACCESSION)
        faulty.plan(look, After(faulty.instances.clear))
        with pytest.raises(StudyChangedError):
            source.overview(study)
        source.close()


def test_an_instance_that_goes_between_the_questions_has_changed_its_study() -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 3)) as faulty:
        source = impatient(faulty)
        study = only(source, ACCESSION)
        faulty.plan("look-instance", After(faulty.instances.popitem))
        with pytest.raises(StudyChangedError):
            source.overview(study)
        source.close()


STRANGE = [
    b"<html>welcome</html>",
    b'{"not": "a list"}',
    b"[3]",
    b"[null]",
    b'["text"]',
    b"[{}]",
    b'[{"ID": "x", "PatientMainDicomTags": {"PatientID": null}}]',
    b'[{"ID": "x", "Instances": null, "MainDicomTags": {}}]',
    b'[{"ID": "x", "Instances": ["y"], "MainDicomTags": {"Modality": 7}}]',
    b'[{"ID": "x", "Metadata": []}]',
]


@pytest.mark.parametrize("answer", STRANGE)
@pytest.mark.parametrize("look", LOOKS)
def test_an_answer_that_no_orthanc_gives_is_told_apart(look: str, answer: bytes) -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 1)) as faulty:
        source = impatient(faulty)
        study = only(source, ACCESSION)
        faulty.always(look, Body(answer))
        with pytest.raises(SourceUnavailableError, match="URL"):
            source.overview(study)
        source.close()


@pytest.mark.parametrize("patient_id", ["", "\ud800", "患者１", "x" * 5000])
def test_any_patient_id_has_a_digest_or_none(patient_id: str) -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 1)) as faulty:
        source = impatient(faulty)
        study = only(source, ACCESSION)
        tags = {"PatientID": patient_id}
        answer = json.dumps([{"ID": STUDY_ID, "PatientMainDicomTags": tags}])
        faulty.always("look-study", Body(answer.encode()))
        patients = source.overview(study).patients
        source.close()
    assert [len(one) for one in patients] == ([16] if patient_id else [])


@pytest.mark.parametrize(
    ("told_time", "expected"),
    [
        ("20260131T235959", datetime(2026, 1, 31, 23, 59, 59, tzinfo=timezone.utc)),
        (None, None),
        ("", None),
        ("yesterday", None),
        (20260131, None),
        ("20261399T000000", None),
        ("2026-01-31T23:59:59", None),
    ],
)
def test_a_time_of_change_that_cannot_be_read_is_none(
    told_time: object, expected: datetime | None
) -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 1)) as faulty:
        source = impatient(faulty)
        faulty.study = {"LastUpdate": told_time}
        study = only(source, ACCESSION)
        faulty.study = {}
        untold = only(source, ACCESSION)
        source.close()
    assert study.changed_at == expected
    assert untold.changed_at is None
    assert untold.fingerprint == study.fingerprint
    assert faulty.requests == {"system": 1, "find": 2, "list": 2}


@given(st.one_of(st.text(), st.from_regex(r"\d{8}T\d{6}"), st.integers(), st.none()))
def test_no_text_is_more_than_a_time_or_none(text: object) -> None:
    found = utc_time(text)
    assert found is None or found.strftime("%Y%m%dT%H%M%S").zfill(15) == text
