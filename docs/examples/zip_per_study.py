"""A source of a kind of its own: a directory with one zip file for each accession number.

An archive exports studies as `<accession number>.zip`, of which each holds one study. This module
is all that Locutus needs to take its studies from there; see docs/sources.md for how it is
registered.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from contextlib import suppress
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path

import pydicom
from pydantic import BaseModel, ConfigDict, ValidationError

from locutus_dagster.settings import OtherSourceSettings
from locutus_dagster.sources.accession import wanted_accession
from locutus_dagster.sources.base import (
    FetchReceipt,
    FoundStudy,
    InstanceSink,
    SourceContext,
    SourceError,
    SourceUnavailableError,
    StudyChangedError,
    StudyIncompleteError,
    StudyOverview,
)
from locutus_dagster.sources.patient_digests import patient_digests

__all__ = ["ZipPerStudy", "open_source"]

_HEADERS = ["SOPClassUID", "Modality", "PatientID", "SeriesInstanceUID"]


class Options(BaseModel):
    """What stands under `options` in the settings."""

    model_config = ConfigDict(extra="forbid")

    path: Path


def open_source(settings: OtherSourceSettings, context: SourceContext) -> ZipPerStudy:
    """What the entry point names. A password would be had by `context.secrets.resolve`."""
    options = None
    with suppress(ValidationError):
        options = Options(**settings.options)
    if options is None:
        # Raised here, where pydantic's error, which quotes values, cannot come along.
        raise SourceError(
            "The options of the zip source are wrong.", "Give it `path`, and nothing else."
        )
    return ZipPerStudy(options.path)


class ZipPerStudy:
    """A `StudySource`; it needs to inherit from nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self) -> dict[str, object]:
        return {"kind": "zip-per-study", "studies": len(self._files())}

    def find(self, accession_number: str) -> list[FoundStudy]:
        # The name is looked up and never made into a path: an accession number may be "../x".
        path = self._files().get(wanted_accession(accession_number))
        if path is None:
            return []
        members = _members(path)
        changed_at = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        size = sum(member.file_size for member in members)
        return [FoundStudy(str(path), len(members), size, _fingerprint(members), changed_at)]

    def overview(self, study: FoundStudy) -> StudyOverview:
        series: set[str] = set()
        kinds: Counter[tuple[str, str]] = Counter()
        patients: list[bytes] = []
        path = Path(study.source_id)
        members = _members(path)
        with zipfile.ZipFile(path) as archive:
            for member in members:
                data = BytesIO(archive.read(member))
                header = pydicom.dcmread(data, force=True, specific_tags=_HEADERS)
                series.add(str(header.get("SeriesInstanceUID", "")))
                kinds[str(header.get("SOPClassUID", "")), str(header.get("Modality", ""))] += 1
                patients.append(str(header.get("PatientID", "")).encode())
        return StudyOverview(
            len(series - {""}), dict(sorted(kinds.items())), patient_digests(patients)
        )

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        path = Path(study.source_id)
        members = _members(path)
        if _fingerprint(members) != study.fingerprint:
            raise _changed()
        size = 0
        damaged = False
        try:
            with zipfile.ZipFile(path) as archive:
                for member in members:
                    data = archive.read(member)  # zipfile compares its checksum
                    sink.add(data)
                    size += len(data)
        except (zipfile.BadZipFile, EOFError):
            damaged = True
        if _fingerprint(_members(path)) != study.fingerprint:
            raise _changed()
        if damaged:  # raised here, where no other error's text can come along
            raise StudyIncompleteError("A zip file is damaged.", "Export the study again.")
        return FetchReceipt(len(members), size, study.fingerprint)

    def close(self) -> None:
        pass

    def _files(self) -> dict[str, Path]:
        if not self._path.is_dir():
            raise SourceUnavailableError(
                f"The folder {self._path} is not there.", "Check that it is mounted."
            )
        return {path.stem: path for path in self._path.glob("*.zip")}


def _members(path: Path) -> list[zipfile.ZipInfo]:
    damaged = False
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [member for member in archive.infolist() if not member.is_dir()]
            return sorted(infos, key=lambda member: member.filename)
    except FileNotFoundError:
        pass
    except zipfile.BadZipFile:
        damaged = True
    if damaged:
        raise SourceError("A zip file is damaged.", "Export the study again.")
    raise _changed()


def _fingerprint(members: list[zipfile.ZipInfo]) -> str:
    lines = [f"{member.filename}\t{member.file_size}\t{member.CRC}\n" for member in members]
    return hashlib.sha256("".join(lines).encode(errors="surrogatepass")).hexdigest()


def _changed() -> StudyChangedError:
    return StudyChangedError(
        "The zip file changed since its study was found.", "Run the accession again."
    )
