"""`locutus config import`: the reference's configuration becomes a `locutus.yaml`.

What belongs here: the file that is written, and the table of what became of each key. What does
not: what a key becomes (`reference_config/`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from locutus_dagster.cli.console import err, errors_for_people, escape, out
from locutus_dagster.errors import LocutusError

if TYPE_CHECKING:
    from locutus_dagster.reference_config import ReferenceLayer

__all__ = ["import_command"]


def import_command(
    old: Annotated[
        Path | None,
        typer.Argument(metavar="OLD.yaml", help="The reference's config.yaml.", show_default=False),
    ] = None,
    vault_path: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Read it out of Vault instead, such as namespace:/rootpath/locutus.",
        ),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which configuration of Vault's: production, develop or prod2dev. "
            "By default CURR_ENV.",
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where to write; by default where the settings are looked for. Nothing is "
            "overwritten.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would become of it; write nothing.")
    ] = False,
    file_only: Annotated[
        bool,
        typer.Option(
            "--file-only", help="Leave out what the reference's variables in the environment say."
        ),
    ] = False,
) -> None:
    """Turn the reference's configuration into a locutus.yaml, and say what became of each key."""
    with errors_for_people():
        from locutus_dagster.reference_config.writing import settings_text
        from locutus_dagster.settings import config_file

        if (old is None) == (vault_path is None):
            raise typer.BadParameter("Name the reference's config.yaml, or give --vault-path.")
        if environment is not None:
            _known(environment)
        where = f"vault:{vault_path.removeprefix('vault:')}" if vault_path else _file(old)
        path = to or config_file()
        if not dry_run and (path.exists() or path.is_symlink()):
            raise LocutusError(
                f"{path} exists already.", "Name another file with --out, or move it away first."
            )
        layer = _read(where, environment, file_only=file_only)
        text = settings_text(layer, where)
        _check(layer, text)
        if not dry_run:
            _write(path, text)
        _show(layer)
        if dry_run:
            out.print("\nNothing was written.", highlight=False)
        else:
            _tell_of_file(path, to)


def _known(environment: str) -> None:
    from locutus_dagster.reference_config.keys import ENVIRONMENTS

    if environment not in ENVIRONMENTS:
        raise typer.BadParameter(f"--environment is one of {', '.join(ENVIRONMENTS)}.")


def _file(old: Path | None) -> str:
    return str(old / "config.yaml" if old is not None and old.is_dir() else old)


def _read(where: str, chosen: str | None, *, file_only: bool) -> ReferenceLayer:
    from locutus_dagster.reference_config.layer import imported

    return imported(where, chosen, os.environ, file_only=file_only)


def _check(layer: ReferenceLayer, text: str) -> None:
    """Load what would be written, before anything is.

    Raises:
        SettingsError: it has faults; each key is named with what it came from.
    """
    from tempfile import TemporaryDirectory

    from locutus_dagster.settings import SettingsError, load_settings

    with TemporaryDirectory() as folder:
        path = Path(folder) / "locutus.yaml"
        _write(path, text)
        try:
            with _environment(LOCUTUS_CONFIG=str(path), PATH_TO_CONFIG=None):
                load_settings()
        except SettingsError as error:
            origins = [
                f"  {key} comes from {origin}"
                for key, origin in layer.origins.items()
                if key in error.message
            ]
            raise SettingsError(
                "\n".join([error.message.replace(f"{folder}/", ""), *origins]),
                "Nothing was written. Mend it in the reference's configuration, and import again.",
            ) from None


@contextmanager
def _environment(**variables: str | None) -> Iterator[None]:
    """Set variables, or unset those that are None, for a while."""
    before = {name: os.environ.get(name) for name in variables}

    def put(values: dict[str, str | None]) -> None:
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    put(variables)
    try:
        yield
    finally:
        put(before)


def _write(path: Path, text: str) -> None:
    from locutus_dagster.cli.config_file import write_privately

    write_privately(path, text, "Name another file with --out.")


def _show(layer: ReferenceLayer) -> None:
    from rich.text import Text

    from locutus_dagster.cli.tables import make_table, print_table

    became = make_table("reference key", "value", "from", "became")
    gone = make_table("without an equivalent or effect", "value", "from", "why")
    for fate in layer.fates:
        table = became if fate.became else gone
        words = ", ".join(fate.became) or fate.why
        cells = (fate.name, fate.value or '""', fate.place, words)
        table.add_row(*(Text(cell) for cell in cells))
    for table in (became, gone):
        if table.row_count:
            print_table(table)
            out.print()
    for note in layer.notes:
        err.print(f"[yellow]{escape(note)}[/yellow]", highlight=False, soft_wrap=True)


def _tell_of_file(path: Path, to: Path | None) -> None:
    out.print(f"Wrote {path}", markup=False, highlight=False, soft_wrap=True)
    if to is not None:
        out.print(
            f"It applies with LOCUTUS_CONFIG={path.absolute()}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if os.environ.get("PATH_TO_CONFIG", "").strip():
        err.print(
            "PATH_TO_CONFIG is set, so the reference's file is read as well, beneath the new one. "
            "Unset it.",
            highlight=False,
            soft_wrap=True,
        )
