"""`locutus deid`: de-identify a file, a folder or a zip, without any of the pipeline.

What belongs here: arguments, notices, the progress bar and the closing table. What does not: the
work (`deid/collections/`, `deid/explain.py`).

Exit codes: 0 all was de-identified, 3 something was withheld, 1 it could not work, 130 interrupted.
Nothing printed identifies anybody: neither names of files nor values.
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from locutus_dagster.cli.console import WITHHELD, err, errors_for_people, escape, out
from locutus_dagster.errors import LocutusError

if TYPE_CHECKING:
    from locutus_dagster.deid import Policy, Pseudonyms
    from locutus_dagster.deid.collections.work import CollectionWork, Progress

__all__ = ["deid_command"]

_INTERRUPTED = "Interrupted. Nothing is left half-written."
#: Open files that the system is asked for, since each file that is worked on holds one.
_OPEN_FILES = 65_536


def deid_command(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A DICOM file, a folder or a zip.")
    ],
    output: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUTPUT",
            help="A file, a folder or a zip (*.zip); it must not exist, but for an empty folder.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        str,
        typer.Option(metavar="NAME|FILE", help="A shipped policy, or a file (.yaml, .dat)."),
    ] = "basic",
    subject_id: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="The research identity, if INPUT is about one patient. "
            "Default: one made for each patient from the key.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="F",
            help="Key file for pseudonyms and dates (see: locutus keys). "
            "Default: a key for this run only.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="List what became of each file, by its position in INPUT: of a folder in the "
            "order of the sorted paths, of a zip in its own. File names can identify and are "
            "not listed.",
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Write nothing; print what would happen to each element of one file, and why.",
        ),
    ] = False,
) -> None:
    """De-identify a file, a folder or a zip; exit code 3 if something was withheld."""
    if not explain and output is None:
        raise typer.BadParameter("OUTPUT is missing", param_hint="OUTPUT")
    with errors_for_people(_INTERRUPTED):
        if explain or output is None:
            withheld = _explain(source, policy, subject_id, key_file)
        else:
            withheld = _deidentify(source, output, policy, subject_id, key_file, report)
        if withheld:
            raise typer.Exit(WITHHELD)


def _explain(source: Path, policy_name: str, subject_id: str | None, key_file: Path | None) -> bool:
    """Print what would happen to a file; return whether it would be withheld."""
    from locutus_dagster.cli.explaining import print_explanation
    from locutus_dagster.deid.collections.inputs import InputKind, input_kind, open_input
    from locutus_dagster.deid.explain import explain
    from locutus_dagster.deid.faults import UnreadableError

    if input_kind(source) is not InputKind.FILE:
        raise LocutusError(
            "Only single files can be explained.", "Name one of the DICOM files as INPUT."
        )
    policy = _policy(policy_name)
    pseudonyms = _pseudonyms(key_file)
    with open_input(source) as files:
        try:
            data = files.read(0)
        except UnreadableError:
            raise LocutusError("INPUT cannot be read.", "Look at its permissions.") from None
        explanation = explain(data, policy, pseudonyms, subject_id)
    print_explanation(explanation, policy)
    return bool(explanation.reason)


def _deidentify(
    source: Path,
    output: Path,
    policy_name: str,
    subject_id: str | None,
    key_file: Path | None,
    report: Path | None,
) -> bool:
    """Do the work; return whether anything was withheld."""
    from locutus_dagster.deid.collections.inputs import input_kind, open_input
    from locutus_dagster.deid.collections.outputs import (
        check_new_file,
        check_output,
        open_output,
        output_kind,
    )
    from locutus_dagster.deid.collections.report import report_csv
    from locutus_dagster.deid.collections.work import CollectionWork

    kind = output_kind(output, input_kind(source))
    check_output(output, kind, source)
    if report is not None:
        check_new_file(report, "The report", source)
        if report.resolve() == output.resolve():
            raise LocutusError("OUTPUT and report are the same file.", "Name another report.")
    policy = _policy(policy_name)
    pseudonyms = _pseudonyms(key_file)
    _say_which_key(policy, key_file)
    _allow_open_files()
    with ExitStack() as stack:
        # Outermost: the list gets its name last, after everything that it lists.
        listing = stack.enter_context(_report_file(report))
        files = stack.enter_context(open_input(source))
        progress = stack.enter_context(_progress_bar())
        work = CollectionWork(files, policy, pseudonyms, subject_id, progress)
        work.survey()
        size, count = files.size, len(files)
        with open_output(output, kind, expected_size=size, expected_members=count) as write:
            write(work.deliver())
            if listing is not None:
                listing.write(report_csv(work.outcomes, policy).encode("utf-8"))
    _show(work, policy)
    if files.links:
        err.print(f"[yellow]{files.links} symbolic links in INPUT were not followed.[/yellow]")
    return any(one.withheld for one in work.outcomes)


def _policy(name: str) -> Policy:
    """Return a policy; what it does differently from a spec file is said."""
    from locutus_dagster.deid import load_policy
    from locutus_dagster.deid.policies.spec_file import convert_spec_file

    policy = load_policy(name)
    if name.lower().endswith(".dat"):
        for note in convert_spec_file(Path(name)).notes:
            err.print(f"[yellow]{escape(note)}[/yellow]", highlight=False, soft_wrap=True)
    return policy


def _pseudonyms(key_file: Path | None) -> Pseudonyms:
    """Return the key: the current one of the file, or one of this run's own."""
    from locutus_dagster.deid import Pseudonyms
    from locutus_dagster.deid.identities.keys import KeyRing

    if key_file is None:
        return Pseudonyms.fresh()
    if not key_file.exists():
        raise LocutusError(
            "There is no such key file.",
            "Look at its spelling, or make one: openssl rand -hex 32 > key; chmod 600 key",
        )
    return KeyRing.read(key_file).current


def _say_which_key(policy: Policy, key_file: Path | None) -> None:
    notice = ""
    if policy.settings.identities == "fresh":
        if key_file is not None:
            notice = "The policy asks for fresh identities: the key file is not used."
    elif key_file is None:
        notice = (
            "Identities and dates follow from a key of this run only, which is kept nowhere. "
            "To get the same ones again: locutus keys new FILE, then --key-file FILE."
        )
    if notice:
        err.print(f"[yellow]{notice}[/yellow]", highlight=False, soft_wrap=True)


def _allow_open_files() -> None:
    """Raise the soft limit of open files, where the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # without it, files are read instead of mapped
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def _report_file(path: Path | None) -> Iterator[BinaryIO | None]:
    from locutus_dagster.deid.collections.outputs import whole_file

    if path is None:
        yield None
        return
    try:
        with whole_file(path) as stream:
            yield stream
    except OSError as error:
        raise LocutusError(
            f"The report cannot be written ({error.strerror}).",
            "Look at the free space and the permissions there.",
        ) from None


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    """Show a progress bar, if standard error is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=err, transient=True, disable=not err.is_terminal
    ) as bar:
        tasks = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield show


def _show(work: CollectionWork, policy: Policy) -> None:
    """Print the closing table."""
    from locutus_dagster.cli.lines import print_lines
    from locutus_dagster.deid.collections.work import count_by_reason
    from locutus_dagster.deid.standard.names import sop_class_name

    outcomes = work.outcomes
    rows, colours = [], []
    for disposition, reason, sop_class, count in count_by_reason(outcomes):
        name = sop_class_name(sop_class) or sop_class or "-"
        rows.append((f"{count:5}", disposition, reason or "-", name))
        colours.append("yellow" if reason else "green")
    print_lines(("files", "disposition", "reason", "SOP class"), rows, colours)
    places = Counter(place for one in outcomes for place in one.residue)
    if places:
        out.print("\nWhere an identifier would have been left:")
        for place, count in sorted(places.items()):
            out.print(f"  {place}  in {count} files", highlight=False, markup=False)
    done = sum(not one.withheld for one in outcomes)
    studies = "1 study" if work.studies == 1 else f"{work.studies} studies"
    keys = ", ".join(sorted({one.key_id for one in outcomes if one.key_id})) or "none used"
    out.print(
        f"\n{done} of {len(outcomes)} files of {studies} de-identified: "
        f"policy {escape(policy.name)} ({policy.fingerprint}), key {keys}.",
        highlight=False,
        soft_wrap=True,
    )
