"""Real servers for tests of several rooms, and what starting any of them takes.

What belongs in this file: programs that may be missing, free ports, child processes; nothing that
knows one server. Each server has a module of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

import pytest

__all__ = [
    "ServerProcess",
    "die_with_parent",
    "free_port",
    "missing",
    "start_on_port",
    "wait_until",
]

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def missing(what: str, remedy: str) -> NoReturn:
    """Skip the test because a program is missing; in CI, where it must be there, fail."""
    message = f"{what} is not installed: {remedy}"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def free_port() -> int:
    """A loopback TCP port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_on_port(start_at: Callable[[int], None], port: int) -> int:
    """Start a server at `port`, or at a free one if that is 0; returns the port."""
    for tries_left in (2, 1, 0):
        chosen = port or free_port()
        try:
            start_at(chosen)
        except TimeoutError:
            # Somebody may have taken the port between asking for it and listening on it.
            if port or not tries_left:
                raise
        else:
            return chosen
    raise AssertionError("the last try returns or raises")


def wait_until(ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait, with a bound, until `ready` says yes."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.02)


def die_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn` that ends the child with this process, however this process ends.

    `atexit` does not run when pytest is killed, or ends itself after a timeout. Linux ties the
    child to the thread that starts it, so only the main thread asks for this.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_DEATH_SIGNAL, signal.SIGKILL) and None


class ServerProcess:
    """One child process, ended by its own id and reaped, at the latest when the interpreter ends.

    It leads a process group of its own, so that its children end with it, and a Ctrl-C meant for
    pytest does not reach it before the tests have cleaned up.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 15.0) -> None:
        """Ask it to end; after `seconds` make it."""
        if self.running:
            self._process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """End it at once, with its children."""
        if self.running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        atexit.unregister(self.kill)
