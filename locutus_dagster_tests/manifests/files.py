"""Manifest files for tests: a good one by default, spoilt in one place by each test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from locutus_dagster.manifests import MANIFEST_COLUMNS

__all__ = ["GOOD_ROW", "HEADER", "row", "write"]

HEADER = ",".join(MANIFEST_COLUMNS)
_NAMES = ("subject", "imaging_type", "age", "position", "accession", "qc", "version")
_GOOD = ("S1", "CT", "4000", "HEAD", "ACC1", "", "")
GOOD_ROW = ",".join(_GOOD)


def row(**cells: str) -> str:
    """One line of a manifest: good, but for the cells named."""
    unknown = set(cells) - set(_NAMES)
    assert not unknown, unknown
    return ",".join(cells.get(name, good) for name, good in zip(_NAMES, _GOOD, strict=True))


def write(
    folder: Path,
    *rows: str,
    header: str = HEADER,
    before: Sequence[str] = (),
    name: str = "study.csv",
    newline: str = "\n",
    start: bytes = b"",
) -> Path:
    """Write a manifest of these lines into `folder`; lone surrogates become the bytes they mean."""
    path = folder / name
    text = newline.join([*before, header, *rows]) + newline
    path.write_bytes(start + text.encode("utf-8", "surrogateescape"))
    return path
