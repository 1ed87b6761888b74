"""Studies out of a folder of DICOM files.

What belongs here: handing out, unharmed, the files that the index attributes to an accession
number, loose ones and members of zip files. What does not: finding out which they are
(`folder_index.py`).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from io import BufferedReader
from pathlib import Path

from locutus_dagster.settings import FolderSourceSettings
from locutus_dagster.sources.accession import wanted_accession
from locutus_dagster.sources.base import (
    FetchReceipt,
    FoundStudy,
    InstanceSink,
    SourceContext,
    SourceError,
    SourceUnavailableError,
    StudyIncompleteError,
    StudyOverview,
)
from locutus_dagster.sources.folder_archives import Archives, changed, damaged_zip
from locutus_dagster.sources.folder_contents import IndexedFile
from locutus_dagster.sources.folder_files import mtime_ns, open_regular
from locutus_dagster.sources.folder_index import FolderIndex
from locutus_dagster.sources.folder_zip import UnreadableZipError, ZipArchive
from locutus_dagster.sources.patient_digests import patient_digests

__all__ = ["FolderSource", "open_folder"]

_MIB = 1024 * 1024
_HELD_AT_MOST = 32 * _MIB
"""Files up to this size are held in memory; larger ones flow through in chunks."""
_CHUNK = _MIB
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def open_folder(settings: FolderSourceSettings, context: SourceContext) -> FolderSource:
    """A workspace's folder, with the index that is kept beside the ledger."""
    index = context.private_dir / f"{context.workspace}.folder-index.sqlite"
    return FolderSource(settings.path, index_path=index, look_only=context.look_only)


class FolderSource:
    """A `StudySource` over a directory tree of DICOM files.

    The tree is brought into the index at the first question (every file's header is read once;
    later only those of new and changed files). A study that arrives afterwards is found after
    `refresh()`, or by the next source that opens the index. Files added to the directories that a
    study already has files in are noticed when it is fetched.

    Args:
        root: the top directory.
        index_path: where the index is kept, on a local disk; it holds identifiers, so it and a
            directory made for it are accessible to their owner only.
        look_only: start from the index that is there, if any, and leave it as it is.
    """

    def __init__(
        self, root: str | Path, *, index_path: str | Path, look_only: bool = False
    ) -> None:
        self._root = Path(root).expanduser().resolve()
        path = Path(index_path).expanduser()
        self._index = FolderIndex(self._root, path, look_only=look_only)
        self._fresh = False

    def __repr__(self) -> str:
        return f"FolderSource({str(self._root)!r})"

    # --- StudySource ---------------------------------------------------------------------------

    def find(self, accession_number: str) -> list[FoundStudy]:
        """List the studies with exactly this accession number; see `StudySource.find`.

        `changed_at` is the newest of the files' modification times: a study that is deleted and
        copied back with its old times is the same again.

        Raises:
            SourceError: the accession number is empty, or the index cannot be kept.
            SourceUnavailableError: the folder cannot be read.
        """
        wanted = wanted_accession(accession_number)
        self._bring_up_to_date()
        found = []
        for study_uid in self._index.contents.studies_of(wanted):
            files = self._index.contents.files_of(wanted, study_uid)
            if not files:  # another process has just noticed that they are gone
                continue
            found.append(
                FoundStudy(
                    source_id=f"{study_uid}\n{wanted}",
                    instances=len(files),
                    size=sum(file.size for file in files),
                    fingerprint=_fingerprint(files),
                    changed_at=_newest(files),
                )
            )
        return found

    def overview(self, study: FoundStudy) -> StudyOverview:
        """Look what the study consists of; see `StudySource.overview`.

        Everything is exact as of each file's header when the index last read it. A file too
        damaged to say what it is counts as ("", ""), and one without a Series Instance UID belongs
        to no series.

        Raises:
            StudyChangedError: no file of the study is left.
            SourceUnavailableError: the folder is no longer there.
        """
        self._bring_up_to_date()
        files = self._files_now(study)
        if not files:
            self._require_root()
            raise changed()
        kinds = Counter((file.sop_class, file.modality) for file in files)
        return StudyOverview(
            series=len({file.series_uid for file in files} - {""}),
            kinds=dict(sorted(kinds.items())),
            patients=patient_digests(file.patient.encode() for file in files),
        )

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        """Write every file of the study to `sink`, in the order of their SOP Instance UIDs.

        Raises:
            StudyChangedError: a file was added, changed or removed since `find`.
            StudyIncompleteError: a file of the study, or one beside its files, cannot be read;
                the latter may well be part of the study. Or a DICOMDIR lists an instance of the
                study that is nowhere.
            SourceUnavailableError: the folder is no longer there.
        """
        self._bring_up_to_date()
        files = self._unchanged_files(study)
        hidden = self._index.contents.unreadable_beside(files)
        if hidden:
            raise StudyIncompleteError(
                f"{hidden} files or folders beside the study's files cannot be read.",
                "Make them readable, or move them elsewhere if they are not part of the study.",
            )
        missing = self._index.contents.missing_of(study.source_id.partition("\n")[0])
        if missing:
            raise StudyIncompleteError(
                f"{missing} instances of the study that a DICOMDIR lists are not in the folder.",
                "Copy the medium again; or take its DICOMDIR away if they are left out on purpose.",
            )
        with Archives(self._opened) as archives:
            for file in files:
                self._write(file, sink, archives)
        self._unchanged_files(study)
        return FetchReceipt(
            instances=len(files),
            size=sum(file.size for file in files),
            fingerprint=study.fingerprint,
        )

    def close(self) -> None:
        """Close the index."""
        self._index.close()
        self._fresh = False

    # --- beyond the protocol -------------------------------------------------------------------

    def refresh(self) -> None:
        """Look through the tree again."""
        self._index.refresh()
        self._fresh = True

    def check(self) -> dict[str, object]:
        """What the folder holds, for a preflight.

        Raises:
            SourceUnavailableError: the folder cannot be read.
        """
        self._bring_up_to_date()
        return {"kind": "folder", **self._index.contents.counts()}

    @property
    def unattributed(self) -> int:
        """How many files belong to no accession number: not DICOM, too damaged, or without one."""
        self._bring_up_to_date()
        return self._index.contents.counts()["unattributed"]

    @property
    def unreadable(self) -> int:
        """How many files and folders could not be opened."""
        self._bring_up_to_date()
        return self._index.contents.counts()["unreadable"]

    @property
    def headers_read(self) -> int:
        """How many headers this object read itself; 0 if the index knew everything."""
        return self._index.headers_read

    # --- within --------------------------------------------------------------------------------

    def _bring_up_to_date(self) -> None:
        if not self._fresh:
            self.refresh()

    def _files_now(self, study: FoundStudy) -> list[IndexedFile]:
        """The study's files, after another look into the directories that have some."""
        study_uid, _, accession = study.source_id.partition("\n")
        before = self._index.contents.files_of(accession, study_uid)
        self._index.refresh_directories(file.directory for file in before)
        return self._index.contents.files_of(accession, study_uid)

    def _unchanged_files(self, study: FoundStudy) -> list[IndexedFile]:
        """The study's files, if they still are what `find` saw: in the index, and on the disk."""
        files = self._files_now(study)
        if _fingerprint(files) != study.fingerprint:
            self._require_root()
            raise changed()
        looked_at: set[bytes] = set()
        for file in files:
            if file.on_disk in looked_at:
                continue
            looked_at.add(file.on_disk)
            try:
                now = os.lstat(self._full(file))
            except OSError as error:
                raise self._translated(error) from None
            if (now.st_size, mtime_ns(now)) != (file.size_on_disk, file.mtime_ns):
                raise changed()
        return files

    def _write(self, file: IndexedFile, sink: InstanceSink, archives: Archives) -> None:
        if file.zip_size:
            chunks = self._member_chunks(archives.of(file), file)
            sink.add(chunks if file.size > _HELD_AT_MOST else b"".join(chunks))
            return
        with self._opened(file) as reader:
            chunks = self._chunks(reader, file)
            sink.add(chunks if file.size > _HELD_AT_MOST else b"".join(chunks))

    def _opened(self, file: IndexedFile) -> BufferedReader:
        try:
            return open_regular(self._full(file))
        except OSError as error:
            failure = self._translated(error)
        raise failure

    def _member_chunks(self, archive: ZipArchive, file: IndexedFile) -> Iterator[bytes]:
        failed = False
        try:
            yield from archive.chunks(file.path, file.size)
        except UnreadableZipError:
            failed = True
        if failed:
            raise damaged_zip()

    def _chunks(self, reader: BufferedReader, file: IndexedFile) -> Iterator[bytes]:
        """The file's bytes; ends normally only if they are those that the index knows."""
        arrived = 0
        failure: SourceError | None = None
        try:
            while arrived <= file.size and (chunk := reader.read(_CHUNK)):
                arrived += len(chunk)
                yield chunk
            now = os.fstat(reader.fileno())
            if (arrived, now.st_size, mtime_ns(now)) != (file.size, file.size, file.mtime_ns):
                failure = changed()
        except OSError as error:
            failure = self._translated(error)
        if failure is not None:
            raise failure

    def _translated(self, error: OSError) -> SourceError:
        """Our own error for one of the system's, whose text quotes a path."""
        self._require_root()
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return changed()
        return StudyIncompleteError(
            f"A file of the study cannot be read ({type(error).__name__}, errno {error.errno}).",
            "Check the permissions of the study's files and the health of the disk or share.",
        )

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise SourceUnavailableError(
                f"The source folder {self._root} is no longer there.",
                "Check that it is mounted, then run again.",
            )

    def _full(self, file: IndexedFile) -> bytes:
        return os.path.join(os.fsencode(self._root), file.on_disk)  # noqa: PTH118 - bytes


def _fingerprint(files: Sequence[IndexedFile]) -> str:
    """Hex digest over each file's identity and size, and its modification time or checksum.

    A zip file changes when any study comes to it, and the others in it do not; so of a member it is
    its own checksum that counts.
    """
    digest = hashlib.sha256()
    for line in sorted(
        b"%s\t%d\t%s%d\n"
        % (
            file.sop_uid.encode() or file.path,
            file.size,
            b"crc" if file.zip_size else b"",
            file.crc if file.zip_size else file.mtime_ns,
        )
        for file in files
    ):
        digest.update(line)
    return digest.hexdigest()


def _newest(files: Sequence[IndexedFile]) -> datetime:
    """The newest modification time."""
    return _EPOCH + timedelta(microseconds=max(file.mtime_ns for file in files) // 1000)
