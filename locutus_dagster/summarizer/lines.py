"""What a report says of one row: its status in the reference's words, and what has changed.

What belongs here: the words for a row, or for many that are alike. What does not: reading rows
(`ledger/summaries.py`), and files that are asked with (`adhoc.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from locutus_dagster.ledger.fingerprints import Kind
from locutus_dagster.ledger.reference_status import previous_processing_used, status
from locutus_dagster.ledger.states import State
from locutus_dagster.ledger.summary_records import RowGroup, SummaryRow
from locutus_dagster.summarizer.buckets import NOT_FOUND, REJECTED, bucket_of
from locutus_dagster.summarizer.model import Line

if TYPE_CHECKING:
    from locutus_dagster.manifests.reading import Row

__all__ = [
    "ELIDED",
    "group_status",
    "kinds_between",
    "line_of",
    "line_of_asked",
    "line_of_unknown",
    "line_of_unreadable",
    "rejected_status",
    "settings_among",
]

#: Stands for attributes where distinct statuses are counted: they name a subject, and hardly two
#: of them are alike.
ELIDED = "…"
_OF_THE_MANIFEST = (Kind.SUBJECT.value, Kind.ATTRIBUTES.value)
_KINDS = tuple(kind.value for kind in Kind)
_UNKNOWN = "?"
_Attributes = tuple[str, str, str, str]


def kinds_between(old: _Attributes, new: _Attributes) -> tuple[str, ...]:
    """The kinds in which the attributes of two rows differ; exactly, as the reference compares."""
    if old == new:
        return ()
    differ = (old[0] != new[0], old[1:] != new[1:])
    return tuple(kind for kind, yes in zip(_OF_THE_MANIFEST, differ, strict=True) if yes)


def settings_among(kinds: Sequence[str]) -> list[str]:
    """The kinds that are no attributes of a manifest's row."""
    return [kind for kind in kinds if kind not in _OF_THE_MANIFEST]


def line_of(row: SummaryRow) -> Line:
    """What a report says of a row of a manifest."""
    kinds = _kinds(row.changed, row.made_for and kinds_between(row.made_for, row.attributes))
    return _line(row, row.attributes, kinds)


def line_of_asked(row: SummaryRow, number: int, asked: Row | None, line: int, again: bool) -> Line:
    """What a report says of an accession that a file asks about.

    Args:
        row: that the accession is processed for.
        number: of the data row in the file.
        asked: what the file says; None when it only lists the number.
        again: an earlier row of the file asks about the same.
    """
    if asked is None:
        noted = _kinds(row.changed, row.made_for and kinds_between(row.made_for, row.attributes))
        return _line(row, row.attributes, noted, (number, line, again))
    differences = kinds_between(row.made_for or row.attributes, asked.attributes)
    kinds = _kinds(row.changed, differences)
    qc = asked.deid_qc_status or row.qc_status
    return _line(row, asked.attributes, kinds, (number, line, again), qc)


def line_of_unknown(
    number: int, accession_number: str, asked: Row | None, line: int, again: bool
) -> Line:
    """What a report says of an accession that no manifest names; arguments as above."""
    subject, imaging_type, age, position = asked.attributes if asked else ("", "", "", "")
    return Line(
        "",
        number,
        None,
        subject,
        imaging_type,
        age,
        position,
        accession_number,
        again,
        NOT_FOUND,
        NOT_FOUND,
        None,
        qc_status=asked.deid_qc_status if asked else "",
        line=line,
    )


def line_of_unreadable(
    number: int, line: int, column: str, reason: str, cells: tuple[str, ...] = ("",) * 6
) -> Line:
    """What a report says of a row of a file that cannot be asked with.

    Args:
        cells: subject, imaging type, age, position, accession number and QC status, as far as
            they could be told apart.
    """
    told = rejected_status(column, reason)
    *attributes, accession_number, qc = cells
    subject, imaging_type, age, position = attributes
    return Line(
        "",
        number,
        None,
        subject,
        imaging_type,
        age,
        position,
        accession_number,
        False,
        told,
        bucket_of(told),
        None,
        reason=_place(column, reason),
        qc_status=qc,
        line=line,
    )


def group_status(group: RowGroup) -> tuple[str, tuple[str, ...]]:
    """The status of rows that are alike, with their attributes elided, and what has changed."""
    differ = (group.other_subject, group.other_attributes)
    seen = tuple(kind for kind, yes in zip(_OF_THE_MANIFEST, differ, strict=True) if yes)
    kinds = _kinds(group.changed, seen if group.compared else None)
    if group.rejected:
        return rejected_status(group.rejected_column, group.rejected), ()
    return _status(group, kinds, ELIDED, ELIDED), kinds


def rejected_status(column: str, reason: str) -> str:
    """The status of a row that was not accepted; the reference has none, as it loses such rows."""
    return f"{REJECTED}=[{_place(column, reason)}]"


def _place(column: str, reason: str) -> str:
    return f"{column}: {reason}" if column else reason


def _kinds(noted: str, seen: Sequence[str] | None) -> tuple[str, ...]:
    """What has changed, by what a run noted and by comparing attributes here.

    Attributes that could be compared count as they are now: what a run noted of them may have
    been settled by a delivery for another row.
    """
    known = set(noted.split(",")) if noted else set()
    if seen is not None:
        known = known.difference(_OF_THE_MANIFEST).union(seen)
    return tuple(kind for kind in _KINDS if kind in known) if known else ()


def _status(of: SummaryRow | RowGroup, kinds: Sequence[str], old: str, new: str) -> str:
    if of.state is None:  # of a row that is not rejected it never is
        return _UNKNOWN
    if of.state is State.DELIVERED and kinds:
        return previous_processing_used([old], [new], settings_among(kinds))
    return status(
        of.state,
        of.phase,
        of.reason,
        label=of.label,
        command=of.command,
        in_hand=of.in_hand,
        on_deck=of.on_deck,
    )


def _line(
    row: SummaryRow,
    attributes: _Attributes,
    kinds: tuple[str, ...],
    asked: tuple[int, int, bool] | None = None,
    qc_status: str | None = None,
) -> Line:
    """A line; `asked` has number, line and repetition in the file that was asked with."""
    number, line, again = asked or (row.row_number, row.line, row.duplicate)
    if row.rejected:
        told, reason = (
            rejected_status(row.rejected_column, row.rejected),
            _place(row.rejected_column, row.rejected),
        )
    else:
        old = "/".join(row.made_for) if row.made_for else _UNKNOWN
        told, reason = _status(row, kinds, old, "/".join(attributes)), row.reason
    subject, imaging_type, age, position = attributes
    uris = tuple(one.uri for one in row.standing)
    return Line(
        row.manifest,
        number,
        row.partition_key,
        subject,
        imaging_type,
        age,
        position,
        row.accession_number,
        again,
        told,
        bucket_of(told),
        row.state,
        phase=row.phase,
        reason=reason,
        label=row.label,
        changed=kinds,
        last_change=row.updated_at,
        processed_at=max((one.delivered_at for one in row.standing), default=None),
        targets=uris,
        file_name=uris[0].rpartition("/")[2] if uris else "",
        qc_status=row.qc_status if qc_status is None else qc_status,
        instances=row.instances,
        delivered=row.delivered,
        withheld=row.withheld,
        line=line,
        target_names=tuple(one.target for one in row.standing),
    )
