"""What a person decided about accessions for which the source held several studies.

What belongs here: the reference's commands, keeping a decision and asking for it. What does not:
what a decision means for the studies that a source lists now (`pipeline/resolving.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from sqlalchemy import select, update

from locutus_dagster.ledger.claims import ClaimLostError
from locutus_dagster.ledger.connection import LedgerConnection
from locutus_dagster.ledger.schema import Accession, Resolution, now

__all__ = ["ResolutionRecord", "Resolutions", "ResolveCommand"]


class ResolveCommand(str, Enum):
    """The commands of a manifest's RESOLVE_VIA column, as the reference names them."""

    MERGE = "MERGE_at_RADIOLOGY"  # wait until radiology has made one study of them
    RESEND = "RESEND_RADIOLOGY"  # use none of these, wait until radiology sends anew
    NEWEST = "CONSOLIDATE_LOCALLY"  # use the one that changed last
    CHOOSE = "CHOOSE_LOCALLY"  # use the one that is named: CHOOSE_LOCALLY:uuid=<study>
    DROP = "DELETE_SCAN_LOCALLY"  # use none, and do not ask again
    DROP_FROM_STAGE = "DELETE_SCAN_FROM_STAGE_ONLY"  # use none of these; one that arrives later is


@dataclass(frozen=True)
class ResolutionRecord:
    """A decision.

    Attributes:
        chosen: the source's handle of the study to use, None where none was chosen.
        passed_over: handle → version, of the studies that are not used. The version is the
            source's own mark of the study's last change, or its fingerprint.
        reason: for people, free of identifiers; the plan that it was made by.
        identity: given by the ledger when it is kept.
    """

    command: ResolveCommand
    chosen: str | None = field(default=None, repr=False)
    passed_over: dict[str, str] = field(default_factory=dict, repr=False)
    reason: str = ""
    resolved_at: datetime | None = None
    identity: int = 0


class Resolutions(LedgerConnection):
    """Decisions about several studies of one accession."""

    def resolve(
        self,
        accession_id: int,
        decision: ResolutionRecord,
        run_id: str | None = None,
        *,
        owner: str | None = None,
    ) -> None:
        """Keep a decision; an earlier one is closed by it.

        Args:
            owner: of the claim that it depends on; None when it depends on none.

        Raises:
            ClaimLostError: another worker has taken the accession over.
        """
        with self.session() as session:
            accession = session.get_one(Accession, accession_id, with_for_update=True)
            if owner is not None and accession.claimed_by != owner:
                raise ClaimLostError
            session.execute(
                update(Resolution)
                .where(Resolution.accession_id == accession_id, Resolution.closed_at.is_(None))
                .values(closed_at=now())
            )
            session.add(
                Resolution(
                    accession_id=accession_id,
                    command=decision.command.value,
                    chosen=decision.chosen,
                    passed_over=decision.passed_over,
                    reason=decision.reason,
                    run_id=run_id,
                )
            )

    def resolution(self, accession_id: int) -> ResolutionRecord | None:
        """The decision that stands for an accession."""
        with self.session(reads_only=True) as session:
            row = session.scalars(
                select(Resolution)
                .where(Resolution.accession_id == accession_id, Resolution.closed_at.is_(None))
                .order_by(Resolution.id.desc())
                .limit(1)
            ).first()
            return _record(row) if row else None

    def resolutions(self, accession_id: int) -> list[ResolutionRecord]:
        """Every decision about an accession, oldest first."""
        with self.session(reads_only=True) as session:
            rows = session.scalars(
                select(Resolution)
                .where(Resolution.accession_id == accession_id)
                .order_by(Resolution.id)
            )
            return [_record(row) for row in rows]


def _record(row: Resolution) -> ResolutionRecord:
    return ResolutionRecord(
        ResolveCommand(row.command),
        row.chosen,
        dict(row.passed_over),
        row.reason,
        row.resolved_at,
        row.id,
    )
