"""How the ledger's schema came to be, one Alembic revision for each change.

What belongs here: `upgrade` and the revisions in `versions/`. What does not: the tables as they
are now (`schema.py`). A test holds the two against each other.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import Connection

__all__ = ["HEAD", "upgrade"]

HEAD = "0007"
_LOCK = 0x10C0705  # one process migrates at a time; the others wait, then find it done


def upgrade(connection: Connection) -> None:
    """Bring the schema behind `connection` to `HEAD`, inside its transaction."""
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
