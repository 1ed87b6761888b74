"""Phase 3: the study, from the source into the interim store.

What belongs here: finding exactly one study and having all of it. What does not: what kind of
source it is (`sources/`), or what is done with it next.
"""

from __future__ import annotations

import time

from locutus_dagster.durable_files import atomic_file, sha256_of
from locutus_dagster.interim import RawZipWriter, Room
from locutus_dagster.ledger.fingerprints import Kind, fingerprint_of
from locutus_dagster.ledger.work import ArtifactRecord, Attempt, WorkItem
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.resolving import Settled, Unsettled, settle
from locutus_dagster.sources.base import FoundStudy, StudyChangedError, StudyIncompleteError

__all__ = ["RAW", "extract", "find_and_extract", "find_one", "scratch_need"]

RAW = "raw"
# Beside the instances themselves: zip directory, member headers, file system blocks.
_OVERHEAD = 1024 * 1024
_STARTS = 3
_PAUSE = 1.0  # seconds, after the first start; longer after each further one


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


def find_and_extract(
    item: WorkItem, room: Room, parts: Parts, by: Attempt
) -> tuple[ArtifactRecord, FoundStudy] | Unsettled:
    """Find the accession's study and extract it; what settles it otherwise, where it has not one.

    A study to which something is added while it is being downloaded is begun again, for images
    arrive one after the other; one that keeps on changing is left for a later run.

    Raises:
        SourceError: the source cannot be asked, or the study did not arrive whole and unchanged.
        InterimError: it does not fit into the scratch space.
    """
    attempt = 1
    while True:
        study = find_one(item, parts)
        if not isinstance(study, FoundStudy):
            return study
        try:
            return extract(item, study, room, parts, by), study
        except StudyChangedError:
            if attempt == _STARTS:
                raise
        # Nothing may be held while more is waited for: the study has grown, perhaps.
        room.reserve(0)
        time.sleep(_PAUSE * attempt)
        attempt += 1


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
