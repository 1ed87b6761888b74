"""What scale is measured on: a manifest, a source, and a ledger in the middle of its life.

What belongs here: made-up rows, studies and histories, the same each time. What does not: what is
done with them (`scale_steps.py`).
"""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import Table, bindparam, insert, update

from locutus_dagster.ledger import Ledger, Phase, State, WorkItem
from locutus_dagster.ledger.fingerprints import fingerprint_of
from locutus_dagster.ledger.schema import Accession, Artifact, Delivery, Disposition, Event
from locutus_dagster.ledger.selection import Selection
from locutus_dagster.manifests import MANIFEST_COLUMNS
from locutus_dagster.manifests.bulk import in_pieces
from locutus_dagster.pipeline.fingerprints import delivery_made_from, usable_key_ids
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.sources.base import FetchReceipt, FoundStudy, InstanceSink, StudyOverview
from locutus_dagster.targets.keys import delivery_key

__all__ = ["FakeSource", "accession_number", "spread", "subject_of", "write_manifest"]

_CT, _MR, _SR = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.88.11",
)
_POSITIONS = ("HEAD", "CHEST", "ABDOMEN", "PELVIS", "SPINE CERVICAL", "KNEE LEFT", "HAND RIGHT")
_SIZE = 4_000_000  # bytes of every delivery; the files on the share are holes of that size
_FAILURES = (
    (Phase.EXTRACT, "the source stopped answering while the study was fetched"),
    (Phase.EXTRACT, "the study changed while it was fetched"),
    (Phase.EXTRACT, "fewer instances arrived than the source lists"),
    (Phase.EXTRACT, "the scratch space has no room for the study"),
    (Phase.TRANSFORM, "every instance is withheld: burned-in annotation"),
    (Phase.TRANSFORM, "every instance is withheld: modality not let through"),
    (Phase.TRANSFORM, "two patients in one study"),
    (Phase.TRANSFORM, "an instance is not DICOM"),
    (Phase.TRANSFORM, "an identifier is left in the output"),
    (Phase.DELIVER, "the share refused the file (ENOSPC)"),
    (Phase.DELIVER, "the share refused the file (EACCES)"),
    (Phase.DELIVER, "another accession has been delivered to the same place"),
)


# -- the manifest ------------------------------------------------------------------------------


def accession_number(index: int) -> str:
    """The accession that row `index`, from 0, names unless it is a duplicate."""
    return f"E{17_000_000 + index * 7}"


def subject_of(index: int) -> str:
    """The research identity of row `index`; each has three rows."""
    return f"C{index // 3 + 1:07d}"


def write_manifest(path: Path, rows: int) -> None:
    """A manifest of so many data rows, of which 1 % are duplicates and 0.5 % unacceptable."""
    chance = random.Random(2026)
    with path.open("w", encoding="utf-8") as stream:
        stream.write(",".join(MANIFEST_COLUMNS) + "\n")
        for index in range(rows):
            subject, number = subject_of(index), accession_number(index)
            age = str(chance.randint(1, 7000))
            match index % 1000:
                case 5 | 205 | 405 | 605 | 805:
                    subject, number, age = chance.choice(
                        (("", number, age), (subject, "E17*", age), (subject, number, "12 years"))
                    )
                case rest if rest % 100 == 50:
                    number = accession_number(index - 50)
            position = chance.choice(_POSITIONS)
            stream.write(f"{subject},Radiology,{age},{position},{number},,\n")


# -- the source --------------------------------------------------------------------------------


def study_of(accession_number: str, which: int = 0) -> FoundStudy:
    """A study of an accession, as the source describes it."""
    instances = 20 + zlib.crc32(accession_number.encode()) // 100 % 600
    name = f"{accession_number}/{which}"
    digest = hashlib.sha256(name.encode()).hexdigest()
    return FoundStudy(name, instances, instances * 300_000, digest)


class FakeSource:
    """A source that makes its answers up from the accession number, without waiting.

    Of a hundred accessions three have no study, and one has two.
    """

    def check(self) -> dict[str, object]:
        """It can always be used."""
        return {}

    def find(self, accession_number: str) -> list[FoundStudy]:
        """One study in most cases."""
        chance = zlib.crc32(accession_number.encode())
        studies = {0: 0, 1: 0, 2: 0, 3: 2}.get(chance % 100, 1)
        return [study_of(accession_number, which) for which in range(studies)]

    def overview(self, study: FoundStudy) -> StudyOverview:
        """CT or MR images, and a report, which is not let through."""
        kind = (_CT, "CT") if study.instances % 2 else (_MR, "MR")
        kinds = {kind: study.instances - 1, (_SR, "SR"): 1}
        return StudyOverview(4, kinds, (study.source_id.partition("/")[0],))

    def fetch(self, study: FoundStudy, sink: InstanceSink) -> FetchReceipt:
        """Nothing is ever fetched from it."""
        raise SystemExit("a study was to be fetched: no figure")

    def close(self) -> None:
        """There is nothing to release."""


# -- the ledger --------------------------------------------------------------------------------


def spread(parts: Parts) -> None:
    """Bring accessions into states, with the history that belongs to each.

    70 % are delivered, with a delivery that stands and is on the share; 20 % are pending, 5 % have
    failed, and the rest is as loaded. Their last changes lie within thirty days.
    """
    items = parts.ledger.select(parts.workspace, Selection())
    made = _Made(parts, datetime.now(timezone.utc), timedelta(days=30) / len(items))
    changed = (
        update(_ACCESSIONS)
        .where(_ACCESSIONS.c.id == bindparam("which"))
        .values({name: bindparam(f"new_{name}") for name in _STANDS})
    )
    for some in in_pieces(enumerate(items)):
        with parts.ledger.session() as session:
            stands = list(filter(None, (made.stands(*one) for one in some)))
            session.connection().execute(changed, stands)
            for table in (Delivery, Artifact, Disposition, Event):
                rows = [row for one in some for row in made.rows(table.__tablename__, *one)]
                whole: Table = table.__table__  # type: ignore[assignment]
                session.connection().execute(insert(whole), rows)
    _analysed(parts.ledger)


_ACCESSIONS: Table = Accession.__table__  # type: ignore[assignment]
_STANDS = (
    "state",
    "phase",
    "reason",
    "source_study",
    "source_fingerprint",
    "study_uid",
    "study_token",
    "instances",
    "delivered",
    "withheld",
    "run_id",
    "row_id",
    "updated_at",
)


class _Made:
    """Columns, made up for one item after the other."""

    def __init__(self, parts: Parts, now: datetime, apart: timedelta) -> None:
        self._parts = parts
        self._now = now
        self._apart = apart
        self._key = usable_key_ids(parts)[-1]

    def stands(self, index: int, item: WorkItem) -> dict[str, Any] | None:
        """What the accession's own row says, None for one that stays as loaded."""
        state = _state(index)
        if state is State.LOADED:
            return None
        values: dict[str, Any] = dict.fromkeys(_STANDS)
        values |= {"state": state.value, "reason": "", "run_id": f"run-{index // 50}"}
        values |= {"row_id": item.row_id, "updated_at": self._at(index)}
        if state is State.FAILED:
            phase, values["reason"] = _FAILURES[index // 20 % len(_FAILURES)]
            values["phase"] = int(phase)
        if state is State.DELIVERED:
            study = study_of(item.accession_number)
            values |= {
                "source_study": study.source_id,
                "source_fingerprint": study.fingerprint,
                "study_uid": f"2.25.{int(study.fingerprint[:30], 16)}",
                "study_token": study.fingerprint[:32],
                "instances": study.instances,
                "delivered": study.instances - 1,
                "withheld": 1,
            }
        return {"which": item.accession_id, **{f"new_{k}": v for k, v in values.items()}}

    def rows(self, table: str, index: int, item: WorkItem) -> Iterable[dict[str, Any]]:
        """The accession's rows in another table."""
        state = _state(index)
        if table == "event":
            return self._events(index, item, state)
        if state is not State.DELIVERED:
            return ()
        study = study_of(item.accession_number)
        if table == "delivery":
            return [self._delivery(index, item, study)]
        if table == "artifact":
            return self._artifacts(index, item, study)
        return self._dispositions(item, study)

    def _at(self, index: int) -> datetime:
        return self._now - self._apart * index

    def _delivery(self, index: int, item: WorkItem, study: FoundStudy) -> dict[str, Any]:
        target = self._parts.workspace_settings.targets["share"]
        key = delivery_key(
            target.key_template,
            top=target.top,
            subject_id=item.subject_id,
            imaging_type=item.imaging_type,
            age=item.age,
            anatomical_position=item.anatomical_position,
            study=study.fingerprint[:32],
        )
        _hole(target.path / key)
        # One of two hundred was another study when it was delivered.
        source = study.fingerprint if index % 200 else "0" * 64
        made_from = delivery_made_from(source, item, self._parts, self._key, "share")
        return {
            "accession_id": item.accession_id,
            "target": "share",
            "uri": (target.path / key).as_uri(),
            "sha256": study.fingerprint,
            "size": _SIZE,
            "instances": study.instances - 1,
            "fingerprint": fingerprint_of(made_from),
            "made_from": made_from,
            "row_id": item.row_id,
            "run_id": f"run-{index // 50}",
            "delivered_at": self._at(index),
        }

    def _artifacts(self, index: int, item: WorkItem, study: FoundStudy) -> Iterator[dict[str, Any]]:
        for kind in ("raw", "deidentified"):
            yield {
                "accession_id": item.accession_id,
                "kind": kind,
                "host": "imaging-1",
                "path": f"/scratch/default/{item.accession_id}/{kind}.zip",
                "sha256": study.fingerprint,
                "size": study.size,
                "instances": study.instances,
                "fingerprint": study.fingerprint,
                "made_from": {"source": study.fingerprint},
                "created_at": self._at(index),
                "deleted_at": self._at(index),
            }

    def _dispositions(self, item: WorkItem, study: FoundStudy) -> Iterator[dict[str, Any]]:
        for kind, fate, reason, instances in (
            ((_CT, "CT"), "delivered", "", study.instances - 1),
            ((_SR, "SR"), "withheld", "modality not let through", 1),
        ):
            yield {
                "accession_id": item.accession_id,
                "sop_class": kind[0],
                "modality": kind[1],
                "disposition": fate,
                "reason": reason,
                "instances": instances,
                "policy_fingerprint": self._parts.policy.fingerprint,
            }

    def _events(self, index: int, item: WorkItem, state: State) -> Iterator[dict[str, Any]]:
        way = {
            State.DELIVERED: (State.LOADED, State.EXTRACTED, State.DEIDENTIFIED, State.DELIVERED),
            State.PENDING: (State.LOADED, State.PENDING, State.PENDING, State.PENDING),
            State.FAILED: (State.LOADED, State.PENDING, State.FAILED, State.FAILED),
        }.get(state, ())
        for before, after in pairwise(way):
            phase, reason = _FAILURES[index // 20 % len(_FAILURES)]
            failed = after is State.FAILED
            yield {
                "accession_id": item.accession_id,
                "at": self._at(index),
                "before": before.value,
                "after": after.value,
                "phase": int(phase) if failed else None,
                "reason": reason if failed else "",
                "run_id": f"run-{index // 50}",
                "settings": "0123456789abcdef",
                "row_id": item.row_id,
            }


def _state(index: int) -> State:
    at = index % 20
    if at < 14:
        return State.DELIVERED
    return {18: State.FAILED, 19: State.LOADED}.get(at, State.PENDING)


def _hole(path: Path) -> None:
    """A file of the size of a delivery that takes no room; kept from one database to the next."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.truncate(_SIZE)


def _analysed(ledger: Ledger) -> None:
    """Let PostgreSQL count its tables now; in real life its daemon does, within a minute."""
    with ledger.session() as session:
        if session.get_bind().dialect.name == "postgresql":
            for table in Accession.metadata.sorted_tables:
                session.connection().exec_driver_sql(f'ANALYZE "{table.name}"')
