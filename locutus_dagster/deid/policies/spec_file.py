"""Specification files of the reference system (.dat), read as policies.

What belongs here: that format, and what it says in this engine's terms. What does not: this
engine's own format (`reading.py`).

Two lines speak about one attribute: its name and tag, then codes in columns, all separated by
tabs. Two columns have an effect: the third (Basic Profile) by the first letter of its code, and
the tenth (Clean Descriptors) if it says C.

    Study Description	(0008,1030)
    N	Y	X							C

K keep, X remove, Z empty, D dummy, U new UID, R the subject's research identity. Blank lines and
lines that start with # are skipped. Of two entries about one tag the later counts.

The file says the same here as there, but for what cannot be done safely; each of these is told in
a note. What the file does not name follows the Basic Profile, where the reference system decides
by VR. Sequences that it does not name, or keeps, are cleaned item by item instead of dropped.
Private attributes by number are removed: the number says nothing without the private creator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from locutus_dagster.deid.policies.attributes import check_action, fits, known_tag
from locutus_dagster.deid.policies.model import Action, Override, PolicySpec, Settings
from locutus_dagster.deid.policies.problems import MistakeError, Problems, read_text
from locutus_dagster.deid.standard.dictionary import CLASS_LIKE_UIDS, VR_OF

__all__ = ["SpecFile", "convert_spec_file", "read_spec_file"]

_MOST_BYTES = 4 << 20

#: Series that the reference system holds back whatever its settings say.
_EXCLUDED = ("patient protocol", "save")

_ACTIONS = {
    "K": Action.KEEP,
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "D": Action.DUMMY,
    "U": Action.UID,
    "R": Action.SUBJECT,
}
_BASIC, _CLEAN_DESCRIPTORS = 2, 9  # columns, from 0
_FEWEST_CELLS = _BASIC + 1

_HEADER = re.compile(r"(?:.*\s)?\(([0-9A-Fa-fxX]{4}),\s*([0-9A-Fa-fxX]{4})\)\s*")
_CODE = re.compile(r"([KXZDUR])(?:/[KXZDURC]\*?)*\*?")
_UNFIT_FOR_NAMES = re.compile(r"[^A-Za-z0-9._-]+")

_LINE_END = re.compile(r"\r\n|\r|\n")

_NO_CODES = "the line with the codes of this attribute is missing; add it below"
#: A note shows so many places.
_SHOWN = 6


@dataclass(frozen=True)
class SpecFile:
    """A specification file as a policy.

    Attributes:
        spec: the policy; it extends the Basic Profile.
        notes: for people: what is done differently from the reference system.
    """

    spec: PolicySpec
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Record:
    """Two lines about one attribute.

    Attributes:
        line: the line of the name and tag.
        tag: the tag as text, eight digits, or with x in it.
        basic: the letter in the Basic Profile's column.
        clean: whether Clean Descriptors says C.
    """

    line: int
    tag: str
    basic: str
    clean: bool


def read_spec_file(path: Path) -> PolicySpec:
    """Return what a specification file asks for, without the notes.

    Raises:
        PolicyFileError: all that is wrong with the file.
    """
    return convert_spec_file(path).spec


def convert_spec_file(path: Path) -> SpecFile:
    """Return a specification file as a policy, and what differs.

    Args:
        path: the file; UTF-8 or Latin-1.

    Raises:
        PolicyFileError: all that is wrong with the file.
    """
    problems = Problems(path.name)
    conversion = _Conversion(problems)
    with problems.at(None):
        text = read_text(path, most=_MOST_BYTES, fallback="latin-1")
        records = _records(text, problems)
        if not records and not problems:
            problems.add(None, "there is no attribute in the file; two lines speak about each")
        for record in records:
            with problems.at(record.line):
                conversion.add(record)
    problems.raise_any()
    stem = _UNFIT_FOR_NAMES.sub("-", path.stem).strip("-._")[:24]
    spec = PolicySpec(
        # Never the name of a shipped policy, whatever the file is called.
        name=f"{stem}-dat" if stem else "spec-file-dat",
        overrides=tuple(conversion.overrides.values()),
        settings=Settings(excluded_series=_EXCLUDED),
    )
    return SpecFile(spec, conversion.notes(path.name))


def _records(text: str, problems: Problems) -> list[_Record]:
    """Return the pairs of lines; a line without its partner becomes a problem and is left out."""
    found: list[_Record] = []
    header: tuple[int, str] | None = None
    for line, content in enumerate(_LINE_END.split(text), 1):
        if not content.strip() or content.lstrip().startswith("#"):
            continue
        match = _HEADER.fullmatch(content)
        if match:
            if header:
                problems.add(header[0], _NO_CODES)
            header = line, (match[1] + match[2]).upper()
        elif header is None:
            problems.add(
                line, "this line stands alone; write a name and (gggg,eeee), then a line of codes"
            )
        else:
            with problems.at(line):
                found.append(_record(*header, content))
            header = None
    if header:
        problems.add(header[0], _NO_CODES)
    return found


def _record(line: int, tag: str, codes: str) -> _Record:
    cells = [cell.strip() for cell in codes.split("\t")]
    if len(cells) < _FEWEST_CELLS:
        raise MistakeError(
            "write the codes in columns, with tabs between them; the third is needed"
        )
    match = _CODE.fullmatch(cells[_BASIC])
    if match is None:
        raise MistakeError(
            "the third column has no known code; write K, X, Z, D, U or R, or several of these "
            "with / between them"
        )
    clean = cells[_CLEAN_DESCRIPTORS] if len(cells) > _CLEAN_DESCRIPTORS else ""
    if clean not in ("", "C"):
        raise MistakeError(
            "the tenth column (Clean Descriptors) has no known code; write C or nothing"
        )
    return _Record(line, tag, match[1], clean == "C")


class _Conversion:
    """From records to overrides and notes.

    Attributes:
        overrides: tag -> what the file says, in the order of the first mention.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._lines: dict[str, int] = {}
        self._notes: dict[str, list[str]] = {}
        self.overrides: dict[int, Override] = {}

    def add(self, record: _Record) -> None:
        """Add what a record says.

        Raises:
            MistakeError: its code does not fit the attribute.
        """
        shown = f"line {record.line} ({record.tag[:4]},{record.tag[4:]})"
        if record.tag in self._lines:
            self._note("named twice; the later line counts", shown)
        self._lines[record.tag] = record.line
        if "X" in record.tag:
            self._note(
                "left out: patterns of tags are no attributes; the Basic Profile decides", shown
            )
            return
        tag = int(record.tag, 16)
        try:
            known_tag(tag)
        except MistakeError as mistake:
            if record.basic != "X":
                self._note(f"left out: {mistake}", shown)
            return
        if tag in CLASS_LIKE_UIDS and record.basic != "K":
            self._note("left out: what names a class or a code system is kept", shown)
            return
        action = self._action(record, VR_OF.get(tag, ""), shown)
        try:
            check_action(action, tag)
        except MistakeError as mistake:
            self._note(f"left out: {mistake}", shown)
            return
        self.overrides[tag] = Override(self._problems.place(record.line), action, path=(tag,))

    def _action(self, record: _Record, vr: str, shown: str) -> Action:
        """Return the action that a code means for a VR, "" for a VR that nobody knows.

        Raises:
            MistakeError: the code does not fit the VR.
        """
        action = _ACTIONS[record.basic]
        if record.clean and fits(Action.CLEAN, vr):
            self._note("cleaned, as the tenth column asks, whatever the third says", shown)
            return Action.CLEAN
        if record.clean:
            self._note("the tenth column has no effect: C is for text and sequences", shown)
        if vr == "UI" and action in (Action.EMPTY, Action.DUMMY):
            return Action.UID  # a UID is never empty there, nor here
        if vr == "SQ" and action is Action.KEEP:
            self._note("a sequence is kept, and each of its items is cleaned", shown)
        if vr and not fits(action, vr):
            raise MistakeError(
                f"{record.basic} does not fit an attribute of VR {vr}; write X, Z, D or K in the "
                f"third column"
            )
        return action

    def _note(self, text: str, shown: str) -> None:
        self._notes.setdefault(text, []).append(shown)

    def notes(self, file: str) -> tuple[str, ...]:
        """Return the notes, one for each kind, with the first lines that it is about."""
        found = []
        for text, places in self._notes.items():
            more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
            found.append(f"{file}: {text}: {', '.join(places[:_SHOWN])}{more}")
        return tuple(found)
