"""The `locutus` command.

What belongs here: arguments, what is printed, exit codes. What does not: anything that does the
work. Dagster is imported inside the commands that need it, so that the others start at once.

Exit codes: 0 all fine, 2 some rows or accessions failed, 3 `deid` withheld something, 1 it could
not work, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from locutus_dagster import __version__
from locutus_dagster.cli.config import config_app
from locutus_dagster.cli.console import err, errors_for_people, out
from locutus_dagster.cli.deid import deid_command
from locutus_dagster.cli.follow_up import follow_up_command
from locutus_dagster.cli.keys import keys_app
from locutus_dagster.cli.loading import load_manifest_command
from locutus_dagster.cli.pause import pause_command, resume_command
from locutus_dagster.cli.preflight import preflight_command
from locutus_dagster.cli.preload import preload_command, preset_command
from locutus_dagster.cli.recall import recall_command
from locutus_dagster.cli.report import report_command
from locutus_dagster.cli.resolve import resolve_command
from locutus_dagster.cli.run import run_command
from locutus_dagster.cli.show import show_command
from locutus_dagster.cli.split import split_command
from locutus_dagster.cli.status import status_command
from locutus_dagster.cli.summarize import summarize_command
from locutus_dagster.cli.sweep import sweep_command
from locutus_dagster.cli.watch import watch_command

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback with local variables would print identifiers
    help="De-identify clinical radiology for research: from a manifest of accessions to a share.",
)
app.command("deid")(deid_command)
app.add_typer(keys_app, name="keys")
app.add_typer(config_app, name="config")


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        out.print(__version__, highlight=False)
        raise typer.Exit


app.command("load-manifest")(load_manifest_command)
app.command("preflight")(preflight_command)
app.command("run")(run_command)
app.command("status")(status_command)
app.command("show")(show_command)
app.command("report")(report_command)
app.command("resolve")(resolve_command)
app.command("recall")(recall_command)
app.command("pause")(pause_command)
app.command("resume")(resume_command)
app.command("sweep")(sweep_command)
app.command("split")(split_command)
app.command("summarize")(summarize_command)
app.command("follow-up")(follow_up_command)
app.command("preload")(preload_command)
app.command("preset")(preset_command)
app.command("watch")(watch_command)


@app.command("ui")
def ui_command(
    port: Annotated[int, typer.Option(help="The port on this machine.")] = 3000,
) -> None:
    """Open Dagster's webserver and daemon on this instance (until Ctrl-C)."""
    with errors_for_people():
        from locutus_dagster.defs.instance import open_instance
        from locutus_dagster.defs.pools import apply_pool_limits, bury_dead_runs
        from locutus_dagster.settings import load_settings

        settings = load_settings()
        with open_instance(settings) as instance:
            bury_dead_runs(instance)
            apply_pool_limits(instance, settings)
        os.environ["LOCUTUS_HOME"] = str(settings.home)
        out.print(f"Dagster on http://127.0.0.1:{port} (Ctrl-C ends it)", highlight=False)
        command = [sys.executable, "-m", "dagster", "dev", "-m", "locutus_dagster.definitions"]
        os.execv(sys.executable, [*command, "-h", "127.0.0.1", "-p", str(port)])  # noqa: S606


@app.command("demo")
def demo_command(
    folder: Annotated[Path, typer.Option(help="Where to build it; made anew each time.")] = Path(
        "demo"
    ),
) -> None:
    """Build a small research PACS, process a manifest against it, and show what came of it."""
    with errors_for_people():
        from locutus_dagster.cli.demo import show_demo

        raise typer.Exit(show_demo(folder, out, err))


if __name__ == "__main__":
    app()
