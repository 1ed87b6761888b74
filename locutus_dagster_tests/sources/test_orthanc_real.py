"""Finding and fetching studies in a real Orthanc."""

from __future__ import annotations

import csv
import io
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest

from locutus_dagster.sources.base import (
    SourceError,
    SourceUnavailableError,
    StudyChangedError,
    StudyIncompleteError,
    StudySource,
)
from locutus_dagster.sources.orthanc import OrthancSource
from locutus_dagster_tests.parts import free_port
from locutus_dagster_tests.parts.orthanc import OrthancServer, RefusedError
from locutus_dagster_tests.sources.conftest import Told
from locutus_dagster_tests.sources.studies import (
    CORPUS,
    PATIENT_ID,
    PATIENT_NAME,
    PYDICOM_FILES,
    ROOT_UID,
    CollectingSink,
    MeasuringSink,
    digests,
    everything_said,
    instance,
    study_of,
)

pytestmark = pytest.mark.orthanc


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """An Orthanc that the tests of this module share; each uses accession numbers of its own."""
    directory = tmp_path_factory.mktemp("orthanc")
    with OrthancServer(directory, options={"OverwriteInstances": True}) as server:
        yield server


@pytest.fixture
def own_orthanc(tmp_path: Path) -> Iterator[OrthancServer]:
    """An Orthanc that one test may kill."""
    with OrthancServer(tmp_path / "orthanc") as server:
        yield server


@pytest.fixture
def source(orthanc: OrthancServer) -> Iterator[OrthancSource]:
    source = OrthancSource(orthanc.url, timeout=20, backoff=0.05)
    yield source
    source.close()


def upload(orthanc: OrthancServer, instances: list[bytes]) -> None:
    for data in instances:
        orthanc.upload(data)


# --- finding ---------------------------------------------------------------------------------


def test_it_is_a_study_source(source: OrthancSource) -> None:
    assert isinstance(source, StudySource)


def test_an_accession_number_that_nothing_carries_finds_nothing(source: OrthancSource) -> None:
    assert source.find("NOBODY") == []


def test_a_found_study_tells_its_instances_and_size(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    made = study_of("COUNTED", 3, study="10")
    upload(orthanc, made)
    (study,) = source.find("COUNTED")
    assert (study.instances, study.size) == (3, sum(map(len, made)))
    assert study.source_id not in repr(study)


def test_padding_is_no_part_of_an_accession_number(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    upload(orthanc, [instance("PADDED ", study="11")])
    assert source.find(" PADDED") == source.find("PADDED")
    assert len(source.find("PADDED")) == 1


def test_accession_numbers_match_whole_and_in_their_case(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    upload(orthanc, [instance("Case-12", study="12"), instance("Case-123", study="13")])
    assert len(source.find("Case-12")) == 1
    assert source.find("CASE-12") == []
    assert source.find("ase-12") == []


@pytest.mark.parametrize("wild", ["Wild*", "Wil?1", "Wild1\\Wild2", "*"])
def test_wildcards_are_refused_rather_than_matched(
    orthanc: OrthancServer, source: OrthancSource, wild: str
) -> None:
    upload(orthanc, [instance("Wild1", study="14")])
    with pytest.raises(SourceError, match="wildcard") as caught:
        source.find(wild)
    assert wild.strip("*?") == "" or wild not in str(caught.value)


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_accession_number_is_refused_rather_than_matching_everything(
    source: OrthancSource, empty: str
) -> None:
    with pytest.raises(SourceError, match="empty"):
        source.find(empty)


def test_every_study_under_an_accession_number_is_found_in_a_stable_order(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    upload(orthanc, [instance("TWICE", study="21"), *study_of("TWICE", 2, study="20")])
    assert [study.instances for study in source.find("TWICE")] == [2, 1]


def test_two_patients_under_one_accession_number_are_two_studies(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    """Even if they share the Study Instance UID as well."""
    other = instance("SHARED", study="23", changes={"PatientID": "MRN-OTHER"})
    upload(orthanc, [*study_of("SHARED", 2, study="23"), other])
    found = source.find("SHARED")
    assert sorted(study.instances for study in found) == [1, 2]
    assert len({source.overview(study).patients for study in found}) == 2


def test_an_accession_number_of_another_issuer_is_another_one(orthanc: OrthancServer) -> None:
    for study, keyword, entity in (
        ("24", "LocalNamespaceEntityID", "NORTH"),
        ("25", "UniversalEntityID", "1.2.3.4"),
        ("26", "", ""),
    ):
        dataset = pydicom.dcmread(io.BytesIO(instance("ISSUED", study=study)))
        if keyword:
            issuer = pydicom.Dataset()
            setattr(issuer, keyword, entity)
            dataset.IssuerOfAccessionNumberSequence = [issuer]
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        orthanc.upload(buffer.getvalue())
    found = {}
    for issuer_id in (None, "NORTH", "1.2.3.4", "SOUTH"):
        source = OrthancSource(orthanc.url, issuer=issuer_id)
        found[issuer_id] = [study.source_id for study in source.find("ISSUED")]
        source.close()
    everyone = found[None]
    assert [len(ids) for ids in found.values()] == [3, 1, 1, 0]
    assert found["NORTH"] == everyone[:1]
    assert found["1.2.3.4"] == everyone[1:2]


def test_the_fingerprint_tells_a_study_that_grew_or_was_overwritten(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    upload(orthanc, study_of("GROWS", 2, study="22"))
    seen = [source.find("GROWS")[0].fingerprint]
    assert source.find("GROWS")[0].fingerprint == seen[0]
    upload(orthanc, [instance("GROWS", study="22", number=3)])
    seen.append(source.find("GROWS")[0].fingerprint)
    overwritten = bytearray(instance("GROWS", study="22", number=3))
    overwritten[-1] ^= 1
    upload(orthanc, [bytes(overwritten)])
    seen.append(source.find("GROWS")[0].fingerprint)
    assert len(set(seen)) == 3


# --- fetching --------------------------------------------------------------------------------


def test_every_instance_arrives_byte_by_byte_in_the_order_of_its_uid(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    made = study_of("ORDERED", 40, study="30")
    upload(orthanc, list(reversed(made)))
    (study,) = source.find("ORDERED")
    sink = CollectingSink()
    receipt = source.fetch(study, sink)
    assert digests(sink.instances) == digests(made)
    assert (receipt.instances, receipt.size) == (40, sum(map(len, made)))
    assert receipt.fingerprint == study.fingerprint


def test_the_order_is_the_same_every_time(orthanc: OrthancServer) -> None:
    upload(orthanc, study_of("REPEATED", 30, study="31"))
    orders = []
    for connections in (1, 2, 8):
        source = OrthancSource(orthanc.url, connections=connections)
        sink = CollectingSink()
        source.fetch(source.find("REPEATED")[0], sink)
        source.close()
        orders.append(digests(sink.instances))
    assert orders[0] == orders[1] == orders[2]


def test_md5_sums_are_verified_on_request(orthanc: OrthancServer) -> None:
    made = study_of("SUMMED", 5, study="32")
    upload(orthanc, made)
    source = OrthancSource(orthanc.url, verify_md5=True)
    sink = CollectingSink()
    source.fetch(source.find("SUMMED")[0], sink)
    source.close()
    assert digests(sink.instances) == digests(made)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_files_of_pydicom_arrive_as_they_were_stored(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    """Every transfer syntax and oddity that Orthanc takes, under one accession number."""
    stored = {}
    for path in sorted(PYDICOM_FILES.glob("*.dcm")):
        buffer = io.BytesIO()
        try:
            dataset = pydicom.dcmread(path, force=True)
            dataset.AccessionNumber = "PYDICOM"
            dataset.save_as(buffer)
            answer = orthanc.upload(buffer.getvalue())
        except (RefusedError, ValueError, AttributeError, NotImplementedError, TypeError):
            continue
        stored[answer["ID"]] = buffer.getvalue()
    sink = CollectingSink()
    for study in source.find("PYDICOM"):
        source.fetch(study, sink)
    assert len(stored) > 30
    assert sorted(digests(sink.instances)) == sorted(digests(stored.values()))


def test_real_mr_studies_arrive_as_they_were_stored(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    if not CORPUS.is_dir():
        pytest.skip("the corpus of real files is not beside this checkout (../shared/corpus)")
    with (CORPUS / "index.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "dcm_qa_nih"]
    stored = []
    for row in rows[:: max(1, len(rows) // 120)]:
        dataset = pydicom.dcmread(CORPUS / row["path"])
        dataset.AccessionNumber = "NIH"  # these files carry none
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        orthanc.upload(buffer.getvalue())
        stored.append(buffer.getvalue())
    sink = CollectingSink()
    for study in source.find("NIH"):
        source.fetch(study, sink)
    assert len(stored) >= 120
    assert sorted(digests(sink.instances)) == sorted(digests(stored))


def test_a_file_that_orthanc_stores_compressed_arrives_as_it_was(tmp_path: Path) -> None:
    made = study_of("COMPRESSED", 3)
    with OrthancServer(tmp_path, options={"StorageCompression": True}) as orthanc:
        upload(orthanc, made)
        source = OrthancSource(orthanc.url, verify_md5=True)
        sink = CollectingSink()
        source.fetch(source.find("COMPRESSED")[0], sink)
        source.close()
    assert digests(sink.instances) == digests(made)


def test_a_file_without_preamble_that_orthanc_took_is_handed_over(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    bare = io.BytesIO()
    dataset = pydicom.dcmread(io.BytesIO(instance("BARE", study="33")))
    pydicom.dcmwrite(bare, pydicom.Dataset(dataset), implicit_vr=False, little_endian=True)
    assert bare.getvalue()[128:132] != b"DICM"
    upload(orthanc, [bare.getvalue()])
    sink = CollectingSink()
    source.fetch(source.find("BARE")[0], sink)
    assert sink.instances == [bare.getvalue()]


def test_memory_stays_small_while_a_large_instance_flows_through(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    """A study of 40 MB in one multi-frame instance must not need 40 MB."""
    data = instance("LARGE", study="34", pixels=40 * 1024 * 1024)
    orthanc.upload(data)
    expected = digests([data])
    del data
    (study,) = source.find("LARGE")
    sink = MeasuringSink()
    tracemalloc.start()
    try:
        source.fetch(study, sink)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sink.digests == expected
    assert sink.largest_chunk <= 1024 * 1024
    assert peak < 16 * 1024 * 1024


# --- changes and losses ------------------------------------------------------------------------


def test_a_study_that_grew_since_it_was_found_is_not_downloaded(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    upload(orthanc, study_of("LATER", 2, study="40"))
    (study,) = source.find("LATER")
    upload(orthanc, [instance("LATER", study="40", number=3)])
    sink = CollectingSink()
    with pytest.raises(StudyChangedError):
        source.fetch(study, sink)
    assert sink.instances == []


def test_a_study_that_grows_during_the_download_is_no_success(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    upload(orthanc, study_of("GROWING", 5, study="41"))
    late = instance("GROWING", study="41", number=6)
    sink = CollectingSink(lambda number: orthanc.upload(late) if number == 2 else None)
    with pytest.raises(StudyChangedError):
        source.fetch(source.find("GROWING")[0], sink)


def test_a_study_that_is_deleted_during_the_download_has_changed(
    orthanc: OrthancServer, source: OrthancSource
) -> None:
    upload(orthanc, study_of("DELETED", 40, study="42"))
    (study,) = source.find("DELETED")

    def delete(number: int) -> None:
        if number == 1:
            orthanc.ask("DELETE", f"/studies/{study.source_id}")

    with pytest.raises(StudyChangedError):
        source.fetch(study, CollectingSink(delete))
    assert source.find("DELETED") == []


def test_a_file_that_orthanc_lost_makes_its_study_incomplete(own_orthanc: OrthancServer) -> None:
    upload(own_orthanc, study_of("LOST", 5))
    listed = own_orthanc.ask("GET", "/instances?expand")
    lost = listed[0]["FileUuid"]
    own_orthanc.kill()
    (own_orthanc.storage / lost[:2] / lost[2:4] / lost).unlink()
    own_orthanc.start()
    source = OrthancSource(own_orthanc.url, backoff=0.01, attempts=2)
    with pytest.raises(StudyIncompleteError, match="One of 5 instances did not arrive") as caught:
        source.fetch(source.find("LOST")[0], CollectingSink())
    source.close()
    assert lost not in everything_said(caught.value)


def test_an_orthanc_that_is_killed_and_restarted_is_awaited(own_orthanc: OrthancServer) -> None:
    made = study_of("RESTARTED", 60)
    upload(own_orthanc, made)
    source = OrthancSource(own_orthanc.url, attempts=8, backoff=0.2)
    (study,) = source.find("RESTARTED")
    restarts: list[threading.Timer] = []

    def kill(number: int) -> None:
        if number == 3:
            own_orthanc.kill()
            restarts.append(threading.Timer(0.5, own_orthanc.start))
            restarts[0].start()

    sink = CollectingSink(kill)
    source.fetch(study, sink)
    restarts[0].join()
    source.close()
    assert digests(sink.instances) == digests(made)


def test_an_orthanc_that_dies_for_good_is_one_clear_error(
    own_orthanc: OrthancServer, told: Told
) -> None:
    upload(own_orthanc, study_of("DIES", 60))
    source = OrthancSource(own_orthanc.url, attempts=2, backoff=0.05)
    (study,) = source.find("DIES")
    with pytest.raises(SourceUnavailableError, match="does not answer at") as caught:
        source.fetch(study, CollectingSink(lambda number: own_orthanc.kill()))
    source.close()
    assert own_orthanc.url in str(caught.value)
    said = everything_said(caught.value) + str(told)
    for identifier in ("DIES", study.source_id, PATIENT_NAME, PATIENT_ID, ROOT_UID):
        assert identifier not in said


# --- access ------------------------------------------------------------------------------------


def test_basic_authentication_opens_the_door_and_a_wrong_password_does_not(tmp_path: Path) -> None:
    with OrthancServer(tmp_path, users={"reader": "pass:wörd"}) as orthanc:
        upload(orthanc, study_of("LOCKED", 2))
        source = OrthancSource(orthanc.url, username="reader", password="pass:wörd")
        assert source.check()["version"]
        source.fetch(source.find("LOCKED")[0], CollectingSink())
        source.close()
        in_url = OrthancSource(orthanc.url.replace("//", "//reader:pass%3Aw%C3%B6rd@"))
        assert len(in_url.find("LOCKED")) == 1
        in_url.close()
        for wrong in (
            OrthancSource(orthanc.url),
            OrthancSource(orthanc.url, username="reader", password="gu3ssed"),
        ):
            with pytest.raises(SourceUnavailableError, match="credentials") as caught:
                wrong.find("LOCKED")
            assert "gu3ssed" not in everything_said(caught.value)
            wrong.close()


def test_an_unreachable_orthanc_is_named_without_its_credentials() -> None:
    port = free_port()
    source = OrthancSource(f"http://reader:hush@127.0.0.1:{port}/", attempts=2, backoff=0.01)
    calls: list[Callable[[], object]] = [source.check, lambda: source.find("A1")]
    for call in calls:
        with pytest.raises(SourceUnavailableError) as caught:
            call()
        assert f"does not answer at http://127.0.0.1:{port}." in str(caught.value)
        assert "hush" not in everything_said(caught.value)
    assert "hush" not in repr(source)


def test_nothing_identifying_is_logged_by_a_successful_fetch(
    orthanc: OrthancServer, source: OrthancSource, told: Told
) -> None:
    upload(orthanc, study_of("UNLOGGED", 3, study="50"))
    (study,) = source.find("UNLOGGED")
    source.fetch(study, CollectingSink())
    for identifier in ("UNLOGGED", study.source_id, "/instances/", "/studies/", ROOT_UID):
        assert identifier not in str(told)


def test_the_preflight_names_the_server(orthanc: OrthancServer, source: OrthancSource) -> None:
    checked = source.check()
    assert checked["kind"] == "orthanc"
    assert checked["place"] == orthanc.url
    assert checked["name"] == "test"


def test_a_closed_source_may_be_closed_again_and_asked_again(orthanc: OrthancServer) -> None:
    source = OrthancSource(orthanc.url)
    source.close()
    source.check()
    source.close()
    source.close()
    assert source.find("NOBODY") == []
    source.close()


def test_proxies_of_the_environment_are_not_used(
    orthanc: OrthancServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setitem(os.environ, name, f"http://127.0.0.1:{free_port()}")
    source = OrthancSource(orthanc.url, attempts=1)
    assert source.check()["version"]
    source.close()
