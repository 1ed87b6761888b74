"""Ledgers as earlier versions of the program left them, with content, in plain SQL.

Written with the statements of their time: today's tables know more columns than those did.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, inspect, text

from locutus_dagster.ledger import migrations

__all__ = ["ACCESSIONS", "alembic_config", "content", "ledger_at"]

AT = "2026-11-01 08:00:00.000000"
#: Accession number and state; the database counts them from 1.
ACCESSIONS = [
    ("ACC1", "delivered"),
    ("ACC2", "deidentified"),
    ("ACC3", "failed"),
    ("ACC4", "pending"),
    ("ACC5", "loaded"),
]
Row = Mapping[str, object]


def alembic_config() -> Config:
    """Alembic, with this program's revisions."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


def ledger_at(revision: str, url: str) -> None:
    """Make the ledger that a program of `revision` would have left at `url`."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir()
    config = alembic_config()
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for table, rows in _content(revision).items():
            for row in rows:
                _insert(connection, table, row)
    engine.dispose()


def content(url: str) -> dict[str, list[dict[str, object]]]:
    """Every row of every table, as the database tells it without the program."""
    engine = create_engine(url)
    with engine.connect() as connection:
        tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
        found = {
            table: [
                dict(row) for row in connection.execute(text(f'SELECT * FROM "{table}"')).mappings()
            ]
            for table in sorted(tables)
        }
    engine.dispose()
    return found


def _insert(connection: Connection, table: str, row: Row) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    zone = "+00" if connection.dialect.name == "postgresql" else ""
    values = {name: f"{AT}{zone}" if value == AT else value for name, value in row.items()}
    places = ", ".join(f":{name}" for name in row)
    connection.execute(text(f'INSERT INTO "{table}" ({names}) VALUES ({places})'), values)


def _content(revision: str) -> dict[str, list[Row]]:
    tables: dict[str, list[Row]] = {
        "workspace": [{"name": "ws", "key_id": "1-0a1b2c3d", "created_at": AT}],
        "manifest": [
            {
                "workspace": "ws",
                "name": "old",
                "sha256": "0" * 64,
                "columns": '{"columns": ["SUBJECT_ID", "ACCESSION_NUM"]}',
                "loaded_at": AT,
            }
        ],
        "accession": [_accession(number, state) for number, state in ACCESSIONS],
        "manifest_row": [
            *(_row(number) for number in range(1, len(ACCESSIONS) + 1)),
            {**_row(6), "partition_key": None, "accession_id": None, "rejected": "no number"},
        ],
        "artifact": [
            _artifact("raw", deleted_at=AT),
            _artifact("deidentified", deleted_at=None),
        ],
        "delivery": [
            {
                "accession_id": 1,
                "target": "share",
                "uri": "file:///share/one.zip",
                "sha256": "3" * 64,
                "size": 4_000_000_000,
                "instances": 5,
                "fingerprint": "4" * 64,
                "delivered_at": AT,
            }
        ],
        "disposition": [
            _disposition(1, "delivered", "", 5),
            _disposition(1, "withheld", "structured report", 2),
            _disposition(2, "delivered", "", 3),
        ],
        "event": [
            _event(1, "loaded", "extracted"),
            _event(1, "extracted", "deidentified"),
            _event(1, "deidentified", "delivered"),
            _event(3, "loaded", "failed", phase=3, reason="no answer"),
        ],
    }
    if revision != "0001":
        tables["deid_report"] = [_report(1), _report(2)]
    if revision >= "0003":
        tables["announcement"] = [
            {
                "target": "share",
                "uri": "file:///share/two.zip",
                "accession_id": 1,
                "announced_at": AT,
            }
        ]
    return tables


def _accession(number: str, state: str) -> Row:
    delivered = state == "delivered"
    return {
        "workspace": "ws",
        "accession_number": number,
        "state": state,
        "phase": 3 if state == "failed" else None,
        "reason": "no answer" if state == "failed" else "",
        "source_study": "handle" if delivered else None,
        "source_fingerprint": "2" * 64 if delivered else None,
        "study_uid": "2.25.1" if delivered else None,
        "study_token": "token" if delivered else None,
        "instances": 7 if delivered else None,
        "delivered": 5 if delivered else None,
        "withheld": 2 if delivered else None,
        "run_id": "run-1" if state != "loaded" else None,
        "updated_at": AT,
    }


def _row(number: int) -> Row:
    return {
        "manifest_id": 1,
        "workspace": "ws",
        "row_number": number,
        "line": number + 1,
        "partition_key": f"old~{number:06d}",
        "accession_id": number,
        "subject_id": f"S{number}",
        "imaging_type": "CT",
        "age": "4000",
        "anatomical_position": "HEAD",
        "deid_qc_status": "",
        "extra": '{"SITE": "north"}',
        "rejected": "",
        "rejected_column": "",
    }


def _artifact(kind: str, deleted_at: str | None) -> Row:
    return {
        "accession_id": 2,
        "kind": kind,
        "host": "here",
        "path": f"a/{kind}.zip",
        "sha256": "1" * 64,
        "size": 5_000_000_000,
        "instances": 3,
        "fingerprint": "2" * 64,
        "created_at": AT,
        "deleted_at": deleted_at,
    }


def _disposition(accession_id: int, fate: str, reason: str, instances: int) -> Row:
    return {
        "accession_id": accession_id,
        "sop_class": "1.2.840.10008.5.1.4.1.1.2",
        "modality": "CT",
        "disposition": fate,
        "reason": reason,
        "instances": instances,
        "policy_fingerprint": "5" * 16,
    }


def _event(
    accession_id: int, before: str, after: str, phase: int | None = None, reason: str = ""
) -> Row:
    return {
        "accession_id": accession_id,
        "at": AT,
        "before": before,
        "after": after,
        "phase": phase,
        "reason": reason,
        "run_id": "run-1",
    }


def _report(accession_id: int) -> Row:
    return {
        "accession_id": accession_id,
        "policy_name": "research",
        "policy_fingerprint": "5" * 16,
        "key_id": "1-0a1b2c3d",
        "engine_version": "0.2",
        "created_at": AT,
        "report": b"\x1f\x8b\x00 of study " + str(accession_id).encode(),
    }
