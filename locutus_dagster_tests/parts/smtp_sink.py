"""A mail server that keeps what it is given, for tests of sending.

with SmtpSink() as sink: send to 127.0.0.1, sink.port; what came is in sink.mails

What belongs here: as much of RFC 5321 as a client asks for, with STARTTLS, TLS from the start, and
a login. What does not: passing mail on.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType

from typing_extensions import Self

__all__ = ["Mail", "SmtpSink"]


@dataclass(frozen=True)
class Mail:
    """A mail as it was handed over.

    Attributes:
        encrypted: whether it came over TLS.
        login: user and password, if the client logged in.
    """

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    encrypted: bool
    login: tuple[str, str] | None


class SmtpSink:
    """Listens on a free port of 127.0.0.1, each connection on a thread of its own.

    Args:
        context: TLS of the server; None for a server without.
        tls_at_once: speaks TLS from the start; otherwise it offers STARTTLS.
        login: the only user and password that are taken; None: no login is offered.
        answers: command → what it is answered instead, in this order; then as usual.
        unknown: recipients that are refused.

    Attributes:
        port: where it listens.
        mails: what it was given.
        connections: how often somebody connected.
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        tls_at_once: bool = False,
        login: tuple[str, str] | None = None,
        answers: Mapping[str, list[str]] | None = None,
        unknown: Collection[str] = (),
    ) -> None:
        self.mails: list[Mail] = []
        self.connections = 0
        self._context, self._tls_at_once, self._login = context, tls_at_once, login
        self._answers = {command: list(told) for command, told in (answers or {}).items()}
        self._unknown = unknown
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.settimeout(10)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            encrypted = self._context is not None and self._tls_at_once
            if encrypted and self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                _Conversation(self, connection, encrypted).hold()

    def answer_to(self, command: str) -> str | None:
        """What a command is to be answered instead, if anything."""
        told = self._answers.get(command)
        return told.pop(0) if told else None


class _Conversation:
    """One client's."""

    def __init__(self, sink: SmtpSink, connection: socket.socket, encrypted: bool) -> None:
        self._sink, self._connection, self._encrypted = sink, connection, encrypted
        self._stream = connection.makefile("rb")
        self._logged_in: tuple[str, str] | None = None
        self._sender, self._recipients = "", []  # type: str, list[str]

    def hold(self) -> None:
        self._say("220 sink")
        while line := self._stream.readline():
            command, _, rest = line.decode().strip().partition(" ")
            told = self._sink.answer_to(command.upper())
            if told == "hang up":
                return
            if told is not None:
                self._say(told)
                continue
            handle = getattr(self, f"_on_{command.lower()}", None)
            if handle is None:
                self._say("502 not here")
            else:
                handle(rest)
            if command.upper() == "QUIT":
                return

    def _say(self, *lines: str) -> None:
        self._connection.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def _on_ehlo(self, rest: str) -> None:
        offers = ["sink"]
        if self._sink._context is not None and not self._encrypted:
            offers.append("STARTTLS")
        if self._sink._login is not None:
            offers.append("AUTH PLAIN")
        self._say(*(f"250-{offer}" for offer in offers[:-1]), f"250 {offers[-1]}")

    def _on_starttls(self, rest: str) -> None:
        assert self._sink._context is not None
        self._say("220 go on")
        self._connection = self._sink._context.wrap_socket(self._connection, server_side=True)
        self._stream = self._connection.makefile("rb")
        self._encrypted = True

    def _on_auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
        if (user, password) != self._sink._login:
            self._say(f"535 {password} is not the password of {user}")
            return
        self._logged_in = (user, password)
        self._say("235 welcome")

    def _on_mail(self, rest: str) -> None:
        self._sender, self._recipients = _address(rest), []
        self._say("250 yes")

    def _on_rcpt(self, rest: str) -> None:
        address = _address(rest)
        if address in self._sink._unknown:
            self._say(f"550 nobody knows {address}")
            return
        self._recipients.append(address)
        self._say("250 yes")

    def _on_data(self, rest: str) -> None:
        self._say("354 go on")
        lines: list[bytes] = []
        while (line := self._stream.readline()).rstrip(b"\r\n") != b".":
            if not line:
                raise EOFError
            lines.append(line.removeprefix(b"."))
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(message, EmailMessage)
        self._sink.mails.append(
            Mail(self._sender, tuple(self._recipients), message, self._encrypted, self._logged_in)
        )
        self._say("250 kept")

    def _on_rset(self, rest: str) -> None:
        self._say("250 yes")

    def _on_quit(self, rest: str) -> None:
        self._say("221 bye")


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]
