"""Google Cloud Storage over a network that fails: a delivery is whole at the end, or one error."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from locutus_dagster.targets import TargetError
from locutus_dagster.targets.gcs import GcsTarget
from locutus_dagster_tests.parts import free_port
from locutus_dagster_tests.parts.fault_proxy import FaultProxy
from locutus_dagster_tests.parts.gcs_servers import BUCKET, FakeGcsServer, GcpEmulator, StubGcs
from locutus_dagster_tests.targets.gcs_world import KEY, PART, URI, put, sha256, target_on

SMALL, LARGE = 1000, 4 * PART + 17  # sent in one request, and in five parts


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)


@pytest.fixture
def stub() -> Iterator[StubGcs]:
    with StubGcs() as store:
        yield store


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcpEmulator]:
    with GcpEmulator(tmp_path_factory.mktemp("gcp-storage-emulator")) as store:
        yield store


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGcsServer]:
    with FakeGcsServer(tmp_path_factory.mktemp("fake-gcs")) as store:
        yield store


@pytest.fixture(params=["emulator", "stub"])
def proxy(request: pytest.FixtureRequest) -> Iterator[FaultProxy]:
    store = request.getfixturevalue(request.param)
    with FaultProxy("127.0.0.1", store.port) as between:
        yield between


def file_of(tmp_path: Path, size: int) -> Path:
    path = tmp_path / "deidentified.zip"
    path.write_bytes(bytes(range(251)) * (size // 251) + b"\0" * (size % 251))
    return path


def through(proxy: FaultProxy, **options: object) -> GcsTarget:
    return target_on(f"http://127.0.0.1:{proxy.port}", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    "fault", ["503", "reset", "cut answer", "cut request", "cut late in the request"]
)
def test_after_a_fault_the_delivery_is_whole(
    proxy: FaultProxy, tmp_path: Path, size: int, fault: str
) -> None:
    source, key = file_of(tmp_path, size), f"{fault}-{size}.zip"
    target = through(proxy)
    if fault == "503":
        proxy.answer_503(2)
    elif fault == "reset":
        proxy.reset(2)
    elif fault == "cut answer":
        proxy.cut_after(20, times=3)
    else:
        proxy.cut_request_after(900 if fault == "cut request" else size // 5, times=2)
    receipt = put(target, source, key)
    assert proxy.faults >= 2
    proxy.clear()
    with target.open(receipt.uri) as stream:
        assert stream.read() == source.read_bytes()
    assert target.holds(receipt.uri, size=size, version=receipt.version)
    assert put(target, source, key) == receipt
    target.withdraw(receipt.uri)
    target.close()


def test_a_cut_upload_goes_on_where_the_store_says_it_is(
    emulator: GcpEmulator, tmp_path: Path
) -> None:
    source = file_of(tmp_path, LARGE)
    with FaultProxy("127.0.0.1", emulator.port) as proxy:
        target = through(proxy)
        sent: list[str] = []
        session = target._calls._connected().session
        real_put = session.put

        def counted_put(url: str, **given: object) -> object:
            headers = given["headers"]
            assert isinstance(headers, dict)
            sent.append(headers["Content-Range"])
            if len(sent) == 3:
                proxy.cut_after(0)  # the part arrives, and its answer does not
            return real_put(url, **given)

        session.put = counted_put  # type: ignore[method-assign]
        receipt = put(target, source, "resumed.zip")
    ends = [min((number + 1) * PART, LARGE) for number in range(5)]
    parts = [f"bytes {number * PART}-{end - 1}/{LARGE}" for number, end in enumerate(ends)]
    assert sent == [*parts[:3], f"bytes */{LARGE}", *parts[3:]]
    assert receipt.sha256 == sha256(source.read_bytes())


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("was_there", [False, True])
def test_a_delivery_whose_answer_was_lost_is_recognised(
    stub: StubGcs, tmp_path: Path, size: int, was_there: bool
) -> None:
    target = target_on(stub.url)
    if was_there:
        put(target, file_of(tmp_path, SMALL + 1))
    stub.lose_answers = 1
    receipt = put(target, file_of(tmp_path, size))
    assert stub.lose_answers == 0
    [stored] = stub.objects[KEY]
    assert receipt.version == stored["resource"]["generation"]
    assert stored["data"] == file_of(tmp_path, size).read_bytes()


def test_a_lost_answer_to_an_upload_that_the_store_forgot_is_recognised(
    stub: StubGcs, tmp_path: Path
) -> None:
    stub.lose_answers = 1
    finish = stub.finish

    def finish_and_forget(*args: object) -> object:
        answer = finish(*args)  # type: ignore[arg-type]
        stub.forget_uploads = 1
        return answer

    stub.finish = finish_and_forget  # type: ignore[method-assign, assignment]
    receipt = put(target_on(stub.url), file_of(tmp_path, LARGE))
    assert receipt.size == LARGE
    assert len(stub.objects[KEY]) == 1


def test_an_upload_that_the_store_forgets_begins_anew_and_not_for_ever(
    stub: StubGcs, tmp_path: Path
) -> None:
    stub.forget_uploads = 2
    assert put(target_on(stub.url), file_of(tmp_path, LARGE)).size == LARGE
    stub.forget_uploads = 1000
    with pytest.raises(TargetError):
        put(target_on(stub.url), file_of(tmp_path, LARGE), "forgotten.zip")
    assert stub.live("forgotten.zip") is None


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("fault", ["503", "reset"])
def test_a_store_that_stays_away_is_one_error_after_a_bounded_time(
    stub: StubGcs, tmp_path: Path, size: int, fault: str
) -> None:
    with FaultProxy("127.0.0.1", stub.port) as proxy:
        target = through(proxy)
        put(target, file_of(tmp_path, SMALL), "before.zip")
        (proxy.answer_503 if fault == "503" else proxy.reset)(1000)
        for act in (
            target.check,
            lambda: put(target, file_of(tmp_path, size)),
            lambda: target.holds(URI, size=size),
            lambda: target.withdraw(URI),
            lambda: target.open(URI),
        ):
            faults = proxy.faults
            with pytest.raises(TargetError, match=r"cannot be reached \(tried 4 times"):
                act()
            # Some more where the fault met a connection that was kept from before.
            assert 4 <= proxy.faults - faults < 10
    assert stub.live(KEY) is None


def test_an_upload_that_is_given_up_is_not_left_to_the_store(
    stub: StubGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = stub._server.RequestHandlerClass._part  # type: ignore[attr-defined]

    def refuse_the_third(handler: object, upload: dict[str, object], body: bytes) -> object:
        held = upload["data"]
        assert isinstance(held, bytes)
        return (400, {}, {}) if len(held) == 2 * PART else part(handler, upload, body)

    monkeypatch.setattr(stub._server.RequestHandlerClass, "_part", refuse_the_third)
    with pytest.raises(TargetError, match=r"refuses a request \(400"):
        put(target_on(stub.url), file_of(tmp_path, LARGE))
    assert stub.uploads == {}
    assert stub.live(KEY) is None


def test_a_store_that_does_not_answer_in_time_is_given_up(stub: StubGcs, tmp_path: Path) -> None:
    with FaultProxy("127.0.0.1", stub.port) as proxy:
        proxy.delay(30)
        begun = time.monotonic()
        with pytest.raises(TargetError, match="ReadTimeout"):
            through(proxy, timeout=0.2, attempts=2).holds(URI, size=1)
    assert time.monotonic() - begun < 20


def test_nobody_at_the_endpoint_is_one_error() -> None:
    with pytest.raises(TargetError, match=r"cannot be reached.*ConnectionError"):
        target_on(f"http://127.0.0.1:{free_port()}").check()


def test_an_answer_that_is_not_the_stores_is_one_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.listen()
        target = target_on(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.2)
        with pytest.raises(TargetError, match="cannot be reached"):
            target.check()


def test_a_download_that_is_cut_is_asked_for_again(stub: StubGcs, tmp_path: Path) -> None:
    source = file_of(tmp_path, LARGE)
    with FaultProxy("127.0.0.1", stub.port) as proxy:
        target = through(proxy)
        uri = put(target, source).uri
        with target.open(uri) as stream:
            proxy.cut_after(PART, times=2)
            assert stream.read() == source.read_bytes()
            assert proxy.faults == 2
            stream.seek(PART)
            proxy.cut_after(200, times=1000)
            with pytest.raises(TargetError, match="cannot be reached"):
                stream.read()


def test_what_a_server_makes_of_half_an_upload_is_removed_and_not_delivered(
    server: FakeGcsServer, tmp_path: Path
) -> None:
    """This one takes the question how far an upload is for its end."""
    source = file_of(tmp_path, LARGE)
    target = target_on(server.url)
    session = target._calls._connected().session
    real_put, sent = session.put, []

    def failing_put(url: str, **given: object) -> object:
        sent.append(url)
        if len(sent) == 3:
            raise ConnectionResetError
        return real_put(url, **given)

    session.put = failing_put  # type: ignore[method-assign]
    with pytest.raises(TargetError, match=r"other bytes than it was given|cannot be reached"):
        put(target, source, "half.zip")
    assert not target.holds(f"gs://{BUCKET}/half.zip", size=LARGE)
    assert not target.withdraw(f"gs://{BUCKET}/half.zip").removed
    assert put(target_on(server.url), source, "half.zip").size == LARGE
