"""Phase 3: the study, from the source into the interim store.

What belongs here: finding exactly one study and having all of it. What does not: what kind of
source it is (`sources/`), or what is done with it next.
"""

from __future__ import annotations

from locutus_dagster.durable_files import atomic_file, sha256_of
from locutus_dagster.interim import RawZipWriter, Room
from locutus_dagster.ledger.fingerprints import Kind, fingerprint_of
from locutus_dagster.ledger.work import ArtifactRecord, Attempt, WorkItem
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.resolving import Settled, settle
from locutus_dagster.sources.base import FoundStudy, StudyIncompleteError

__all__ = ["RAW", "extract", "find_one", "scratch_need"]

RAW = "raw"
# Beside the instances themselves: zip directory, member headers, file system blocks.
_OVERHEAD = 1024 * 1024


def scratch_need(size: int) -> int:
    """The bytes of scratch space to reserve for a study of `size` bytes."""
    # The raw zip is stored and the de-identified one deflated, so two sizes are always enough.
    return 2 * size + _OVERHEAD


def find_one(item: WorkItem, parts: Parts) -> Settled:
    """Ask the source for the accession's study, and settle which one it is.

    Raises:
        SourceError: the source cannot be asked.
    """
    found = parts.source.find(item.accession_number)
    return settle(found, parts.ledger.resolution(item.accession_id))


def extract(
    item: WorkItem, study: FoundStudy, room: Room, parts: Parts, by: Attempt
) -> ArtifactRecord:
    """Download the study into `raw.zip`, verify it, and record it.

    Raises:
        SourceError: it did not arrive whole and unchanged.
        InterimError: it does not fit into the scratch space.
    """
    room.reserve(scratch_need(study.size))
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
    made_from = {Kind.SOURCE.value: receipt.fingerprint}
    record = ArtifactRecord(
        RAW,
        HOST,
        str(room.raw_zip),
        sha256,
        size,
        receipt.instances,
        fingerprint_of(made_from),
        made_from,
    )
    parts.ledger.record_extracted(
        item.accession_id,
        record,
        source_study=study.source_id,
        source_fingerprint=receipt.fingerprint,
        by=by,
    )
    parts.checkpoint("extract:recorded")
    return record
