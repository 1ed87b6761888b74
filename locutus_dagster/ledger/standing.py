"""The delivery that stands for an accession, and whether a row asks for something else.

What belongs here: these two, as parts of larger questions. What does not: the questions
(`selection.py`, `summaries.py`), and writing deliveries (`deliveries.py`).
"""

from __future__ import annotations

from itertools import permutations

from sqlalchemy import ColumnElement, Subquery, and_, func, or_, select
from sqlalchemy.orm import aliased

from locutus_dagster.ledger.fingerprints import Kind
from locutus_dagster.ledger.schema import Accession, Delivery, ManifestRow
from locutus_dagster.ledger.states import State

__all__ = ["MADE_FOR", "STANDS", "differs_from_delivery", "newest_standing", "other_attributes"]

#: The row that a delivery was made for.
MADE_FOR = aliased(ManifestRow)
STANDS = and_(Delivery.superseded_at.is_(None), Delivery.withdrawn_at.is_(None))
#: What a run notes of a row that differs from the delivery's in nothing but what a row says.
_OF_THE_MANIFEST = tuple(
    ",".join(kinds)
    for length in range(3)
    for kinds in permutations((Kind.SUBJECT.value, Kind.ATTRIBUTES.value), length)
)


def newest_standing(workspace: str) -> Subquery:
    """The last delivery that stands of each accession that has one."""
    return (
        select(Delivery.accession_id, func.max(Delivery.id).label("id"))
        .join(Accession, Accession.id == Delivery.accession_id)
        .where(Accession.workspace == workspace, STANDS)
        .group_by(Delivery.accession_id)
        .subquery()
    )


def other_attributes() -> ColumnElement[bool]:
    """Whether `MADE_FOR` and `ManifestRow` differ in what is said of the imaging."""
    return or_(
        MADE_FOR.imaging_type != ManifestRow.imaging_type,
        MADE_FOR.age != ManifestRow.age,
        MADE_FOR.anatomical_position != ManifestRow.anatomical_position,
    )


def differs_from_delivery() -> ColumnElement[bool]:
    """Whether `ManifestRow` asks for something else than the last delivery that stands.

    Attributes count as they are now, whether or not a run has come to the row; of settings and
    studies counts what a run noted, because only a run compares them.
    """
    newest = (
        select(func.max(Delivery.id))
        .where(Delivery.accession_id == Accession.id, STANDS)
        .correlate(Accession)
        .scalar_subquery()
    )
    made_for = (
        select(MADE_FOR.id)
        .join(Delivery, Delivery.row_id == MADE_FOR.id)
        .where(Delivery.id == newest)
        .correlate(Accession, ManifestRow)
    )
    other = or_(MADE_FOR.subject_id != ManifestRow.subject_id, other_attributes())
    return or_(
        ManifestRow.changed.not_in(_OF_THE_MANIFEST),
        and_(ManifestRow.changed != "", ~made_for.exists()),
        # One that is on its way again is going to be what its row asks for.
        and_(Accession.state == State.DELIVERED.value, made_for.where(other).exists()),
    )
