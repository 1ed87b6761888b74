"""The answer key and the maps of identities, as files that other scorers of this kind can read.

What belongs here: the SQLite table `answer_data` and the two CSV maps, written and read. What does
not: judging (`scoring.py`).

`answer_data` holds one row a file: bare identifiers in its columns, and in `AnswerData` a JSON
object of numbered checks whose texts are wrapped in `<` and `>`. Two fields are this harness's
own: `vr` and `waived_by`.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.datadict import dictionary_description

from benchmarks.midi.checks import Action, Check, category_group
from benchmarks.midi.places import Place, format_place, parse_place
from benchmarks.midi.planting import PlantedFile

__all__ = ["KeyFile", "Maps", "read_key", "read_maps", "write_key", "write_maps"]

_COLUMNS = (
    "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID",
    "Modality", "AnswerData", "scope",
)  # fmt: skip


@dataclass(frozen=True)
class KeyFile:
    """What the answer key says about one file.

    Attributes:
        patient, study, series, sop: the planted identity.
        sop_class, modality: of the file.
        checks: in the key's order.
    """

    patient: str = field(repr=False)
    study: str = field(repr=False)
    series: str = field(repr=False)
    sop: str = field(repr=False)
    sop_class: str
    modality: str
    checks: tuple[Check, ...] = field(repr=False)


@dataclass(frozen=True)
class Maps:
    """What an engine says that identities became.

    Attributes:
        uids: study, series and SOP instance UIDs, original -> new.
        patients: patient IDs, original -> new.
    """

    uids: Mapping[str, str] = field(repr=False)
    patients: Mapping[str, str] = field(repr=False)


def write_key(path: Path, files: Iterable[PlantedFile]) -> None:
    """Write the answer key; a file of that name is replaced."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE answer_data ({', '.join(_COLUMNS)})")
        marks = ", ".join("?" for _ in _COLUMNS)
        database.executemany(
            f"INSERT INTO answer_data VALUES ({marks})",
            (
                (
                    file.patient, file.study, file.series, file.sop, file.source.sop_class,
                    file.source.modality, _to_json(file.checks), "<Instance>",
                )
                for file in files
            ),
        )  # fmt: skip


def read_key(path: Path) -> Iterator[KeyFile]:
    """Read an answer key back."""
    with closing(sqlite3.connect(path)) as database:
        query = f"SELECT {', '.join(_COLUMNS[:-1])} FROM answer_data ORDER BY rowid"
        for row in database.execute(query):
            patient, study, series, sop, sop_class, modality, data = row
            checks = tuple(_from_json(data))
            yield KeyFile(patient, study, series, sop, sop_class, modality, checks)


def _to_json(checks: Iterable[Check]) -> str:
    return json.dumps({str(number): _as_dict(check) for number, check in enumerate(checks)})


def _as_dict(check: Check) -> dict[str, object]:
    place = format_place(check.place)
    return {
        "tag": place,
        "tag_ds": place,
        "tag_name": f"<{_name(check.place)}>",
        "value": f"<{check.text}>",
        "action": f"<{check.action}>",
        "action_text": f"<{check.text}>",
        "answer_category_v2": _nested(check.category),
        "vr": f"<{check.vr}>",
        "waived_by": f"<{check.waived_by}>",
    }


def _nested(category: str) -> dict[str, object]:
    """Return a category in the tree that keys of this kind have."""
    tree: dict[str, dict[str, str | None]] = {
        "hipaa": {"z": None, "m": None},
        "dicom": {"p15": None, "iod": None, "safe": None},
        "tcia": {"ptkb": None, "p15": None, "rev": None},
    }
    group = category_group(category).lower()
    part = category.split("-")[1].lower()
    if "SAFE" in category:
        part = "safe"
    tree[group]["z" if group == "hipaa" else part] = category
    return {**tree, "prev_cat": None}


def _from_json(text: str) -> Iterator[Check]:
    for entry in json.loads(text).values():
        tree = entry["answer_category_v2"]
        branches = [tree[name] for name in ("hipaa", "dicom", "tcia")]
        category = next(value for branch in branches for value in branch.values() if value)
        yield Check(
            parse_place(entry["tag_ds"]),
            Action(_bare(entry["action"])),
            _bare(entry["action_text"]),
            category,
            _bare(entry["vr"]),
            _bare(entry["waived_by"]),
        )


def _bare(text: str) -> str:
    return text[1:-1]


def _name(place: Place) -> str:
    if not place or place[-1].creator is not None:
        return "Preamble" if not place else "Private element"
    try:
        return dictionary_description(place[-1].tag)
    except KeyError:
        return "Unknown"


def write_maps(folder: Path, maps: Maps) -> None:
    """Write `uid_mapping.csv` and `patid_mapping.csv`, each with the columns id_old and id_new."""
    for name, pairs in (("uid_mapping.csv", maps.uids), ("patid_mapping.csv", maps.patients)):
        with (folder / name).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("id_old", "id_new"))
            writer.writerows(pairs.items())


def read_maps(folder: Path) -> Maps:
    """Read the two maps of a folder."""
    maps = []
    for name in ("uid_mapping.csv", "patid_mapping.csv"):
        with (folder / name).open(newline="", encoding="utf-8") as stream:
            maps.append({row["id_old"]: row["id_new"] for row in csv.DictReader(stream)})
    return Maps(*maps)
