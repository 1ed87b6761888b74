"""`locutus keys`: make, extend and look at a key file.

What belongs here: writing the file, and what is printed. What does not: what stands in it and what
follows from it (`deid/identities/keys.py`). A secret is never printed.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from locutus_dagster.cli.console import err, errors_for_people, out
from locutus_dagster.errors import LocutusError

__all__ = ["keys_app"]

keys_app = typer.Typer(
    no_args_is_help=True, help="The key file that pseudonyms and date shifts follow from."
)
KeyFile = Annotated[Path, typer.Argument(help="The key file.", show_default=False)]

_HEADER = "# A key file of Locutus on Dagster. Whoever has it can link pseudonyms to patients.\n"
_NOTHING_DONE = "Interrupted. The key file is as it was."


@keys_app.command("new")
def new_command(file: KeyFile) -> None:
    """Write a new key file that only you can read; an existing file is never touched."""
    with errors_for_people(_NOTHING_DONE):
        from locutus_dagster.deid.identities.keys import KeyRing, new_secret

        _create(file, f"{_HEADER}1 {new_secret()}\n")
        out.print(f"Key {KeyRing.read(file).current.key_id}", highlight=False)
        err.print(
            "[yellow]Back the file up and guard it: without it nobody can make the same "
            "pseudonyms again, and with it pseudonyms can be linked to patients.[/yellow]",
            highlight=False,
        )


@keys_app.command("rotate")
def rotate_command(file: KeyFile) -> None:
    """Add a new key, which becomes the current one; the older keys stay in the file."""
    with errors_for_people(_NOTHING_DONE):
        from locutus_dagster.deid.identities.keys import KeyRing, rotated
        from locutus_dagster.durable_files import alone_in

        KeyRing.read(file)  # a fault of the file comes before any of its folder's
        file = file.resolve()  # a symbolic link stays one
        with alone_in(file.parent):  # of two who rotate at once, none loses the other's key
            before = KeyRing.read(file).current.key_id  # also: nobody else can read it
            _replace(file, rotated(file.read_bytes().decode("utf-8")))
            after = KeyRing.read(file).current.key_id
        out.print(f"Key {after} follows key {before}.", highlight=False)
        err.print(
            "[yellow]What is delivered from now on has other pseudonyms and other dates than "
            "what was delivered with the older key. Back the file up.[/yellow]",
            highlight=False,
        )


@keys_app.command("show")
def show_command(file: KeyFile) -> None:
    """Print the public names of the keys, oldest first; never a secret."""
    with errors_for_people():
        from locutus_dagster.deid.identities.keys import KeyRing

        ring = KeyRing.read(file)
        for key_id in ring.key_ids:
            out.print(
                f"{key_id}  current" if key_id == ring.current.key_id else key_id, highlight=False
            )


def _create(path: Path, text: str) -> None:
    """Write a file that was not there before, mode 0600.

    Raises:
        LocutusError: something is there, or it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise LocutusError(
            f"{path} exists already.",
            "Choose another name, or add a key to it with: locutus keys rotate FILE",
        ) from None
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
    except BaseException as error:
        with suppress(OSError):
            path.unlink()
        if isinstance(error, OSError):
            raise _cannot_write(path, error) from None
        raise


def _replace(path: Path, text: str) -> None:
    """Put a whole new file in the place of one, with its mode and owner.

    Raises:
        LocutusError: it cannot be written.
    """
    from locutus_dagster.durable_files import atomic_file

    try:
        known = path.stat()
        with atomic_file(path, stat.S_IMODE(known.st_mode)) as stream:
            if os.geteuid() == 0:
                os.fchown(stream.fileno(), known.st_uid, known.st_gid)
            stream.write(text.encode("utf-8"))
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> LocutusError:
    return LocutusError(
        f"{path} cannot be written ({error.strerror}).", "Name a file in a folder that is yours."
    )
