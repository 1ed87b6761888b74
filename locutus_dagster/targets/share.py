"""A mounted share, or any directory, as a target (the reference's isilon).

What belongs here: putting a file there so that it is either whole or absent, and removing it so
that nothing of it is left. What does not: which files (`pipeline/deliver.py`, `recalling.py`).
"""

from __future__ import annotations

import os
import shutil
import stat
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from locutus_dagster.durable_files import PART_SUFFIX, sha256_of, sync_folder
from locutus_dagster.settings import ShareTargetSettings
from locutus_dagster.targets.base import Receipt, TargetContext, TargetError, Withdrawal

__all__ = ["MARKER", "ShareTarget", "open_share"]

#: Left in the root of a share from which the last delivery has been withdrawn: a root that holds
#: nothing at all is taken for the folder beneath a share that is not mounted.
MARKER = ".locutus-share"
_PROBE = ".locutus-probe-"
# How often the folders of a delivery are made again when a withdrawal has just removed them.
_ATTEMPTS = 20
_ELSEWHERE = "It lies somewhere else than this workspace's target is now."


def open_share(settings: ShareTargetSettings, context: TargetContext) -> ShareTarget:
    """A workspace's share."""
    return ShareTarget(settings.path, name=context.name)


class ShareTarget:
    """Deliveries as files under `root`.

    Args:
        root: the mount point; it must exist, so that a share that is not mounted is noticed
            rather than filled in beneath its mount point. It may be a symbolic link.
        name: in the ledger.
    """

    def __init__(self, root: Path, *, name: str = "share") -> None:
        self.root = root.expanduser().absolute()
        self.name = name

    @property
    def place(self) -> str:
        """The root."""
        return str(self.root)

    def check(self) -> None:
        """Raise `TargetError` unless the root exists and may be written."""
        if not self.root.is_dir():
            raise self._not_there()
        probe = self.root / f"{_PROBE}{uuid.uuid4().hex}{PART_SUFFIX}"
        try:
            os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            probe.unlink()
        except OSError as error:
            raise self._refused(error) from None

    def uri(self, key: str) -> str:
        """The `file://` address of a key."""
        return self._path(key).as_uri()

    def free_bytes(self) -> int | None:
        """What the file system under the root has room for."""
        try:
            return shutil.disk_usage(self.root).free
        except OSError:
            return None

    def close(self) -> None:
        """Nothing is held open."""

    # -- delivering ------------------------------------------------------------------------

    def put(self, source: Path, key: str, *, sha256: str) -> Receipt:
        """Copy under a temporary name, fsync, read back, rename."""
        with source.open("rb") as reader:  # outside of what is blamed on the share
            return self._put(reader, key, sha256)

    def _put(self, reader: BinaryIO, key: str, sha256: str) -> Receipt:
        path = self._path(key)
        self._refuse_a_way_out(path)
        part = _part_of(path)
        try:
            with self._begin(part) as writer:
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
        except BaseException as error:
            with suppress(OSError):
                part.unlink()
            if isinstance(error, OSError):
                raise self._refused(error) from None
            raise
        return Receipt(self.uri(key), found, size, checksum=f"sha256:{found}")

    def _begin(self, part: Path) -> BinaryIO:
        """Open a file of our own, in folders that a withdrawal may be removing at this moment."""
        attempt = 1
        grown: list[Path] = []  # folders in which one was made
        while True:
            # Looked at each time: the root itself is never made.
            if not self.root.is_dir():
                raise self._not_there()
            try:
                for folder in self._folders(part):
                    if not folder.is_dir():
                        grown.append(folder.parent)
                    folder.mkdir(exist_ok=True)
                # What a crash left half-copied, or a worker that was given up is still copying:
                # its bytes then go into a file without a name.
                part.unlink(missing_ok=True)
                descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            except (FileNotFoundError, FileExistsError):
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(attempt / 1000)
                attempt += 1
            else:
                # Nobody removes folders that hold something. A power cut would lose a new one with
                # all that it holds.
                for folder in dict.fromkeys(grown):
                    sync_folder(folder)
                return os.fdopen(descriptor, "wb")

    # -- what was delivered ----------------------------------------------------------------

    def holds(self, uri: str, *, size: int, version: str = "") -> bool:
        """Whether a file of that size lies there; a share keeps no versions."""
        found = self._look(self._local(uri))
        return found is not None and stat.S_ISREG(found.st_mode) and found.st_size == size

    def withdraw(self, uri: str, *, version: str = "") -> Withdrawal:
        """Remove the file, and the folders that become empty by it.

        What a crash has left of copying it goes, too.
        """
        path = self._local(uri)
        removed = [self._remove(one) for one in (path, _part_of(path))]
        self._remove_empty_folders(path)
        sizes = [size for size in removed if size is not None]
        return Withdrawal(uri, bool(sizes), sum(sizes))

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

    def _remove(self, path: Path) -> int | None:
        """Remove one file and see that it is gone; its size, None when it was not there."""
        found = self._look(path)
        if found is None:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise TargetError(
                f"Something that is no file lies in the place of a delivery on {self.root}.",
                "Somebody has put a link or a folder there: look where the delivery is, remove "
                "it, and run again.",
            )
        try:
            self._stay_recognisable(path)
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
        except OSError as error:
            raise self._kept(error) from None
        if self._look(path) is not None:
            raise TargetError(
                f"A delivery is still on {self.root} after it was removed.",
                "Something puts it back, or the share is not well; mend that and run again.",
            )
        return found.st_size

    def _remove_empty_folders(self, path: Path) -> None:
        for folder in reversed(self._folders(path)):
            try:
                if folder.parent == self.root and not any(folder.iterdir()):
                    self._stay_recognisable(folder)
                folder.rmdir()
            except FileNotFoundError:
                continue  # somebody else has just removed it, and perhaps not those above
            except OSError as error:
                if isinstance(error, PermissionError):
                    raise self._kept(error) from None
                return  # something has just been put there, or it is a mount point or a link
            sync_folder(folder.parent)

    def _stay_recognisable(self, going: Path) -> None:
        """Keep the root from being left as empty as one on which nothing is mounted."""
        if going.parent == self.root and set(self.root.iterdir()) <= {going}:
            (self.root / MARKER).touch()

    def _look(self, path: Path) -> os.stat_result | None:
        """What lies there; None when nothing does, and it is not the share that is gone.

        Raises:
            TargetError: the share cannot be asked.
        """
        try:
            return path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise self._unreadable(error) from None
        try:
            names = [entry.name for entry in self.root.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            raise self._not_there() from None
        except OSError as error:
            raise self._unreadable(error) from None
        if all(name.startswith(_PROBE) for name in names):
            raise TargetError(
                f"The share {self.root} holds nothing at all, like a folder on which nothing is "
                "mounted, though something was delivered there.",
                "Mount it and run again. If it is mounted and somebody has emptied it, put a file "
                f"named {MARKER} there first.",
            )
        return None

    # -- places ----------------------------------------------------------------------------

    def _path(self, key: str) -> Path:
        path = (self.root / key).absolute()
        if not self._lies_inside(path):
            raise TargetError("A delivery key leads out of the share.", "Mend the key template.")
        return path

    def _local(self, uri: str) -> Path:
        path = Path(os.fsdecode(unquote_to_bytes(uri.removeprefix("file://"))))
        if not uri.startswith("file:///") or "\0" in str(path) or not self._lies_inside(path):
            raise TargetError(
                f"That delivery does not lie on this share ({self.root}).",
                f"{_ELSEWHERE} Set the target to where it was delivered, and run again.",
            )
        self._refuse_a_way_out(path)
        return path

    def _lies_inside(self, path: Path) -> bool:
        return self.root in path.parents and ".." not in path.relative_to(self.root).parts

    def _refuse_a_way_out(self, path: Path) -> None:
        """Refuse a path whose folders lead out of the share by a symbolic link."""
        try:
            inside = path.parent.resolve().is_relative_to(self.root.resolve())
        except RuntimeError:  # a loop of links
            inside = False
        except OSError as error:
            raise self._unreadable(error) from None
        if not inside:
            raise TargetError(
                f"A link in the share {self.root} leads out of it.",
                "Put a folder in its place, or set the target to where it leads, and run again.",
            )

    def _folders(self, path: Path) -> list[Path]:
        """The folders between the root and a file, the uppermost first."""
        above = list(path.parents)
        return above[: above.index(self.root)][::-1]

    # -- what went wrong -------------------------------------------------------------------

    def _not_there(self) -> TargetError:
        return TargetError(
            f"The share {self.root} is not there.",
            "Mount it, or create the folder, and run again; finished work is kept.",
        )

    def _refused(self, error: OSError) -> TargetError:
        return TargetError(
            f"The share {self.root} does not take files ({error.strerror}).",
            "Check that it is mounted writable and has space, then run again; "
            "finished work is kept.",
        )

    def _kept(self, error: OSError) -> TargetError:
        return TargetError(
            f"The share {self.root} does not let a delivery be removed ({error.strerror}).",
            "Check that it is mounted writable and that the user who runs Locutus may remove files "
            "and folders there, then run again.",
        )

    def _unreadable(self, error: OSError) -> TargetError:
        return TargetError(
            f"The share {self.root} cannot be asked ({error.strerror}).",
            "Check that it is mounted and that the user who runs Locutus may read it, then run "
            "again.",
        )


def _part_of(path: Path) -> Path:
    return path.with_name(f".{path.name}{PART_SUFFIX}")
