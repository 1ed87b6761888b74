"""`locutus config`: the settings that apply, where each was said, and what is wrong with them.

What belongs here: the commands and how they print. What does not: reading and judging settings
(`settings/`), the text of a first file (`config_file.py`), the reference's configuration
(`config_import.py`).
"""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from locutus_dagster.cli.config_import import import_command
from locutus_dagster.cli.console import BROKEN, err, errors_for_people, escape, out
from locutus_dagster.cli.selecting import Workspace
from locutus_dagster.errors import LocutusError

if TYPE_CHECKING:
    from locutus_dagster.settings import Effective, Settings

__all__ = ["config_app"]

config_app = typer.Typer(
    no_args_is_help=True, help="The settings that apply: look, check, write a first file."
)
config_app.command("import")(import_command)


@config_app.command("init")
def init_command(
    orthanc: Annotated[str | None, typer.Option(help="The research PACS: Orthanc's URL.")] = None,
    username: Annotated[str | None, typer.Option(help="Orthanc's user.")] = None,
    password: Annotated[
        str | None,
        typer.Option(help="Where the password is kept: vault:PATH#KEY, env:NAME or file:/path."),
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Or: a folder of DICOM files.")] = None,
    share: Annotated[Path | None, typer.Option(help="Where deliveries go: a folder.")] = None,
    s3_bucket: Annotated[str | None, typer.Option(help="And, or: a bucket of S3.")] = None,
    gcs_bucket: Annotated[
        str | None, typer.Option(help="And, or: a bucket of Google Cloud Storage.")
    ] = None,
    workspace: Workspace = "default",
) -> None:
    """Write a commented locutus.yaml with one workspace, and its schema for editors beside it."""
    with errors_for_people():
        from locutus_dagster.cli.config_file import write_settings_file

        path = write_settings_file(
            workspace=workspace,
            orthanc=orthanc,
            username=username,
            password=password,
            folder=folder,
            share=share,
            s3_bucket=s3_bucket,
            gcs_bucket=gcs_bucket,
        )
        out.print(
            f"Wrote {path}. Next: locutus load-manifest FILE.csv", highlight=False, soft_wrap=True
        )


@config_app.command("show")
def show_command(
    workspace: Annotated[
        str | None, typer.Option("--workspace", "-w", help="Only what this project is told.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, by key.")] = False,
    with_origins: Annotated[
        bool, typer.Option("--origins/--no-origins", help="Say where each value was said.")
    ] = True,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what is said somewhere; no defaults.")
    ] = False,
    as_cfg_out: Annotated[
        bool, typer.Option("--cfg-out", help="Print CFG_OUT lines, as the reference logs them.")
    ] = False,
) -> None:
    """Print every setting that applies, and where it was said; secrets are masked."""
    with errors_for_people():
        from locutus_dagster.settings import config_file, effective, load_settings

        if as_json and as_cfg_out:
            raise typer.BadParameter("--json excludes --cfg-out.")
        settings = load_settings()
        if workspace is not None:
            settings.workspace(workspace)
        values = [
            one
            for one in effective(settings)
            if (workspace is None or one.key.startswith(f"workspaces.{workspace}."))
            and (one.changed or not changed)
        ]
        if as_json:
            _print_json(values, with_origins)
        elif as_cfg_out:
            _print_cfg_out(values)
        else:
            out.print(f"# file: {config_file()}", highlight=False, soft_wrap=True)
            _print_values(values, with_origins)
        _warn(settings)


@config_app.command("check")
def check_command(
    secrets: Annotated[
        bool,
        typer.Option("--secrets", help="Fetch what references lead to, and say whether it works."),
    ] = False,
) -> None:
    """Say everything that is wrong with the settings; exit code 1 when something is."""
    with errors_for_people():
        from locutus_dagster.settings import config_file, load_settings

        settings = load_settings()
        problems = [*_linked(settings), *_policies(settings)]
        if secrets:
            problems += _fetched(settings)
        for problem in problems:
            err.print(f"[red]{escape(problem)}[/red]", highlight=False, soft_wrap=True)
        _warn(settings)
        if problems:
            raise typer.Exit(BROKEN)
        many = len(settings.workspaces)
        out.print(
            f"The settings are sound: {config_file()}, {many} workspace{'' if many == 1 else 's'}.",
            highlight=False,
            soft_wrap=True,
        )


@config_app.command("schema")
def schema_command() -> None:
    """Print the JSON schema of locutus.yaml, for editors."""
    with errors_for_people():
        from locutus_dagster.settings.schema import schema_text

        typer.echo(schema_text(), nl=False)


# -- showing -------------------------------------------------------------------------------------


def _print_values(values: list[Effective], with_origins: bool) -> None:
    from locutus_dagster.cli.tables import make_table, print_table

    table = make_table("key", "value", *(["from"] if with_origins else []))
    for one in values:
        style = "bold" if one.changed else ""
        cells = [escape(one.key), escape(one.value)]
        table.add_row(*cells, *([escape(one.origin.place)] if with_origins else []), style=style)
    print_table(table)


def _print_json(values: list[Effective], with_origins: bool) -> None:
    shown: dict[str, object] = {}
    for one in values:
        entry: dict[str, object] = {"value": one.value, "secret": one.secret}
        if with_origins:
            entry |= {"layer": one.origin.layer, "place": one.origin.place}
        shown[one.key] = entry
    typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))


def _print_cfg_out(values: list[Effective]) -> None:
    from locutus_dagster.settings.effective import cfg_out

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(cfg_out(values))
    typer.echo(text.getvalue(), nl=False)


def _warn(settings: Settings) -> None:
    from locutus_dagster.settings.effective import warnings_of

    for warning in warnings_of(settings):
        err.print(f"[yellow]{escape(warning)}[/yellow]", highlight=False, soft_wrap=True)


# -- checking ------------------------------------------------------------------------------------


def _linked(settings: Settings) -> list[str]:
    """What collides once links are followed; loading does not ask the file system."""
    from locutus_dagster.settings.contradictions import contradictions, lexically

    def followed(path: Path) -> Path:
        return Path(os.path.realpath(lexically(path)))

    found = []
    for clash in contradictions(settings, followed):
        first, *others = (".".join(key) for key in clash.keys)
        message = clash.message.format(other=f"'{others[0]}'" if others else "")
        found.append(f"{first} (links followed): {message}")
    return found


def _policies(settings: Settings) -> list[str]:
    from locutus_dagster.pipeline.workspace_policy import workspace_policy

    def problem(name: str) -> str:
        try:
            workspace_policy(settings, name)
        except LocutusError as error:
            return f"workspaces.{name}.policy: {error}"
        return ""

    return [found for name in settings.workspaces if (found := problem(name))]


def _fetched(settings: Settings) -> list[str]:
    """Fetch each secret once; print what works, return what does not."""
    from locutus_dagster.settings.effective import references

    failed: list[str] = []
    answers: dict[str, str] = {}
    for key, reference in references(settings):
        if key.startswith("vault."):
            continue  # tried by whatever is fetched from there
        if reference not in answers:
            answers[reference] = _why_not(settings, reference)
        if why := answers[reference]:
            failed.append(f"{key}: {why}")
        else:
            out.print(f"{escape(key)}: {escape(reference)}: ok", highlight=False, soft_wrap=True)
    return failed


def _why_not(settings: Settings, reference: str) -> str:
    try:
        settings.secrets.resolve(reference)
    except LocutusError as error:
        return str(error)
    return ""
