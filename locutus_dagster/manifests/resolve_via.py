"""The column RESOLVE_VIA: how a manifest says what is done about several studies.

What belongs here: whether a cell holds a command, and the one way of writing it that the ledger
keeps. What does not: what a command comes to (`pipeline/resolution_commands.py`).
"""

from __future__ import annotations

import re

from locutus_dagster.ledger.resolutions import ResolveCommand

__all__ = ["COMMANDS", "canonical_command"]

_CHOOSE = ResolveCommand.CHOOSE.value
_PLAIN = {c.value.casefold(): c.value for c in ResolveCommand if c is not ResolveCommand.CHOOSE}
_NAMED = re.compile(rf"{_CHOOSE}\s*:\s*uuid\s*=\s*(\S+)", re.IGNORECASE)

#: The commands as they are written.
COMMANDS = (*_PLAIN.values(), f"{_CHOOSE}:uuid=<study>")


def canonical_command(cell: str) -> str | None:
    """A command as the ledger keeps it, empty for none; None when the cell holds no command.

    Case does not matter, but for the study that CHOOSE_LOCALLY names, which is kept as written.
    """
    named = _NAMED.fullmatch(cell)
    if named:
        return f"{_CHOOSE}:uuid={named[1]}"
    return _PLAIN.get(cell.casefold()) if cell else ""
