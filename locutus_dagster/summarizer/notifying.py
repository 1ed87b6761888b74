"""Telling people that a report is there: by a webhook, by mail, or both.

What belongs here: what is told, and sending it. What does not: who is told (`settings/`), and the
report (`forms/`).

Counts leave the house, and nothing else that the ledger holds: no accession number, no subject, no
partition key, no name of a manifest or a file, no reason of a failure. A webhook's address is taken
for a secret, because whoever knows it may post there.
"""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING, Any

from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_chain,
    wait_fixed,
    wait_none,
)

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger.states import State
from locutus_dagster.settings import NotifySettings
from locutus_dagster.sources.quiet import hush_http_loggers
from locutus_dagster.summarizer.forms.facts import NEEDS_A_PERSON, ON_THE_WAY
from locutus_dagster.summarizer.forms.wording import count, percent, utc
from locutus_dagster.summarizer.model import Summary

if TYPE_CHECKING:
    from locutus_dagster.secret_refs import Secrets

__all__ = ["NotifyError", "message_of", "notify"]

_TIMEOUT = 10.0  # seconds, for each answer that is waited for
#: Seconds before each further try.
_PAUSES = (0.5, 2.0, 5.0)
_BUSY = frozenset({408, 425, 429})
_OTHER = "other"
_TRUST = "Trust its authority on this machine, or name the server as its certificate does."


class NotifyError(LocutusError):
    """Somebody who should have been told could not be reached."""


class _AgainError(Exception):
    """A try that failed for a cause that may pass; its text says why, without an address."""


def notify(
    settings: NotifySettings,
    summary: Summary,
    secrets: Secrets,
    report_folder: str,
    *,
    pauses: Sequence[float] = _PAUSES,
) -> None:
    """Tell everybody whom the settings name; nobody where they name nobody.

    Where one of them cannot be reached, the others are told all the same.

    Args:
        report_folder: where the report lies, for people who may go there.
        pauses: seconds to wait before each further try; after the last one it is given up.

    Raises:
        LocutusError: somebody could not be reached, or a secret is not to be had; one error for
            all of them.
    """
    ways: list[Callable[[], None]] = []
    if webhook := settings.webhook:
        ways.append(lambda: _post(secrets.resolve(webhook), message_of(summary, report_folder)))
    if settings.smtp_host:
        ways.append(lambda: _mail(settings, secrets, summary, report_folder))
    faults = [fault for way in ways if (fault := _fault(way, pauses)) is not None]
    if len(faults) > 1:
        message = " ".join(fault.message for fault in faults)
        raise NotifyError(message, " ".join(dict.fromkeys(fault.hint for fault in faults)))
    if faults:
        raise faults[0]


def message_of(summary: Summary, report_folder: str) -> dict[str, Any]:
    """What is told, as a webhook gets it; the keys are the names of counts."""
    stage = summary.stage
    return {
        "event": "locutus.report",
        "version": 1,
        "workspace": summary.workspace,
        "report": "detailed" if summary.detailed else "overview",
        "as_of": utc(summary.as_of).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "folder": report_folder,
        "rows": summary.rows,
        "duplicates": summary.duplicates,
        "rejected": summary.rejected,
        "not_found": len(summary.not_found),
        "states": {state.value: summary.states.get(state, 0) for state in State},
        "buckets": {
            _OTHER if one.label.lower().startswith(_OTHER + ":") else one.label: one.count
            for one in summary.buckets
        },
        "failed_in_phase": _by_phase(summary),
        "accessions_an_hour": None if summary.pace is None else round(summary.pace, 1),
        "seconds_to_the_end": None if summary.eta is None else int(summary.eta.total_seconds()),
        "studies_at_the_source": None if stage is None else stage.studies,
        "studies_that_no_manifest_names": None if stage is None else len(stage.unnamed),
        "rows_that_the_source_lacks": None if stage is None else len(stage.lacking),
    }


def _by_phase(summary: Summary) -> dict[str, int]:
    found: dict[str, int] = {}
    for failure in sorted(summary.failures, key=lambda one: one.phase):
        phase = f"{failure.phase:02d}"
        found[phase] = found.get(phase, 0) + failure.accessions
    return found


def _fault(way: Callable[[], None], pauses: Sequence[float]) -> LocutusError | None:
    """Try one way until it works or its tries are used up; returns why it did not work."""
    retry = Retrying(
        retry=retry_if_exception_type(_AgainError),
        stop=stop_after_attempt(len(pauses) + 1),
        wait=wait_chain(*map(wait_fixed, pauses)) if pauses else wait_none(),
        reraise=True,
    )
    try:
        retry(way)
    except _AgainError as error:
        tries = f" after {len(pauses) + 1} tries" if pauses else ""
        return NotifyError(
            f"{error}{tries}.", "The report is written; check the receiver and 'notify'."
        )
    except LocutusError as error:
        return error
    return None


def _post(url: str, message: dict[str, Any]) -> None:
    """POST the message as JSON; any answer of the 200s will do."""
    import httpx

    hush_http_loggers()
    content = json.dumps(message).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "locutus-dagster"}
    refused = NotifyError(
        "The webhook's address is no http:// or https:// URL.",
        "Check the setting 'notify.webhook'.",
    )
    try:
        # Proxies and logins of the environment are for other errands, and redirects may lead to
        # somebody whom nobody has named.
        with httpx.Client(
            trust_env=False,
            timeout=_TIMEOUT,
            follow_redirects=False,
            verify=ssl.create_default_context(),  # the machine's authorities, as for mail
        ) as client:
            answer = client.post(url, content=content, headers=headers)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        raise refused from None
    except httpx.TimeoutException:
        raise _AgainError("The webhook did not answer in time") from None
    except httpx.ConnectError as error:
        if _is_certificate(error):
            raise NotifyError(
                "The webhook has a certificate that is not trusted.", _TRUST
            ) from None
        raise _AgainError("The webhook could not be reached") from None
    except httpx.HTTPError as error:
        raise _AgainError(f"The webhook broke off ({type(error).__name__})") from None
    if answer.is_success:
        return
    if answer.status_code >= 500 or answer.status_code in _BUSY:
        raise _AgainError(f"The webhook answered HTTP {answer.status_code}")
    raise NotifyError(
        f"The webhook refused the notification (HTTP {answer.status_code}).",
        "Check the address in the setting 'notify.webhook'.",
    )


def _login(settings: NotifySettings, secrets: Secrets) -> tuple[str, str] | None:
    if not settings.smtp_user:
        return None
    password = secrets.resolve(settings.smtp_password) if settings.smtp_password else ""
    return settings.smtp_user, password


def _mail(settings: NotifySettings, secrets: Secrets, summary: Summary, report_folder: str) -> None:
    """Hand a mail to the server, for all recipients at once."""
    mail, login = _mail_of(settings, summary, report_folder), _login(settings, secrets)
    host = settings.smtp_host or ""
    where = f"The mail server {host}:{settings.smtp_port}"
    context = ssl.create_default_context() if settings.smtp_tls != "none" else None
    known_as = socket.gethostname()  # not the full name, which may take the resolver long
    server: smtplib.SMTP
    try:
        if settings.smtp_tls == "tls":
            server = smtplib.SMTP_SSL(
                host, settings.smtp_port, known_as, timeout=_TIMEOUT, context=context
            )
        else:
            server = smtplib.SMTP(host, settings.smtp_port, known_as, timeout=_TIMEOUT)
        try:
            if settings.smtp_tls == "starttls":
                server.starttls(context=context)
            if login is not None:
                server.login(*login)
            left_out = server.send_message(mail, settings.sender, list(settings.recipients))
            with suppress(OSError, smtplib.SMTPException):
                server.quit()  # the mail has been taken, however this ends
        finally:
            server.close()
    except smtplib.SMTPException as error:
        _judge(where, error)
    except ssl.SSLError as error:
        if _is_certificate(error):
            raise NotifyError(
                f"{where} has a certificate that is not trusted.",
                _TRUST,
            ) from None
        raise _AgainError(f"{where} does not speak TLS as it is told to") from None
    except UnicodeError:  # not to be told: it holds the password
        raise NotifyError(
            f"{where} cannot be given a login or an address that is not ASCII.",
            "Check 'notify.smtp_user', 'notify.smtp_password' and the addresses.",
        ) from None
    except OSError as error:
        raise _AgainError(f"{where} could not be reached ({error.strerror or 'timeout'})") from None
    else:
        if left_out:
            raise NotifyError(
                f"{where} refused {len(left_out)} of {len(settings.recipients)} recipients.",
                "Check the setting 'notify.recipients'; the others have been told.",
            )


def _judge(where: str, error: smtplib.SMTPException) -> None:
    """Say what the server's answer means. Its words are not told: they may quote anything."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        if codes and all(400 <= code < 500 for code in codes):
            raise _AgainError(f"{where} takes no mail for the recipients at present") from None
        raise NotifyError(
            f"{where} refused every recipient.", "Check the setting 'notify.recipients'."
        ) from None
    if isinstance(error, smtplib.SMTPAuthenticationError):
        raise NotifyError(
            f"{where} refused the login (code {error.smtp_code}).",
            "Check 'notify.smtp_user' and 'notify.smtp_password'.",
        ) from None
    if isinstance(error, smtplib.SMTPNotSupportedError):
        raise NotifyError(
            f"{where} does not offer what the settings ask for (TLS, or a login).",
            "Check 'notify.smtp_tls', 'notify.smtp_port' and 'notify.smtp_user'.",
        ) from None
    if isinstance(error, smtplib.SMTPResponseException):
        told = f"{where} refused the mail (code {error.smtp_code})"
        if 400 <= error.smtp_code < 500:
            raise _AgainError(told) from None
        raise NotifyError(f"{told}.", "Check the setting 'notify.sender'.") from None
    raise _AgainError(f"{where} broke off ({type(error).__name__})") from None


def _mail_of(settings: NotifySettings, summary: Summary, report_folder: str) -> EmailMessage:
    states = summary.states
    delivered, failed = states.get(State.DELIVERED, 0), states.get(State.FAILED, 0)
    mail = EmailMessage()
    sender = settings.sender or ""
    try:
        mail["Subject"] = (
            f"Locutus {summary.workspace}: {count(delivered)} of {count(summary.rows)} delivered"
            + (f", {count(failed)} failed" if failed else "")
        )
        mail["From"] = sender
        mail["To"] = ", ".join(settings.recipients)
        mail["Date"] = format_datetime(utc(summary.as_of))
        mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2] or "localhost")
        mail["Auto-Submitted"] = "auto-generated"
    except ValueError:
        raise NotifyError(
            "The sender or a recipient of mail is no address.", "Check the settings 'notify'."
        ) from None
    mail.set_content("\n".join(_words(summary, report_folder)))
    return mail


def _words(summary: Summary, report_folder: str) -> list[str]:
    states = summary.states

    def together(among: Sequence[State]) -> int:
        return sum(states.get(state, 0) for state in among)

    delivered = states.get(State.DELIVERED, 0)
    kind = "A detailed report" if summary.detailed else "An overview"
    lines = [
        f"{kind} of workspace {summary.workspace} has been written.",
        "",
        f"{count(summary.rows):>10}  rows",
        f"{count(delivered):>10}  delivered ({percent(delivered, summary.rows)})",
        f"{count(together(ON_THE_WAY)):>10}  on their way",
        f"{count(together(NEEDS_A_PERSON)):>10}  need a person",
        f"{count(len(summary.not_found)):>10}  not found",
        "",
    ]
    lines += [
        f"{count(number):>10}  {state.value}" for state in State if (number := states.get(state))
    ]
    lines += [
        "",
        f"As of {utc(summary.as_of):%Y-%m-%d %H:%M} UTC. The report lies in",
        report_folder,
    ]
    return lines


def _is_certificate(error: BaseException) -> bool:
    """Whether a connection failed because of the other side's certificate."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
