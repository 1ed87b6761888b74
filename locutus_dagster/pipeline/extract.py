"""Phase 3: the study, from the source into the interim store.

What belongs here: finding exactly one study and having all of it. What does not: what kind of
source it is (`sources/`), or what is done with it next.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from locutus_dagster.durable_files import atomic_file, sha256_of
from locutus_dagster.interim import RawZipWriter, Room
from locutus_dagster.ledger.work import ArtifactRecord, WorkItem
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.sources.base import FoundStudy, StudyIncompleteError

__all__ = ["HOST", "RAW", "Ambiguous", "Nothing", "extract", "find_one"]

RAW = "raw"
HOST = socket.gethostname()
# Beside the instances themselves: zip directory, member headers, file system blocks.
_OVERHEAD = 1024 * 1024


@dataclass(frozen=True)
class Nothing:
    """The source holds no study for the accession (yet)."""


@dataclass(frozen=True)
class Ambiguous:
    """The source holds several; never merged, never guessed."""

    studies: int


def find_one(item: WorkItem, parts: Parts) -> FoundStudy | Nothing | Ambiguous:
    """Ask the source for the accession's study.

    Raises:
        SourceError: the source cannot be asked.
    """
    found = parts.source.find(item.accession_number)
    if not found:
        return Nothing()
    if len(found) > 1:
        return Ambiguous(len(found))
    return found[0]


def extract(
    item: WorkItem, study: FoundStudy, room: Room, parts: Parts, run_id: str | None
) -> ArtifactRecord:
    """Download the study into `raw.zip`, verify it, and record it.

    Raises:
        SourceError: it did not arrive whole and unchanged.
        InterimError: it does not fit into the scratch space.
    """
    # The raw zip is stored and the de-identified one deflated, so two sizes are always enough.
    room.reserve(2 * study.size + _OVERHEAD)
    with atomic_file(room.raw_zip, durable=False) as stream:
        writer = RawZipWriter(stream)
        receipt = parts.source.fetch(study, writer)
        writer.close()
        parts.checkpoint("extract:written")
    if writer.instances != receipt.instances or receipt.instances != study.instances:
        raise StudyIncompleteError(
            f"{writer.instances} of {study.instances} instances arrived.",
            "Run the accession again.",
        )
    parts.checkpoint("extract:renamed")
    sha256, size = sha256_of(room.raw_zip)
    record = ArtifactRecord(
        RAW, HOST, str(room.raw_zip), sha256, size, receipt.instances, receipt.fingerprint
    )
    parts.ledger.record_extracted(
        item.accession_id, record, source_study=study.source_id, run_id=run_id
    )
    parts.checkpoint("extract:recorded")
    return record
