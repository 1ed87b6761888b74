"""What all commands have in common: where they print, how they fail, and their exit codes.

What belongs here: the two consoles and the translation of errors into one message and an exit code.
What does not: any command (`app.py`, `deid.py`, `keys.py`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from locutus_dagster.errors import LocutusError, describe_unexpected

__all__ = [
    "BROKEN",
    "FAILED",
    "INTERRUPTED",
    "UNREAD",
    "WITHHELD",
    "err",
    "errors_for_people",
    "escape",
    "out",
]

out = Console()
err = Console(stderr=True)

#: Exit codes: it could not work; some rows or accessions failed; `deid` withheld something; Ctrl-C.
BROKEN, FAILED, WITHHELD, INTERRUPTED = 1, 2, 3, 130
#: As for a program that ended by SIGPIPE.
UNREAD = 141

_GO_ON = "Interrupted. What was finished is kept; run again to go on."


@contextmanager
def errors_for_people(interrupted: str = _GO_ON) -> Iterator[None]:
    """Print an error as one message, never as a traceback, and exit accordingly.

    Args:
        interrupted: what is said after Ctrl-C.
    """
    try:
        yield
    except LocutusError as error:
        err.print(f"[red]{escape(error.message)}[/red]", highlight=False, soft_wrap=True)
        if error.hint:
            err.print(escape(error.hint), highlight=False)
        raise typer.Exit(BROKEN) from None
    except KeyboardInterrupt:
        err.print(interrupted)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever reads has seen enough (`| head`); nothing must be flushed there any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(UNREAD) from None
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence for identifiers
        err.print(f"[red]{escape(describe_unexpected(error))}[/red]", highlight=False)
        err.print("This is a bug; please report the line above (it identifies nobody).")
        raise typer.Exit(BROKEN) from None


def escape(text: str) -> str:
    """Return a text so that rich prints it as it is."""
    from rich.markup import escape as escaped

    return escaped(text)
