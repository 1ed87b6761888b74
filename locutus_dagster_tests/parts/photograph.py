"""Folders as they are at one moment, to be held against how they are later.

What belongs here: every name, kind, mode, size, modification time and content below a folder. What
does not: what is allowed to differ.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["photograph"]


def photograph(*roots: Path) -> dict[str, tuple[int, int, int, str]]:
    """Path → mode, size, modification time in ns and SHA-256; a root that is missing has none."""
    found = {}
    for root in roots:
        for path in (root, *sorted(root.rglob("*"))) if root.exists() else ():
            status = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path)] = (
                status.st_mode,
                status.st_size if content else 0,  # a folder's says nothing
                status.st_mtime_ns,
                content,
            )
    return found
