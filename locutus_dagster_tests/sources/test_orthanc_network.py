"""A real Orthanc over a bad network: TLS, credentials that change, and every fault of a proxy."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import OrthancSourceSettings
from locutus_dagster.sources.base import (
    FoundStudy,
    SourceContext,
    SourceError,
    SourceUnavailableError,
    StudyIncompleteError,
)
from locutus_dagster.sources.orthanc import OrthancSource, open_orthanc
from locutus_dagster.vault.options import VaultSettings
from locutus_dagster_tests.parts.fault_proxy import FaultProxy
from locutus_dagster_tests.parts.orthanc import OrthancServer
from locutus_dagster_tests.parts.tls_front import TlsFront
from locutus_dagster_tests.sources.conftest import Told
from locutus_dagster_tests.sources.faulty_orthanc import Body, FaultyOrthanc
from locutus_dagster_tests.sources.studies import (
    CollectingSink,
    MeasuringSink,
    digests,
    everything_said,
    instance,
    study_of,
)

pytestmark = pytest.mark.orthanc

ACCESSION = "NET-SECRET-7"
MADE = study_of(ACCESSION, 30)
MIB = 1024 * 1024


class Site(NamedTuple):
    """An Orthanc that asks for a password, behind one who speaks TLS."""

    orthanc: OrthancServer
    port: int
    authority: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("orthanc-tls")
    authority, trusted = trustme.CA(), directory / "authority.pem"
    authority.cert_pem.write_to_path(trusted)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with (
        OrthancServer(directory, users={"reader": "first"}) as orthanc,
        TlsFront(tls, "127.0.0.1", orthanc.port) as front,
    ):
        for data in MADE:
            orthanc.upload(data)
        yield Site(orthanc, front.port, trusted)


@pytest.fixture
def proxy(site: Site) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", site.port) as through:
        yield through


@pytest.fixture
def through(site: Site, proxy: FaultProxy) -> Iterator[Callable[..., OrthancSource]]:
    """Sources that reach the Orthanc through the proxy."""
    made: list[OrthancSource] = []

    def source(**options: object) -> OrthancSource:
        settings = {"username": "reader", "password": "first", "verify": site.authority}
        settings |= {"attempts": 5, "backoff": 0.01, "timeout": 5, **options}
        made.append(OrthancSource(f"https://127.0.0.1:{proxy.port}", **settings))  # type: ignore[arg-type]
        return made[-1]

    yield source
    for one in made:
        one.close()


def fetched(source: OrthancSource, study: FoundStudy | None = None) -> list[str]:
    sink = CollectingSink()
    source.fetch(study or source.find(ACCESSION)[0], sink)
    return digests(sink.instances)


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize("connections", [1, 4])
def test_resets_and_cuts_are_survived(
    proxy: FaultProxy, through: Callable[..., OrthancSource], connections: int
) -> None:
    source = through(connections=connections)
    (study,) = source.find(ACCESSION)
    proxy.reset(2)
    proxy.cut_after(30_000, times=3)
    assert fetched(source, study) == digests(MADE)
    assert proxy.faults == 5


def test_a_byte_that_changed_on_its_way_is_noticed(
    proxy: FaultProxy, through: Callable[..., OrthancSource]
) -> None:
    """TLS notices by itself; without it, the MD5 does."""
    source = through(connections=1)
    (study,) = source.find(ACCESSION)
    proxy.corrupt_at(20_000)
    assert fetched(source, study) == digests(MADE)
    assert proxy.faults == 1


def test_connections_are_few_and_kept(
    proxy: FaultProxy, through: Callable[..., OrthancSource]
) -> None:
    source = through(connections=2)
    assert fetched(source) == fetched(source) == digests(MADE)
    assert proxy.connections <= 2


def test_a_connection_that_was_closed_while_it_was_idle_costs_no_attempt(
    proxy: FaultProxy, through: Callable[..., OrthancSource]
) -> None:
    source = through(attempts=1)
    (study,) = source.find(ACCESSION)
    proxy.drop_all()
    assert source.find(ACCESSION) == [study]


@pytest.mark.parametrize("tls", [False, True])
def test_an_answer_that_trickles_is_given_up_and_the_next_one_taken(site: Site, tls: bool) -> None:
    """Bytes keep coming, so that no timeout for silence ends it, except under TLS.

    There only whole records of some kilobytes count, and these stay away.
    """
    with FaultProxy("127.0.0.1", site.port if tls else site.orthanc.port) as proxy:
        source = OrthancSource(
            f"{'https' if tls else 'http'}://127.0.0.1:{proxy.port}",
            username="reader",
            password="first",
            verify=site.authority,
            attempts=2,
            backoff=0.01,
            timeout=0.5,
            slowest=50_000,
        )
        (study,) = source.find(ACCESSION)
        proxy.trickle(3000)
        began = time.monotonic()
        said = "sent nothing for 0.5 s" if tls else "less than 50000 bytes a second"
        with pytest.raises(SourceUnavailableError, match=said):
            source.fetch(study, CollectingSink())
        assert time.monotonic() - began < 20
        proxy.clear()
        assert fetched(source, study) == digests(MADE)
        source.close()


def test_a_plain_orthanc_that_is_busy_or_mangles_a_file_is_asked_again() -> None:
    with (
        FaultyOrthanc(ACCESSION, MADE) as faulty,
        FaultProxy("127.0.0.1", int(faulty.url.rpartition(":")[2])) as proxy,
    ):
        url = f"http://127.0.0.1:{proxy.port}"
        source = OrthancSource(url, attempts=4, backoff=0.01, connections=1, verify_md5=True)
        (study,) = source.find(ACCESSION)
        proxy.answer_503(3)
        proxy.corrupt_at(20_000)
        assert fetched(source, study) == digests(MADE)
        source.close()
    assert proxy.faults == 4


class DawdlingSink(MeasuringSink):
    def add(self, data: bytes | Iterable[bytes]) -> None:
        def slowly() -> Iterator[bytes]:
            for chunk in [data] if isinstance(data, bytes) else data:
                time.sleep(0.03)
                yield chunk

        super().add(slowly())


def test_a_slow_sink_is_no_slow_orthanc() -> None:
    data = instance(ACCESSION, pixels=33 * MIB)
    with FaultyOrthanc(ACCESSION, [data]) as faulty:
        source = OrthancSource(faulty.url, attempts=1, timeout=0.5, slowest=1e9)
        sink = DawdlingSink()
        source.fetch(source.find(ACCESSION)[0], sink)
        source.close()
    assert sink.digests == digests([data])
    assert faulty.requests["file"] == 1


def test_a_proxy_that_compresses_files_is_told_so() -> None:
    with FaultyOrthanc(ACCESSION, MADE[:1]) as faulty:
        faulty.encoding = "gzip"
        source = OrthancSource(faulty.url, attempts=1)
        with pytest.raises(SourceUnavailableError, match="compresses files"):
            fetched(source)
        source.close()


# --- access ------------------------------------------------------------------------------------


def test_a_private_authority_is_trusted_when_it_is_named(
    site: Site, through: Callable[..., OrthancSource]
) -> None:
    assert through().check()["version"]
    assert through(verify=False).check()["version"]
    with pytest.raises(SourceUnavailableError, match="certificate"):
        through(verify=True).check()


def test_plain_words_to_a_port_with_tls_and_the_reverse_are_one_clear_error(site: Site) -> None:
    plain = OrthancSource(f"http://127.0.0.1:{site.port}", attempts=1)
    with pytest.raises(SourceUnavailableError):
        plain.check()
    with FaultyOrthanc(ACCESSION, []) as faulty:
        tls = OrthancSource(faulty.url.replace("http", "https"), attempts=1)
        with pytest.raises(SourceUnavailableError, match="no TLS connection"):
            tls.check()


def test_a_password_that_was_changed_during_the_work_is_fetched_anew(
    site: Site, tmp_path: Path, told: Told
) -> None:
    password = tmp_path / "password"
    password.write_text("first\n")
    settings = OrthancSourceSettings(
        url=f"https://127.0.0.1:{site.port}",
        username="reader",
        password=f"file:{password}",
        verify=site.authority,
    )
    source = open_orthanc(settings, SourceContext("w", tmp_path, Secrets(VaultSettings())))
    (study,) = source.find(ACCESSION)
    try:
        site.orthanc.change_users({"reader": "second"})
        with pytest.raises(SourceUnavailableError, match="refuses these credentials"):
            source.find(ACCESSION)
        password.write_text("second\n")
        assert fetched(source, study) == digests(MADE)
        password.unlink()
        assert source.find(ACCESSION) == [study]  # what works is not asked for again
    finally:
        site.orthanc.change_users({"reader": "first"})
    with pytest.raises(SourceUnavailableError, match="could not be fetched anew") as caught:
        source.find(ACCESSION)
    source.close()
    assert "second" not in everything_said(caught.value) + str(told)


def test_a_token_is_renewed_once_by_all_threads_together() -> None:
    asked: list[bool] = []

    def token(fresh: bool) -> str:
        asked.append(fresh)
        return f"token-{sum(asked)}"

    with FaultyOrthanc(ACCESSION, MADE) as faulty:
        faulty.accepted = {"Bearer token-0"}
        source = OrthancSource(faulty.url, token=token)
        (study,) = source.find(ACCESSION)
        faulty.accepted = {"Bearer token-1"}
        assert fetched(source, study) == digests(MADE)
        assert asked == [False, True]
        faulty.accepted = set()
        with pytest.raises(SourceUnavailableError, match="refuses these credentials"):
            source.find(ACCESSION)
        assert asked == [False, True, True]
        source.close()


@pytest.mark.parametrize("token", ["hush two", "hush\r\nX: y", "hüsh", " hush"])
def test_a_token_that_is_none_is_refused_without_quoting_it(token: str) -> None:
    source = OrthancSource("http://127.0.0.1:1", token=token, attempts=1)
    with pytest.raises(SourceError, match="bearer token") as caught:
        source.check()
    assert token not in everything_said(caught.value)


def test_a_token_beside_a_password_is_a_contradiction() -> None:
    with pytest.raises(SourceError, match="Keep one"):
        OrthancSource("http://reader:p@pacs:8042", token="t")


# --- which Orthanc it is -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ({"Version": "1.9.7", "ApiVersion": 15}, "1.9.7, which is older than 1.10"),
        ({"Version": "1.5.4", "ApiVersion": "1.4"}, "older than 1.10"),
        ({"Version": "0.9.4"}, "older than 1.10"),
        ({"Version": 3, "ApiVersion": 20}, "does not answer like Orthanc"),
        ({"Version": "3", "ApiVersion": "new"}, "does not answer like Orthanc"),
        ({"status": "UP"}, "does not answer like Orthanc"),
    ],
)
def test_an_orthanc_that_is_too_old_and_what_is_none_are_refused(
    system: dict[str, object], said: str
) -> None:
    with FaultyOrthanc(ACCESSION, MADE[:1]) as faulty:
        faulty.always("system", Body(json.dumps(system).encode()))
        source = OrthancSource(faulty.url)
        for question in (source.check, lambda: source.find(ACCESSION)):
            with pytest.raises(SourceUnavailableError, match=said):
                question()
        source.close()
    assert faulty.requests["find"] == 0


def test_an_orthanc_between_versions_is_judged_by_its_api() -> None:
    with FaultyOrthanc(ACCESSION, MADE[:1]) as faulty:
        faulty.always("system", Body(b'{"Version": "mainline", "ApiVersion": 30}'))
        source = OrthancSource(faulty.url)
        assert len(source.find(ACCESSION)) == len(source.find(ACCESSION)) == 1
        source.close()
    assert faulty.requests["system"] == 1


def test_an_instance_that_never_comes_whole_leaves_its_study_incomplete(
    proxy: FaultProxy, through: Callable[..., OrthancSource]
) -> None:
    source = through(attempts=2)
    (study,) = source.find(ACCESSION)
    proxy.cut_after(30_000, times=1000)
    sink = CollectingSink()
    with pytest.raises(StudyIncompleteError, match="One of 30 instances") as caught:
        source.fetch(study, sink)
    assert ACCESSION not in everything_said(caught.value)
    assert sink.instances == []
