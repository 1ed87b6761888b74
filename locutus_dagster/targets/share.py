"""A mounted share, or any directory, as a target (the reference's isilon).

What belongs here: putting a file there so that it is either whole or absent.
"""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from locutus_dagster.durable_files import PART_SUFFIX, sha256_of, sync_folder
from locutus_dagster.targets.base import Receipt, TargetError, Withdrawal

__all__ = ["ShareTarget"]


class ShareTarget:
    """Deliveries as files under `root`.

    Args:
        root: the mount point; it must exist, so that a share that is not mounted is noticed
            rather than filled in beneath its mount point.
    """

    name = "share"

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()

    @property
    def place(self) -> str:
        """The root."""
        return str(self.root)

    def check(self) -> None:
        """Raise `TargetError` unless the root exists and may be written."""
        if not self.root.is_dir():
            raise TargetError(
                f"The share {self.root} is not there.",
                "Mount it, or create the folder, and run again; finished work is kept.",
            )
        probe = self.root / f".locutus-{uuid.uuid4().hex}{PART_SUFFIX}"
        try:
            os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            probe.unlink()
        except OSError as error:
            raise self._refused(error) from None

    def uri(self, key: str) -> str:
        """The `file://` address of a key."""
        return self._path(key).as_uri()

    def put(self, source: Path, key: str, *, sha256: str) -> Receipt:
        """Copy under a temporary name, fsync, read back, rename."""
        if not self.root.is_dir():
            self.check()
        with source.open("rb") as reader:  # outside of what is blamed on the share
            return self._put(reader, key, sha256)

    def _put(self, reader: BinaryIO, key: str, sha256: str) -> Receipt:
        path = self._path(key)
        part = path.with_name(f".{path.name}{PART_SUFFIX}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as writer:
                shutil.copyfileobj(reader, writer, 1024 * 1024)
                writer.flush()
                os.fsync(writer.fileno())
            found, size = sha256_of(part)
            if found != sha256:
                raise TargetError(
                    f"The share {self.root} gave back other bytes than it was given.",
                    "Check its health before running again; nothing was delivered.",
                )
            part.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise self._refused(error) from None
        finally:
            with suppress(OSError):
                part.unlink()
        return Receipt(self.uri(key), found, size)

    def holds(self, uri: str, *, size: int) -> bool:
        """Whether a file of that size lies there."""
        try:
            return self._local(uri).stat().st_size == size
        except FileNotFoundError:
            if not self.root.is_dir():
                self.check()
            return False
        except OSError as error:
            raise self._refused(error) from None

    def withdraw(self, uri: str) -> Withdrawal:
        """Remove the file, and the folders that become empty by it."""
        path = self._local(uri)
        if not self.root.is_dir():
            self.check()
        try:
            size = path.stat().st_size
            path.unlink()
            sync_folder(path.parent)
            removed = True
        except FileNotFoundError:
            size, removed = 0, False
        except OSError as error:
            raise self._refused(error) from None
        for folder in path.parents:
            if folder == self.root:
                break
            try:
                folder.rmdir()
            except OSError:  # something else lies there, or it is gone
                break
        return Withdrawal(uri, removed, size)

    def free_bytes(self) -> int | None:
        """What the file system under the root has room for."""
        try:
            return shutil.disk_usage(self.root).free
        except OSError:
            return None

    def open(self, uri: str) -> BinaryIO:
        """Open a delivery for reading."""
        path = self._local(uri)
        try:
            return path.open("rb")
        except OSError as error:
            raise TargetError(
                f"The delivery cannot be read from {self.root} ({error.strerror}).",
                "It may have been moved or withdrawn; the ledger still has its checksum.",
            ) from None

    def _local(self, uri: str) -> Path:
        path = Path(unquote(uri.removeprefix("file://")))
        if self.root not in path.parents or ".." in path.parts:
            raise TargetError("That delivery does not lie on this share.", f"It holds {self.root}.")
        return path

    def _path(self, key: str) -> Path:
        path = (self.root / key).absolute()
        if self.root not in path.parents or ".." in path.parts:
            raise TargetError("A delivery key leads out of the share.", "Mend the key template.")
        return path

    def _refused(self, error: OSError) -> TargetError:
        return TargetError(
            f"The share {self.root} does not take files ({error.strerror}).",
            "Check that it is mounted writable and has space, then run again; "
            "finished work is kept.",
        )
