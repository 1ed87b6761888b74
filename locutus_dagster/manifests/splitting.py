"""Splitting a manifest's file into several, each with the header, nothing dropped.

What belongs here: which lines go into which part, and the parts' names. What does not: whether a
row is acceptable (`reading.py`); one that is not is carried along.

A loaded manifest hardly needs it: a backfill makes runs of `batch_size` rows by itself. It is for
those who share a manifest out between machines or people.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from locutus_dagster.durable_files import atomic_file
from locutus_dagster.manifests.lines import fields_of, physical_lines
from locutus_dagster.manifests.reading import ManifestError, read_bytes, read_header

__all__ = ["SplitPart", "parts_of", "split_manifest"]

_SUFFIX = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")


@dataclass(frozen=True)
class SplitPart:
    """A part as it was written.

    Attributes:
        rows: data rows, acceptable or not.
        first_line: of its first data row, in the file that was split.
        last_line: of its last one.
    """

    path: Path
    rows: int
    first_line: int
    last_line: int


def split_manifest(
    path: Path,
    out_folder: Path,
    *,
    parts: int | None = None,
    max_rows: int | None = None,
    suffix: str,
    force: bool = False,
) -> tuple[SplitPart, ...]:
    """Write `<name>.<suffix>_subbatch01.csv` and so on into `out_folder`.

    Every line is kept as it is, byte by byte. What stands before the header is in each part, as
    is the header; comments and blank lines between rows stay with the row that follows, and those
    at the end with the last row.

    Args:
        parts: how many, of sizes that differ by one at most; fewer when there are fewer rows.
        max_rows: data rows in each part, as many as possible. Exactly one of the two.
        force: replace parts of an earlier splitting.

    Returns:
        The parts, in the file's order.

    Raises:
        ManifestError: the file is no manifest or has no rows, a number or the suffix will not do,
            or there are parts already: then nothing has been written. Or a part cannot be written.
    """
    number = parts if max_rows is None else max_rows
    if number is None or (parts is not None and max_rows is not None):
        raise ManifestError(
            "Say either how many parts or how many rows in each.", "Use --parts or --max-rows."
        )
    if number < 1:
        raise ManifestError("There is nothing to split into.", "Give a number from 1.")
    if not _SUFFIX.fullmatch(suffix):
        raise ManifestError(
            "The suffix will not do: use up to 40 letters, digits, dot, dash or underscore, the "
            "first a letter or digit.",
            "It becomes part of file names, so it must identify nobody.",
        )
    mark, lines = physical_lines(read_bytes(path))
    places = [at for at, line in enumerate(lines) if fields_of(line) is not None]
    read_header(path.name, ((at + 1, fields_of(lines[at]) or "") for at in places[:1]))
    if len(places) < 2:
        raise ManifestError(f"{path.name} has no data rows.", "There is nothing to split.")
    start, *rows = (at + 1 for at in places)  # each row's lines end here; `start`: the header's
    sizes = _even(len(rows), number) if max_rows is None else _full(len(rows), number)
    stem = f"{path.stem}.{suffix}_subbatch"
    width = max(2, len(str(len(sizes))))
    targets = [out_folder / f"{stem}{n:0{width}d}.csv" for n in range(1, len(sizes) + 1)]
    _prepare(out_folder, parts_of(path, out_folder, suffix), force)
    top = [mark, *lines[:start]]
    made: list[SplitPart] = []
    done = 0
    for target, size in zip(targets, sizes, strict=True):
        ends = rows[done : done + size]
        done += size
        stop = ends[-1] if done < len(rows) else len(lines)
        _write(target, [*top, *lines[start:stop]])
        start = stop
        made.append(SplitPart(target, size, ends[0], ends[-1]))
    return tuple(made)


def parts_of(path: Path, out_folder: Path, suffix: str) -> list[Path]:
    """The files in `out_folder` that have the name of a part of this manifest."""
    name = re.compile(rf"{re.escape(f'{path.stem}.{suffix}')}_subbatch[0-9]+\.csv")
    try:
        return sorted(one for one in out_folder.iterdir() if name.fullmatch(one.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _even(rows: int, parts: int) -> list[int]:
    count = min(parts, rows)
    least, more = divmod(rows, count)
    return [least + (number < more) for number in range(count)]


def _full(rows: int, max_rows: int) -> list[int]:
    whole, rest = divmod(rows, max_rows)
    return [max_rows] * whole + ([rest] if rest else [])


def _prepare(out_folder: Path, earlier: Sequence[Path], force: bool) -> None:
    if earlier and not force:
        raise ManifestError(
            f"{len(earlier)} file(s) of an earlier splitting are there, such as {earlier[0].name}.",
            "Use another --suffix or --into, or --force to replace them.",
        )
    try:
        out_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ManifestError(
            f"The folder for the parts cannot be made ({error.strerror}).", "Name one of yours."
        ) from None


def _write(target: Path, lines: Sequence[bytes]) -> None:
    try:
        with atomic_file(target) as stream:
            stream.writelines(lines)
    except OSError as error:
        raise ManifestError(
            f"{target.name}: cannot be written ({error.strerror}).", "Check the folder."
        ) from None
