"""This host and this process, as they stand in the ledger beside what lies here and who works here.

What belongs here: names, and whether a process of this host is known to have died. What does not:
claims (`claiming.py`).
"""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

__all__ = ["HOST", "known_dead", "new_owner"]

HOST = socket.gethostname()
_SEPARATOR = "|"


def new_owner() -> str:
    """A name for a worker: host, process namespace, process, its start, and a number of its own.

    Containers may share a host's name and yet count their processes by themselves; hence the
    namespace. A number may be given to another process later; hence the start.
    """
    pid = os.getpid()
    parts = (HOST, _namespace(), str(pid), _started(pid), uuid.uuid4().hex[:12])
    return _SEPARATOR.join(parts)


def known_dead(owner: str) -> bool:
    """Whether the process behind `owner` is known to be no more; False where nobody can tell."""
    parts = owner.split(_SEPARATOR)
    if len(parts) != 5:
        return False
    host, namespace, pid, started, _ = parts
    if host != HOST or not namespace or namespace != _namespace() or not started:
        return False
    return _started(int(pid)) != started


def _namespace() -> str:
    """The number of the process namespace, empty where the system has none to show."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; empty when there is no such process.

    A process that has ended and has not been collected by its parent counts as ended.
    """
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = told.rpartition(")")[2].split()  # the name before it may hold anything
    return "" if fields[0] in "ZX" else fields[19]
