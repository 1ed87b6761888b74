"""Studies from a DICOMweb server: Orthanc's plugin, and a server that misbehaves on purpose."""

from __future__ import annotations

import io
import logging
import ssl
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pydicom
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import DicomWebSourceSettings
from locutus_dagster.sources.base import (
    SourceContext,
    SourceError,
    SourceUnavailableError,
    StudyChangedError,
    StudyIncompleteError,
    StudySource,
)
from locutus_dagster.sources.dicomweb import DicomWebSource, open_dicomweb
from locutus_dagster.sources.dicomweb_multipart import boundary_of, the_one_part
from locutus_dagster.sources.dicomweb_terms import LostInstanceError, Place, TransientError
from locutus_dagster.vault.options import VaultSettings
from locutus_dagster_tests.parts.dicomweb import Answer, OddDicomWeb, dicomweb_plugin, message
from locutus_dagster_tests.parts.fault_proxy import FaultProxy
from locutus_dagster_tests.parts.orthanc import OrthancServer
from locutus_dagster_tests.sources.conftest import Told
from locutus_dagster_tests.sources.studies import (
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

ACCESSION = "XQ-SECRET-88"
MIB = 1024 * 1024
COMPRESSED = (
    *("JPEG2000.dcm", "MR_small_RLE.dcm", "JPEG-lossy.dcm", "examples_ybr_color.dcm"),
    *("image_dfl.dcm", "ExplVR_BigEnd.dcm", "SC_rgb_jpeg_dcmtk.dcm"),
)


class RotatingSecrets(Secrets):
    """Secrets of which one is exchanged as soon as somebody asks afresh."""

    def __init__(self, *values: str) -> None:
        super().__init__(VaultSettings())
        self.values = list(values)
        self.asked_afresh = 0

    def resolve(self, reference: str, *, fresh: bool = False) -> str:
        if fresh:
            self.asked_afresh += 1
            self.values = self.values[1:] or self.values
        return self.values[0]


def source_at(
    url: str, tmp_path: Path = Path(), secrets: Secrets | None = None, **options: Any
) -> DicomWebSource:
    settings = DicomWebSourceSettings(
        url=url, **{"attempts": 3, "timeout": 2.0, "connections": 3, **options}
    )
    context = SourceContext("w", tmp_path, secrets or Secrets(VaultSettings()))
    return DicomWebSource(settings, context, backoff=0.01)


# --- against Orthanc -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored() -> dict[str, bytes]:
    """SOP Instance UID → bytes, of the study of many transfer syntaxes."""
    made = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in COMPRESSED:
            dataset = pydicom.dcmread(PYDICOM_FILES / name)
            dataset.AccessionNumber = "MIX"
            dataset.StudyInstanceUID = f"{ROOT_UID}.50"
            dataset.PatientID = PATIENT_ID
            buffer = io.BytesIO()
            dataset.save_as(buffer)
            made[str(dataset.SOPInstanceUID)] = buffer.getvalue()
    return made


@pytest.fixture(scope="module")
def orthanc(
    tmp_path_factory: pytest.TempPathFactory, stored: dict[str, bytes]
) -> Iterator[OrthancServer]:
    with OrthancServer(
        tmp_path_factory.mktemp("dicomweb"),
        plugins=[dicomweb_plugin()],
        options={"OverwriteInstances": True},
    ) as server:
        for data in (
            *study_of(ACCESSION, 5),
            instance(ACCESSION, series=2, number=9),
            instance(ACCESSION.lower(), study="2"),
            instance(ACCESSION + "9", study="3"),
            instance("TWO", study="4"),
            instance("TWO", study="5"),
            instance("PEOPLE", study="6", number=1),
            instance("PEOPLE", study="6", number=2, changes={"PatientID": "OTHER"}),
            instance("BIG", study="7", pixels=40 * MIB),
            *stored.values(),
        ):
            server.upload(data)
        yield server


@pytest.fixture
def source(orthanc: OrthancServer) -> Iterator[DicomWebSource]:
    source = source_at(f"{orthanc.url}/dicom-web/")
    yield source
    source.close()


def test_instances_arrive_as_they_were_stored_whatever_their_transfer_syntax(
    source: DicomWebSource, stored: dict[str, bytes]
) -> None:
    (study,) = source.find("MIX")
    assert study.instances == len(COMPRESSED)
    sink = CollectingSink()
    receipt = source.fetch(study, sink)
    assert digests(sink.instances) == digests(stored[uid] for uid in sorted(stored))
    assert (receipt.instances, receipt.size) == (len(stored), sum(map(len, stored.values())))
    assert receipt.fingerprint == study.fingerprint


def test_accession_numbers_match_exactly(source: DicomWebSource) -> None:
    """Orthanc's plugin ignores case and takes wildcards."""
    assert [len(source.find(one)) for one in (f" {ACCESSION} ", "XQ-SECRET-8", "TWO", "NONE")] == [
        *(1, 0, 2, 0)
    ]
    assert source.find(ACCESSION) != source.find(ACCESSION.lower())
    for wildcard in ("XQ-SECRET-*", "XQ-SECRET-8?", "TWO\\A1"):
        with pytest.raises(SourceError, match="wildcard"):
            source.find(wildcard)
    with pytest.raises(SourceError, match="empty"):
        source.find(" ")


def test_an_overview_counts_what_the_server_lists(source: DicomWebSource) -> None:
    overview = source.overview(source.find(ACCESSION)[0])
    assert (overview.series, overview.kinds) == (2, {("1.2.840.10008.5.1.4.1.1.2", "CT"): 6})
    assert len(overview.patients) == 1
    assert overview.patients == source.overview(source.find("TWO")[0]).patients


def test_two_patients_in_one_study_are_seen(source: DicomWebSource) -> None:
    (study,) = source.find("PEOPLE")
    assert len(source.overview(study).patients) == 2
    assert source.fetch(study, CollectingSink()).instances == 2


def test_the_estimated_size_is_not_below_that_of_a_plain_study(source: DicomWebSource) -> None:
    (study,) = source.find(ACCESSION)
    sink = MeasuringSink()
    source.fetch(study, sink)
    assert sink.size <= study.size < 4 * sink.size


def test_a_large_instance_flows_through_in_chunks_and_survives_a_cut(
    orthanc: OrthancServer, tmp_path: Path
) -> None:
    with FaultProxy("127.0.0.1", orthanc.port) as proxy:
        source = source_at(f"http://127.0.0.1:{proxy.port}/dicom-web")
        (study,) = source.find("BIG")
        proxy.cut_after(30 * MIB)
        sink = MeasuringSink()
        receipt = source.fetch(study, sink)
        source.close()
    assert sink.digests == digests([instance("BIG", study="7", pixels=40 * MIB)])
    assert sink.largest_chunk <= 2 * MIB
    assert (receipt.size, proxy.faults) == (sink.size, 1)


def test_faults_of_the_network_that_pass_are_survived(orthanc: OrthancServer) -> None:
    expected = digests([*study_of(ACCESSION, 5)])
    with FaultProxy("127.0.0.1", orthanc.port) as proxy:
        source = source_at(f"http://127.0.0.1:{proxy.port}/dicom-web")
        for fault in (
            lambda: proxy.cut_after(20_000, times=2),
            lambda: proxy.cut_after(0),
            lambda: proxy.reset(2),
            lambda: proxy.answer_503(2),
        ):
            (study,) = source.find(ACCESSION)
            sink = CollectingSink()
            before = proxy.faults
            fault()
            source.fetch(study, sink)
            assert proxy.faults > before
            assert digests(sink.instances)[:5] == expected
            assert len(sink.instances) == 6
        source.close()


def test_a_server_that_stays_away_is_unavailable_and_names_no_accession(
    orthanc: OrthancServer, told: Told
) -> None:
    with FaultProxy("127.0.0.1", orthanc.port) as proxy:
        source = source_at(f"http://127.0.0.1:{proxy.port}/dicom-web")
        (study,) = source.find(ACCESSION)
        proxy.cut_after(100, times=1000)
        with pytest.raises(SourceUnavailableError, match="failed 3 times") as caught:
            source.fetch(study, CollectingSink())
    with pytest.raises(SourceUnavailableError, match="does not answer") as gone:
        source.find(ACCESSION)
    source.close()
    said = everything_said(caught.value) + everything_said(gone.value) + str(told)
    for identifier in (ACCESSION, PATIENT_NAME, PATIENT_ID, ROOT_UID):
        assert identifier not in said


def test_an_answer_that_is_cut_is_never_taken_for_an_empty_archive(orthanc: OrthancServer) -> None:
    """In its head, where the length is lost, as well as in its body."""
    with FaultProxy("127.0.0.1", orthanc.port) as proxy:
        for bytes_left in (0, 40, 100, 130, 160, 400):
            source = source_at(f"http://127.0.0.1:{proxy.port}/dicom-web")
            proxy.cut_after(bytes_left)
            assert len(source.find(ACCESSION)) == 1
            proxy.cut_after(bytes_left, times=1000)
            with pytest.raises(SourceUnavailableError):
                source.find(ACCESSION)
            proxy.clear()
            source.close()


def test_a_server_that_only_trickles_is_given_up(orthanc: OrthancServer) -> None:
    with FaultProxy("127.0.0.1", orthanc.port) as proxy:
        source = source_at(
            f"http://127.0.0.1:{proxy.port}/dicom-web", timeout=0.2, attempts=1, connections=1
        )
        (study,) = source.find("TWO")[:1]
        listed = source._relist(study)
        proxy.trickle(1000)
        with pytest.raises(LostInstanceError, match="too slowly"):
            source._downloader.write_all(study.source_id, listed, CollectingSink())
        source.close()


def test_a_study_that_grows_or_goes_has_changed(
    orthanc: OrthancServer, source: DicomWebSource
) -> None:
    orthanc.upload(instance("GROWS", study="60"))
    (study,) = source.find("GROWS")
    found = [orthanc.upload(instance("GROWS", study="60", number=2))["ParentStudy"]]
    with pytest.raises(StudyChangedError):
        source.fetch(study, CollectingSink())
    (study,) = source.find("GROWS")
    while_fetching = CollectingSink(
        lambda count: orthanc.upload(instance("GROWS", study="60", number=2 + count)) and None
    )
    with pytest.raises(StudyChangedError):
        source.fetch(study, while_fetching)
    (study,) = source.find("GROWS")
    orthanc.ask("DELETE", f"/studies/{found[0]}")
    for ask in (source.overview, lambda one: source.fetch(one, CollectingSink())):
        with pytest.raises(StudyChangedError):
            ask(study)
    assert source.find("GROWS") == []


def test_no_log_or_warning_names_anybody(
    orthanc: OrthancServer, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("dicomweb_client.web", "dicomweb_client", "urllib3.connectionpool", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)
    source = source_at(f"{orthanc.url}/dicom-web")
    source.fetch(source.find(ACCESSION)[0], CollectingSink())
    assert source.check() == {"kind": "dicomweb", "place": orthanc.url}
    source.close()
    assert str(told) == ""
    assert ACCESSION not in repr(source)


def test_an_orthanc_without_the_plugin_is_told_from_an_empty_archive(
    orthanc: OrthancServer,
) -> None:
    source = source_at(f"{orthanc.url}/elsewhere")
    for ask in (source.check, lambda: source.find(ACCESSION)):
        with pytest.raises(SourceUnavailableError, match="like a DICOMweb server"):
            ask()
    source.close()


# --- against servers that misbehave --------------------------------------------------------------


def odd_study(count: int) -> dict[str, bytes]:
    """Instances in the order of their UIDs."""
    made = {
        f"{ROOT_UID}.77.1.{number}": instance(ACCESSION, study="77", number=number)
        for number in range(1, count + 1)
    }
    return dict(sorted(made.items()))


def test_a_list_in_pages_is_read_to_its_end() -> None:
    with OddDicomWeb(ACCESSION, odd_study(65)) as odd:
        odd.cap = 25
        source = source_at(odd.url)
        (study,) = source.find(ACCESSION)
        assert study.instances == 65
        assert odd.requests["instances"] == 3
        source.close()


def test_a_server_that_ignores_the_offset_neither_holds_us_nor_hides_instances() -> None:
    with OddDicomWeb(ACCESSION, odd_study(65)) as odd:
        odd.ignore_offset, odd.announced = True, 65
        source = source_at(odd.url)
        (study,) = source.find(ACCESSION)
        sink = CollectingSink()
        source.fetch(study, sink)
        assert len(sink.instances) == study.instances == 65
        odd.cap = 25
        (cut,) = source.find(ACCESSION)
        with pytest.raises(StudyIncompleteError, match="25 of the 65"):
            source.fetch(cut, CollectingSink())
        source.close()


@pytest.mark.parametrize("answer", [Answer(404), Answer(204), Answer(body=b"[]")])
def test_a_study_without_a_list_of_instances_is_no_absent_study(answer: Answer) -> None:
    with OddDicomWeb(ACCESSION, odd_study(1)) as odd:
        odd.odd = lambda what, query: answer if what == "instances" else None
        source = source_at(odd.url)
        with pytest.raises(SourceError, match="lists no instance"):
            source.find(ACCESSION)
        odd.announced = 0  # a study that is announced, or of which everything was rejected
        assert source.find(ACCESSION) == []
        source.close()


def wrong_answers() -> dict[str, Answer]:
    other = instance(ACCESSION, study="78")
    whole = message([instance(ACCESSION, study="77")])
    return {
        "two instances": message([instance(ACCESSION, study="77"), other]),
        "another instance": message([other]),
        "no instance": Answer(body=b"--b--\r\n", content_type="multipart/related; boundary=b"),
        "a page": Answer(body=b"<html>log in</html>", content_type="text/html"),
        "not DICOM": message([b"\0" * 500]),
        "cut, and its end not told": Answer(
            body=whole.body[:-20], content_type=whole.content_type, length=False
        ),
        "bare and its end not told": Answer(
            body=instance(ACCESSION, study="77"), content_type="application/dicom", length=False
        ),
    }


@pytest.mark.parametrize("kind", wrong_answers())
def test_a_wrong_answer_is_no_instance(kind: str, told: Told) -> None:
    with OddDicomWeb(ACCESSION, odd_study(1)) as odd:
        source = source_at(odd.url)
        (study,) = source.find(ACCESSION)
        wrong = wrong_answers()[kind]
        odd.odd = lambda what, query: wrong if what == "instance" else None
        sink = CollectingSink()
        with pytest.raises(StudyIncompleteError, match="did not arrive") as caught:
            source.fetch(study, sink)
        assert (sink.instances, odd.requests["instance"]) == ([], 3)
        source.close()
    said = everything_said(caught.value) + str(told)
    for identifier in (ACCESSION, PATIENT_NAME, PATIENT_ID, ROOT_UID):
        assert identifier not in said


def test_a_bare_instance_is_taken_if_its_end_is_told() -> None:
    with OddDicomWeb(ACCESSION, odd_study(1)) as odd:
        bare = Answer(body=instance(ACCESSION, study="77"), content_type="application/dicom")
        odd.odd = lambda what, query: bare if what == "instance" else None
        source = source_at(odd.url)
        sink = CollectingSink()
        source.fetch(source.find(ACCESSION)[0], sink)
        assert sink.instances == [bare.body]
        source.close()


REFUSALS = {
    "no original": (Answer(406), "as they are stored", SourceError),
    "a redirection": (
        Answer(302, headers=(("Location", "http://127.0.0.1:9/elsewhere"),)),
        "redirects elsewhere",
        SourceUnavailableError,
    ),
    "forbidden": (Answer(403), "refuses these credentials", SourceUnavailableError),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_is_not_asked_again(kind: str, told: Told) -> None:
    answer, message, error = REFUSALS[kind]
    with OddDicomWeb(ACCESSION, odd_study(1)) as odd:
        source = source_at(odd.url)
        (study,) = source.find(ACCESSION)
        odd.odd = lambda what, query: answer if what == "instance" else None
        with pytest.raises(error, match=message) as caught:
            source.fetch(study, CollectingSink())
        assert odd.requests["instance"] == 1
        source.close()
    assert ACCESSION not in everything_said(caught.value) + str(told)
    assert ROOT_UID not in everything_said(caught.value) + str(told)


@pytest.mark.parametrize(
    "body", [b"<html></html>", b"3", b"[3]", b'[{"0020000D": 3}]', b'[{"00080050": {"Value": 1}}]']
)
def test_an_answer_that_is_no_dicom_json_is_refused(body: bytes, told: Told) -> None:
    with OddDicomWeb(ACCESSION, {}) as odd:
        odd.odd = lambda what, query: Answer(body=body)
        source = source_at(odd.url)
        with pytest.raises(SourceUnavailableError, match="like a DICOMweb server") as caught:
            source.find(ACCESSION)
        source.close()
    assert ACCESSION not in everything_said(caught.value) + str(told)


def test_a_uid_that_would_lead_elsewhere_is_never_asked_for() -> None:
    with OddDicomWeb(ACCESSION, {"1.2/../../admin": b""}) as odd:
        source = source_at(odd.url)
        with pytest.raises(SourceUnavailableError, match="like a DICOMweb server"):
            source.find(ACCESSION)
        assert odd.requests["instance"] == 0
        source.close()


# --- credentials and TLS -------------------------------------------------------------------------


def test_a_rotated_token_is_asked_for_once_and_the_download_goes_on(told: Told) -> None:
    with OddDicomWeb(ACCESSION, odd_study(6)) as odd:
        odd.authorization = "Bearer first"
        secrets = RotatingSecrets("first", "second")
        source = source_at(odd.url, secrets=secrets, token="vault:kv/pacs#token")
        (study,) = source.find(ACCESSION)

        def rotate(count: int) -> None:
            odd.authorization = "Bearer second"

        sink = CollectingSink(rotate)
        odd.authorization = "Bearer first"
        source.fetch(study, sink)
        assert (len(sink.instances), secrets.asked_afresh) == (6, 1)
        odd.authorization = "Bearer third"
        with pytest.raises(SourceUnavailableError, match="refuses these credentials") as caught:
            source.find(ACCESSION)
        assert secrets.asked_afresh == 2
        source.close()
    said = everything_said(caught.value) + repr(source) + str(told)
    assert "second" not in said
    assert ACCESSION not in said


def test_a_password_is_sent_and_a_netrc_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    (tmp_path / "password").write_text("hush\n")
    with OddDicomWeb(ACCESSION, odd_study(1)) as odd:
        nobody = source_at(odd.url)
        nobody.check()
        assert "Authorization" not in odd.headers[-1]
        assert odd.headers[-1]["Host"] == odd.url.split("/")[2]
        odd.authorization = "Basic cmVhZGVyOmh1c2g="
        somebody = source_at(odd.url, username="reader", password=f"file:{tmp_path / 'password'}")
        assert len(somebody.find(ACCESSION)) == 1
        for one in (nobody, somebody):
            one.close()
            one.close()


def test_a_private_authority_is_trusted_only_when_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    with OddDicomWeb(ACCESSION, odd_study(1), tls) as odd:
        for verify in (file, False):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trusting = source_at(odd.url, verify=verify)
                (study,) = trusting.find(ACCESSION)
                assert trusting.fetch(study, CollectingSink()).instances == 1
                trusting.close()
        suspicious = source_at(odd.url)
        with pytest.raises(SourceUnavailableError, match="is not trusted"):
            suspicious.find(ACCESSION)
        lost = source_at(odd.url, verify=tmp_path / "none.pem")
        with pytest.raises(SourceUnavailableError, match="cannot be read"):
            lost.find(ACCESSION)


def test_a_url_that_is_none_or_holds_a_password_is_refused(tmp_path: Path) -> None:
    for url in ("pacs", "ftp://pacs/dicom-web", "http://", "http://pacs/?a=b"):
        with pytest.raises(ValidationError, match="should be an address"):
            source_at(url)
        with pytest.raises(SourceError, match="is not one"):
            Place.parse(url)
    password = str(tmp_path.name)
    for refuses, refusal in ((source_at, ValidationError), (Place.parse, SourceError)):
        with pytest.raises(refusal, match="password") as caught:
            refuses(f"https://reader:{password}@pacs/dicom-web")
        assert password not in str(caught.value)
    context = SourceContext("w", tmp_path, Secrets(VaultSettings()))
    opened = open_dicomweb(DicomWebSourceSettings(url="https://pacs/dicom-web"), context)
    assert isinstance(opened, StudySource)


# --- the message of several parts ----------------------------------------------------------------


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    rest = iter(data)
    while piece := bytes(islice(rest, size)):
        yield piece


@given(st.binary(max_size=300), st.integers(1, 40), st.booleans())
def test_a_part_is_taken_out_however_the_message_is_cut_into_chunks(
    content: bytes, size: int, length: bool
) -> None:
    header = b"Content-Type: application/dicom\r\n"
    if length:
        header += b"content-length: %d\r\n" % len(content)
    head = b"preamble\r\n--b0-und \r\n" + header + b"\r\n"
    if b"\r\n--b0-und" in content:
        return
    whole = head + content + b"\r\n--b0-und--"
    assert b"".join(the_one_part(in_pieces(whole, size), b"b0-und")) == content
    for cut in range(0, len(whole), 7):
        with pytest.raises(TransientError):
            list(the_one_part(in_pieces(whole[:cut], size), b"b0-und"))


def test_a_part_that_contradicts_its_length_is_refused() -> None:
    whole = b"--b\r\nContent-Length: 4\r\n\r\nabcde\r\n--b--"
    with pytest.raises(TransientError, match="announced"):
        list(the_one_part(iter([whole]), b"b"))


def test_boundaries_are_read_in_every_spelling() -> None:
    assert boundary_of('Multipart/Related; type="application/dicom"; Boundary="a b"') == b"a b"
    assert boundary_of("multipart/related;boundary=x;type=y") == b"x"
    assert boundary_of("multipart/related") is None
    assert boundary_of("application/dicom; boundary=x") is None
