"""What `OrthancSource` does when the server, or the way to it, is ill."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from locutus_dagster.sources.base import (
    SourceError,
    SourceUnavailableError,
    StudyChangedError,
    StudyIncompleteError,
)
from locutus_dagster.sources.orthanc import OrthancSource
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
    CollectingSink,
    MeasuringSink,
    digests,
    everything_said,
    instance,
    study_of,
)

ACCESSION = "XQ-SECRET-88"
MIB = 1024 * 1024


def impatient(faulty: FaultyOrthanc, **options: object) -> OrthancSource:
    settings: dict[str, object] = {"attempts": 3, "backoff": 0.01, "timeout": 0.4, **options}
    return OrthancSource(faulty.url, **settings)  # type: ignore[arg-type]


PASSING: dict[str, list[Fault]] = {
    "unavailable twice": [Status(503), Status(503)],
    "too many requests": [Status(429)],
    "internal error": [Status(500)],
    "cut in the middle": [Cut(5000)],
    "cut before the first byte": [Cut(0), Cut(0)],
    "silent": [Hang(0.8)],
    "another length": [Body(b"\0" * 128 + b"DICM")],
    "another length, not announced": [Body(b"\0" * 128 + b"DICM", with_length=False)],
}


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING)
def test_a_fault_that_passes_is_tried_again(faults: list[Fault]) -> None:
    made = study_of(ACCESSION, 6)
    with FaultyOrthanc(ACCESSION, made) as faulty:
        faulty.plan("file", None, *faults)
        source = impatient(faulty, connections=1)
        sink = CollectingSink()
        source.fetch(source.find(ACCESSION)[0], sink)
        source.close()
    assert digests(sink.instances) == digests(made)
    assert faulty.requests["file"] == len(made) + len(faults)


@pytest.mark.parametrize("what", ["find", "list"])
def test_a_question_is_tried_again_as_well(what: str) -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 2)) as faulty:
        faulty.plan(what, Status(503), Hang(0.8))
        source = impatient(faulty)
        assert source.find(ACCESSION)[0].instances == 2
        source.close()


LASTING: dict[str, Fault] = {
    "unavailable": Status(503),
    "cut": Cut(700),
    "silent": Hang(0.8),
    "another length": Body(b"short"),
    "a page of a proxy": Body(b"<html>busy</html>", with_length=False),
}


@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
def test_an_instance_that_never_arrives_is_bounded_and_leaves_its_study_incomplete(
    fault: Fault, told: Told
) -> None:
    """The server still answers, so it is this study that fails and not the source."""
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 1)) as faulty:
        faulty.always("file", fault)
        source = impatient(faulty)
        (study,) = source.find(ACCESSION)
        with pytest.raises(StudyIncompleteError, match="did not arrive") as caught:
            source.fetch(study, CollectingSink())
        source.close()
        assert faulty.requests["file"] == 3
    said = everything_said(caught.value) + str(told)
    for identifier in (ACCESSION, STUDY_ID, *faulty.instances, PATIENT_NAME, PATIENT_ID, ROOT_UID):
        assert identifier not in said


def test_a_server_that_only_fails_is_unavailable_after_bounded_attempts(told: Told) -> None:
    with FaultyOrthanc(ACCESSION, []) as faulty:
        faulty.always("find", Status(502))
        source = impatient(faulty)
        with pytest.raises(SourceUnavailableError, match="502") as caught:
            source.find(ACCESSION)
        source.close()
    assert faulty.requests["find"] == 3
    assert ACCESSION not in everything_said(caught.value) + str(told)


def test_attempts_are_spaced_out_more_and_more() -> None:
    with FaultyOrthanc(ACCESSION, []) as faulty:
        faulty.always("system", Status(503))
        source = impatient(faulty, attempts=4, backoff=0.1)
        began = time.monotonic()
        with pytest.raises(SourceUnavailableError):
            source.check()
        source.close()
    assert 0.7 <= time.monotonic() - began < 20  # 0.1 + 0.2 + 0.4, and jitter


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 3)) as faulty:
        source = impatient(faulty)
        (study,) = source.find(ACCESSION)
        faulty.always("file", Status(status))
        faulty.always("find", Status(status))
        with pytest.raises(SourceUnavailableError, match="credentials"):
            source.find(ACCESSION)
        with pytest.raises(SourceUnavailableError, match="credentials"):
            source.fetch(study, CollectingSink())
        source.close()
    assert faulty.requests["find"] == 2
    assert faulty.requests["file"] <= 3


def test_a_study_that_changes_between_the_lists_has_changed() -> None:
    made = study_of(ACCESSION, 3)
    with FaultyOrthanc(ACCESSION, made) as faulty:
        source = impatient(faulty)
        (study,) = source.find(ACCESSION)
        late = instance(ACCESSION, number=9)
        faulty.plan("list", None, After(lambda: faulty.instances.update({"late": late})))
        sink = CollectingSink()
        with pytest.raises(StudyChangedError):
            source.fetch(study, sink)
        source.close()
    assert len(sink.instances) == 3


def test_an_instance_that_vanishes_has_changed_its_study() -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 3)) as faulty:
        source = impatient(faulty)
        (study,) = source.find(ACCESSION)
        gone = next(reversed(faulty.instances))
        faulty.plan("list", None)
        faulty.plan("file", After(lambda: faulty.instances.pop(gone)))
        with pytest.raises(StudyChangedError):
            impatient(faulty, connections=1).fetch(study, CollectingSink())
        source.close()


def test_a_wrong_md5_is_an_instance_that_did_not_arrive() -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 2)) as faulty:
        source = impatient(faulty, verify_md5=True)
        (study,) = source.find(ACCESSION)
        wrong = Body(b'{"UncompressedMD5": "00"}')
        faulty.plan("md5", wrong)
        source.fetch(study, CollectingSink())
        faulty.always("md5", wrong)
        with pytest.raises(StudyIncompleteError, match="MD5"):
            source.fetch(study, CollectingSink())
        source.close()


# --- large instances ---------------------------------------------------------------------------


def test_a_large_instance_that_breaks_off_is_taken_up_where_it_broke() -> None:
    data = instance(ACCESSION, pixels=40 * MIB)
    with FaultyOrthanc(ACCESSION, [data]) as faulty:
        faulty.plan("file", Cut(5 * MIB), Status(503), Cut(3 * MIB))
        source = impatient(faulty, attempts=4)
        sink = MeasuringSink()
        receipt = source.fetch(source.find(ACCESSION)[0], sink)
        source.close()
    assert sink.digests == digests([data])
    assert (sink.size, receipt.size) == (len(data), len(data))
    assert faulty.requests["file"] == 4


def test_a_large_instance_that_differs_the_second_time_has_changed() -> None:
    data = instance(ACCESSION, pixels=40 * MIB)
    other = data[: 2 * MIB] + b"\xff" * (len(data) - 2 * MIB)
    with FaultyOrthanc(ACCESSION, [data]) as faulty:
        faulty.plan("file", Cut(5 * MIB), Body(other))
        source = impatient(faulty)
        with pytest.raises(StudyChangedError):
            source.fetch(source.find(ACCESSION)[0], MeasuringSink())
        source.close()


def test_a_large_instance_that_keeps_breaking_leaves_its_study_incomplete() -> None:
    with FaultyOrthanc(ACCESSION, [instance(ACCESSION, pixels=40 * MIB)]) as faulty:
        faulty.always("file", Cut(5 * MIB))
        source = impatient(faulty)
        with pytest.raises(StudyIncompleteError, match="the connection broke"):
            source.fetch(source.find(ACCESSION)[0], MeasuringSink())
        source.close()
    assert faulty.requests["file"] == 3


class SlowSink(MeasuringSink):
    def add(self, data: bytes | Iterable[bytes]) -> None:
        time.sleep(0.02)
        super().add(data)


def test_memory_is_bounded_while_a_slow_sink_lags_behind_many_instances() -> None:
    """16 instances of 20 MB: at most the two connections' 64 MB may wait for the sink."""
    data = instance(ACCESSION, pixels=20 * MIB)
    with FaultyOrthanc(ACCESSION, [data] * 16) as faulty:
        source = impatient(faulty, connections=2, timeout=10)
        (study,) = source.find(ACCESSION)
        sink = SlowSink()
        tracemalloc.start()
        try:
            source.fetch(study, sink)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        source.close()
    assert sink.size == 16 * len(data)
    assert peak < 2 * 32 * MIB + 16 * MIB


class FullSink(CollectingSink):
    def add(self, data: bytes | Iterable[bytes]) -> None:
        if not isinstance(data, bytes):
            next(iter(data))
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("pixels", [1000, 40 * MIB])
def test_an_error_of_the_sink_is_the_sinks_own(pixels: int) -> None:
    with FaultyOrthanc(ACCESSION, [instance(ACCESSION, pixels=pixels)] * 5) as faulty:
        source = impatient(faulty, timeout=10)
        (study,) = source.find(ACCESSION)
        with pytest.raises(OSError, match="No space left"):
            source.fetch(study, FullSink())
        source.close()


# --- strange answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Body(b"<html>welcome</html>"),
        Body(b'{"not": "a list"}'),
        Body(b"[3]"),
        Status(404),
        Status(302, "http://127.0.0.1:1/elsewhere"),
    ],
    ids=["a page", "another JSON", "a list of something else", "no such route", "a redirect"],
)
def test_a_server_that_is_no_orthanc_is_told_apart(fault: Fault) -> None:
    with FaultyOrthanc(ACCESSION, []) as faulty:
        faulty.always("find", fault)
        source = impatient(faulty)
        with pytest.raises(SourceUnavailableError, match="URL"):
            source.find(ACCESSION)
        source.close()
    assert faulty.requests["find"] == 1


def test_a_study_that_the_server_matched_loosely_is_left_out() -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 1)) as faulty:
        source = impatient(faulty)
        for tags in ({"AccessionNumber": ACCESSION.lower()}, {"AccessionNumber": "A"}, {}):
            faulty.tags = tags
            assert source.find(ACCESSION) == []
        source.close()


def test_a_study_that_is_deleted_while_it_is_looked_up_is_not_found() -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 1)) as faulty:
        faulty.always("list", Status(404))
        source = impatient(faulty)
        assert source.find(ACCESSION) == []
        source.close()


def test_instances_are_asked_for_uncompressed_and_without_credentials_in_the_url() -> None:
    with FaultyOrthanc(ACCESSION, study_of(ACCESSION, 2)) as faulty:
        source = OrthancSource(faulty.url.replace("//", "//reader:hush@"))
        source.fetch(source.find(ACCESSION)[0], CollectingSink())
        source.close()
    assert {headers["Accept-Encoding"] for headers in faulty.headers} == {"identity"}
    assert all(headers["Authorization"].startswith("Basic ") for headers in faulty.headers)


@pytest.mark.parametrize("url", ["", "pacs:8042", "ftp://pacs", "http://", "http://pacs:port/"])
def test_a_url_that_is_none_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(SourceError, match="URL") as caught:
        OrthancSource(url)
    assert "pacs" not in everything_said(caught.value).partition("Traceback")[0]


@pytest.mark.parametrize("option", ["attempts", "connections"])
def test_no_attempt_or_no_connection_is_refused(option: str) -> None:
    with pytest.raises(SourceError, match="at least one"):
        OrthancSource("http://pacs:8042", **{option: 0})


def test_a_certificate_is_verified_against_the_given_authority(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate for this test, is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    wanted = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    wanted += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key)]
    subprocess.run(
        ["openssl", "req", *wanted, "-out", str(certificate)], check=True, capture_output=True
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with FaultyOrthanc(ACCESSION, [], tls=tls) as faulty:
        for verify in (str(certificate), False):
            source = impatient(faulty, verify=verify, timeout=5)
            assert source.check()["version"] == "faulty"
            source.close()
        stranger = impatient(faulty, timeout=5)
        with pytest.raises(SourceUnavailableError, match="certificate"):
            stranger.check()
        lost = impatient(faulty, verify=str(tmp_path / "absent.pem"))
        with pytest.raises(SourceUnavailableError, match="authorities"):
            lost.check()


def test_importing_the_sources_loads_no_client_library() -> None:
    program = (
        "import sys; import locutus_dagster.sources.registry, locutus_dagster.sources.orthanc,"
        " locutus_dagster.sources.folder;"
        " print([name for name in ('httpx', 'pyorthanc', 'pydicom') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout.strip() == b"[]"
