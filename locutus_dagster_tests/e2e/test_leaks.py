"""The search that the other tests rely on finds an identifier wherever one can hide."""

from __future__ import annotations

import gzip
import json
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from locutus_dagster_tests.e2e.leaks import Finding, IdentifierSearch

NAME = "Éclairvoyançat"
BIRTH_DATE = "19310227"


def _database(path: Path, value: object) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE event_logs (id INTEGER, event BLOB)")
    connection.execute("INSERT INTO event_logs VALUES (1, ?)", (value,))
    connection.commit()
    connection.close()


def _zip(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)


PLACES: dict[str, Callable[[Path], object]] = {
    "a log, in capitals": lambda p: (p / "a.log").write_text(f"MR. {NAME.upper()} WAS HERE"),
    "Latin-1": lambda p: (p / "a").write_bytes(NAME.encode("latin-1")),
    "UTF-16": lambda p: (p / "a").write_bytes(f"for {NAME}".encode("utf-16")),
    "escaped JSON": lambda p: (p / "a.json").write_text(json.dumps({"who": NAME})),
    "a file's name": lambda p: (p / f"{NAME}.txt").touch(),
    "a folder's name": lambda p: (p / f"study of {NAME}").mkdir(),
    "a deflated zip member": lambda p: _zip(p / "a.zip", "IM1", NAME.encode() * 9),
    "a zip member's name": lambda p: _zip(p / "a.zip", f"{NAME}/IM1", b""),
    "a database": lambda p: _database(p / "a.db", json.dumps(NAME)),
    "a compressed column": lambda p: _database(p / "a.db", zlib.compress(NAME.encode())),
    "a gzipped column": lambda p: _database(p / "a.db", gzip.compress(NAME.encode())),
    "a column with UTF-16": lambda p: _database(p / "a.db", NAME.encode("utf-16")),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_identifier_is_found_in(place: str, tmp_path: Path) -> None:
    (tmp_path / "innocent.txt").write_text("nothing to see")
    PLACES[place](tmp_path)
    assert {found.identifier for found in IdentifierSearch([NAME]).in_tree(tmp_path)} == {NAME}


def test_a_japanese_name_is_found_as_dicom_writes_it(tmp_path: Path) -> None:
    (tmp_path / "IM1").write_bytes(b"Yume^Gen=\x1b$BL48+:d\x1b(B^\x1b$BA\x1b(B")
    assert IdentifierSearch(["夢見坂"]).in_tree(tmp_path) == [Finding("IM1", "夢見坂")]


def test_a_date_is_found_but_not_in_the_middle_of_a_uid(tmp_path: Path) -> None:
    (tmp_path / "uid").write_text(f"2.25.12345678{BIRTH_DATE}87654321")
    assert IdentifierSearch([BIRTH_DATE]).in_tree(tmp_path) == []
    (tmp_path / "time").write_text(f"{BIRTH_DATE}081500")
    assert IdentifierSearch([BIRTH_DATE]).in_tree(tmp_path) == [Finding("time", BIRTH_DATE)]


def test_what_is_to_be_left_out_is_left_out_and_nothing_else(tmp_path: Path) -> None:
    for folder in ("private", "private-not"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_text(NAME)
    found = IdentifierSearch([NAME]).in_tree(tmp_path, besides=[tmp_path / "private"])
    assert found == [Finding("private-not/a", NAME)]
