"""Phase 4: the study, de-identified, and what must not be delivered of it.

What belongs here: running the engine over an accession and judging its result. What does not: what
the engine does to an element, and which instances it withholds (`deid/`).
"""

from __future__ import annotations

from dataclasses import dataclass

from locutus_dagster.deid import StudyDisposition, deidentify_study
from locutus_dagster.durable_files import atomic_file, sha256_of
from locutus_dagster.interim import Room
from locutus_dagster.ledger import Phase
from locutus_dagster.ledger.fingerprints import Kind, fingerprint_of
from locutus_dagster.ledger.work import ArtifactRecord, Attempt, DispositionCount, WorkItem
from locutus_dagster.pipeline.deid_report import report_record
from locutus_dagster.pipeline.extract import RAW
from locutus_dagster.pipeline.fingerprints import zip_made_from
from locutus_dagster.pipeline.host import HOST
from locutus_dagster.pipeline.parts import Parts

__all__ = ["DEIDENTIFIED", "Transformed", "transform"]

DEIDENTIFIED = "deidentified"
_PLACES_NAMED = 5


@dataclass(frozen=True)
class Transformed:
    """What the engine made of a study.

    Attributes:
        artifact: None when the result must not be delivered; then `blocked` says why.
    """

    disposition: StudyDisposition
    artifact: ArtifactRecord | None
    blocked: str = ""


def transform(
    item: WorkItem, raw: ArtifactRecord, room: Room, parts: Parts, by: Attempt
) -> Transformed:
    """De-identify `raw.zip` into `deidentified.zip`, and record it with its report.

    Raises:
        DeidError: the engine cannot work on this study at all.
        LedgerError: the result could not be recorded.
    """
    with atomic_file(room.deidentified_zip, durable=False) as stream:
        disposition = deidentify_study(
            room.raw_zip,
            stream,
            policy=parts.policy,
            pseudonyms=parts.pseudonyms,
            subject_id=item.subject_id,
            known_identifiers=(item.accession_number,),
        )
        parts.checkpoint("transform:written")
    parts.checkpoint("transform:renamed")
    counts = [
        DispositionCount(
            sop_class=str(row["sop_class"]),
            modality=str(row["modality"]),
            disposition=str(row["disposition"]),
            reason=str(row["reason"]),
            instances=int(row["count"]),
        )
        for row in disposition.as_rows()
    ]
    report = report_record(disposition, parts.policy)
    blocked = _why_blocked(disposition, raw)
    if blocked:
        room.deidentified_zip.unlink()
        parts.ledger.record_blocked(
            item.accession_id,
            counts,
            report,
            phase=Phase.TRANSFORM,
            reason=blocked,
            by=by,
        )
        return Transformed(disposition, None, blocked)
    sha256, size = sha256_of(room.deidentified_zip)
    source = (raw.made_from or {})[Kind.SOURCE.value]
    made_from = zip_made_from(source, item, parts, disposition.key_id)
    artifact = ArtifactRecord(
        DEIDENTIFIED,
        HOST,
        str(room.deidentified_zip),
        sha256,
        size,
        disposition.delivered,
        fingerprint_of(made_from),
        made_from,
    )
    parts.ledger.record_deidentified(
        item.accession_id,
        artifact,
        counts,
        report,
        study_uid=disposition.study_uid,
        study_token=disposition.study_token,
        spent=() if parts.settings.keep_interim_files else (RAW,),
        by=by,
    )
    parts.checkpoint("transform:recorded")
    return Transformed(disposition, artifact)


def _why_blocked(disposition: StudyDisposition, raw: ArtifactRecord) -> str:
    if disposition.total != raw.instances:
        return f"{disposition.total} of {raw.instances} instances were accounted for"
    if disposition.delivered == 0:
        reasons = ", ".join(
            f"{count} with {reason}" for reason, count in disposition.withheld_by_reason.items()
        )
        places = sorted({hit.place for hit in disposition.residue})
        named = ", ".join(places[:_PLACES_NAMED]) + (" …" if len(places) > _PLACES_NAMED else "")
        found = f"; identifiers were found in {named}" if places else ""
        return f"every instance was withheld: {reasons}{found}"
    return ""
