"""Telling people that a report is there: what reaches receivers, and what failures say."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from locutus_dagster.errors import LocutusError
from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import NotifySettings
from locutus_dagster.summarizer.notifying import NotifyError, notify
from locutus_dagster.vault.options import VaultSettings
from locutus_dagster_tests.parts.smtp_sink import SmtpSink
from locutus_dagster_tests.summarizer.reports import HOSTILE, IDENTIFIERS, a_summary

FOLDER = "/srv/reports/neuro"
SECRETS = Secrets(VaultSettings())
QUICK = (0.01, 0.01, 0.01)
#: What a message must not hold beside identifiers: manifests, partitions, reasons, titles.
_UNTOLD = (*IDENTIFIERS, "autumn", "~0000", "pixel", "refused", "SELECTION", "batch", HOSTILE)


@dataclass
class Webhook:
    """A receiver on a free port of 127.0.0.1; answers as it is told to, and then with 204."""

    answers: list[int] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def webhook(*answers: int, context: ssl.SSLContext | None = None) -> Iterator[Webhook]:
    hook = Webhook(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.got.append((self.path, dict(self.headers), body))
            code = hook.answers.pop(0) if hook.answers else 204
            self.send_response(code)
            if code == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if context is None else "https"
    hook.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/hook/T0P-S3CRET"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def mail_settings(port: int, **others: object) -> NotifySettings:
    return NotifySettings.model_validate(
        {
            "smtp_host": "127.0.0.1",
            "smtp_port": port,
            "sender": "locutus@hospital.example",
            "recipients": ["pacs@hospital.example", "trial@hospital.example"],
            **others,
        }
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS, and the file of the authority that has signed it."""
    made = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("127.0.0.1").configure_cert(context)
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    made.cert_pem.write_to_path(path)
    return context, path


def a_closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_nobody_is_told_where_the_settings_name_nobody() -> None:
    notify(NotifySettings(), a_summary(), SECRETS, FOLDER)


def test_a_webhook_gets_counts_and_nothing_that_names_anybody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{a_closed_port()}")
    caplog.set_level(logging.DEBUG)
    with webhook() as hook:
        monkeypatch.setenv("HOOK", hook.url)
        notify(NotifySettings(webhook="env:HOOK"), a_summary(), SECRETS, FOLDER)
    ((path, headers, body),) = hook.got
    assert path == "/hook/T0P-S3CRET"
    assert headers["Content-Type"] == "application/json"
    told = json.loads(body)
    assert told["workspace"] == "neuro"
    assert told["folder"] == FOLDER
    assert told["rows"] == 17
    assert told["states"]["delivered"] == 2
    assert told["buckets"]["PENDING_CHANGE"] == 4
    assert told["failed_in_phase"] == {"04": 1, "05": 3}
    assert (told["not_found"], told["studies_that_no_manifest_names"]) == (1, 2)
    for text in _UNTOLD:
        assert text.encode() not in body
    assert "S3CRET" not in caplog.text


def test_a_webhook_that_is_busy_is_asked_again_and_one_that_refuses_is_not() -> None:
    with webhook(503, 429, 500) as hook:
        notify(NotifySettings(webhook=hook.url), a_summary(), SECRETS, FOLDER, pauses=QUICK)
    assert len(hook.got) == 4
    with webhook(*[500] * 9) as hook, pytest.raises(NotifyError, match="HTTP 500 after 4 tries"):
        notify(NotifySettings(webhook=hook.url), a_summary(), SECRETS, FOLDER, pauses=QUICK)
    assert len(hook.got) == 4
    for code in (404, 302):
        with webhook(code) as hook, pytest.raises(NotifyError, match=f"HTTP {code}"):
            notify(NotifySettings(webhook=hook.url), a_summary(), SECRETS, FOLDER, pauses=QUICK)
        assert [path for path, _, _ in hook.got] == ["/hook/T0P-S3CRET"]


@pytest.mark.parametrize("address", ["http://127.0.0.1:{}/T0P-S3CRET", "T0P-S3CRET", "http://[/"])
def test_a_webhook_that_cannot_be_reached_is_one_error_that_does_not_tell_its_address(
    address: str,
) -> None:
    settings = NotifySettings(webhook=address.format(a_closed_port()))
    with pytest.raises(NotifyError) as caught:
        notify(settings, a_summary(), SECRETS, FOLDER, pauses=QUICK)
    error: BaseException | None = caught.value
    assert "webhook" in str(error)
    assert "S3CRET" not in f"{error}{error!r}{settings!r}"
    assert error is not None
    assert error.__suppress_context__ or error.__context__ is None


def test_a_webhook_behind_tls_is_trusted_only_with_its_authority(
    authority: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, path = authority
    with webhook(context=context) as hook:
        settings = NotifySettings(webhook=hook.url)
        with pytest.raises(NotifyError, match="certificate that is not trusted"):
            notify(settings, a_summary(), SECRETS, FOLDER, pauses=QUICK)
        assert hook.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        notify(settings, a_summary(), SECRETS, FOLDER, pauses=QUICK)
        assert len(hook.got) == 1


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_arrives_encrypted_and_with_a_login_as_the_settings_ask(
    tls: str, authority: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, path = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    monkeypatch.setenv("PASSWORD", "pa55")
    with SmtpSink(context=context, tls_at_once=tls == "tls", login=("me", "pa55")) as sink:
        settings = mail_settings(
            sink.port, smtp_tls=tls, smtp_user="me", smtp_password="env:PASSWORD"
        )
        notify(settings, a_summary(), SECRETS, FOLDER, pauses=QUICK)
    (mail,) = sink.mails
    assert mail.encrypted
    assert mail.login == ("me", "pa55")
    assert mail.recipients == ("pacs@hospital.example", "trial@hospital.example")
    assert mail.message["Subject"] == "Locutus neuro: 2 of 17 delivered, 1 failed"
    text = mail.message.get_content()
    assert "        17  rows" in text
    assert FOLDER in text
    for untold in _UNTOLD:
        assert untold not in mail.message.as_string()


@pytest.mark.parametrize(
    ("login", "password", "message"),
    [
        (("me", "other"), "pa55", "code 535"),
        (None, "pa55", "does not offer"),
        (("me", "x"), "pä55", "ASCII"),
    ],
)
def test_a_login_that_is_refused_is_one_clear_error_without_the_password(
    login: tuple[str, str] | None,
    password: str,
    message: str,
    authority: tuple[ssl.SSLContext, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context, path = authority
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with SmtpSink(context=context, login=login) as sink:
        settings = mail_settings(
            sink.port, smtp_tls="starttls", smtp_user="me", smtp_password=password
        )
        with pytest.raises(NotifyError, match=message) as failure:
            notify(settings, a_summary(), SECRETS, FOLDER, pauses=QUICK)
    assert password not in str(failure.value)
    assert sink.mails == []


def test_a_password_is_not_sent_in_the_clear() -> None:
    with pytest.raises(ValueError, match="in the clear"):
        mail_settings(25, smtp_user="me", smtp_password="pa55")


def test_a_mail_server_that_is_busy_is_asked_again_and_gets_the_mail_once() -> None:
    busy = {"MAIL": ["451 come back later"], "DATA": ["hang up"]}
    with SmtpSink(answers=busy) as sink:
        notify(mail_settings(sink.port), a_summary(), SECRETS, FOLDER, pauses=QUICK)
    assert sink.connections == 3
    assert len(sink.mails) == 1


def test_a_mail_that_was_taken_is_not_sent_again_because_the_server_breaks_off() -> None:
    with SmtpSink(answers={"QUIT": ["421 no time"]}) as sink:
        notify(mail_settings(sink.port), a_summary(), SECRETS, FOLDER, pauses=QUICK)
    assert len(sink.mails) == 1


@pytest.mark.parametrize(
    ("sink_options", "settings_options", "message"),
    [
        ({}, {"smtp_tls": "starttls"}, "does not offer"),
        ({"unknown": ["trial@hospital.example"]}, {}, "1 of 2 recipients"),
        (
            {"unknown": ["trial@hospital.example", "pacs@hospital.example"]},
            {},
            "every recipient",
        ),
        ({"answers": {"MAIL": ["550 no"]}}, {}, "code 550"),
    ],
)
def test_what_a_mail_server_refuses_is_one_clear_error_without_the_password(
    sink_options: dict[str, object], settings_options: dict[str, object], message: str
) -> None:
    with SmtpSink(**sink_options) as sink:  # type: ignore[arg-type]
        settings = mail_settings(sink.port, **settings_options)
        with pytest.raises(NotifyError, match=message) as caught:
            notify(settings, a_summary(), SECRETS, FOLDER, pauses=QUICK)
    assert "pa55" not in str(caught.value)
    assert "pä55" not in str(caught.value)
    assert "hospital.example" not in str(caught.value)
    assert sink.connections == 1


def test_an_untrusted_mail_server_gets_neither_password_nor_mail(
    authority: tuple[ssl.SSLContext, Path],
) -> None:
    context, _ = authority
    for tls in ("starttls", "tls"):
        with SmtpSink(context=context, tls_at_once=tls == "tls", login=("me", "pa55")) as sink:
            settings = mail_settings(sink.port, smtp_tls=tls, smtp_user="me", smtp_password="pa55")
            with pytest.raises(NotifyError, match="certificate that is not trusted"):
                notify(settings, a_summary(), SECRETS, FOLDER, pauses=QUICK)
        assert sink.mails == []


def test_the_others_are_told_when_one_cannot_be_and_the_error_names_all_who_could_not() -> None:
    with SmtpSink() as sink:
        settings = mail_settings(sink.port, webhook=f"http://127.0.0.1:{a_closed_port()}/")
        with pytest.raises(NotifyError, match="webhook could not be reached"):
            notify(settings, a_summary(), SECRETS, FOLDER, pauses=QUICK)
        missing = mail_settings(sink.port, webhook="env:NO_SUCH_HOOK")
        with pytest.raises(LocutusError, match="NO_SUCH_HOOK is not set"):
            notify(missing, a_summary(), SECRETS, FOLDER, pauses=QUICK)
    assert len(sink.mails) == 2
    both = mail_settings(a_closed_port(), webhook=f"http://127.0.0.1:{a_closed_port()}/")
    with pytest.raises(NotifyError, match=r"webhook could not .* mail server .* could not"):
        notify(both, a_summary(), SECRETS, FOLDER, pauses=QUICK)
