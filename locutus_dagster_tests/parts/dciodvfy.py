"""A validator of DICOM objects for tests: dciodvfy of Debian's dicom3tools.

What belongs here: running it, and turning what it prints into findings that can be compared
between two files. What does not: which findings are acceptable.

    before, after = validate(program, original), validate(program, cleaned)
    new = after.errors - before.errors
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from locutus_dagster_tests.parts import missing

__all__ = ["Finding", "Validation", "find_dciodvfy", "require_dciodvfy", "validate"]

# A line of the "new" format, such as
#   Error - </SomeSequence(0040,0275)[1]/Thing(0040,0009)[2]> - Bad this = <value> - Module=<That>
# A value with line breaks goes on over the next lines, which look like nothing of this.
_ERROR = re.compile(r"Error - (?:<(?P<place>/.+?)>\s+- )?(?P<text>.*)")
_ITEM_NUMBER = re.compile(r"\[\d+\]")
_VALUE = re.compile(r"\s(?:= )?<.*|\s= '.*")
_MODULE = re.compile(r"\s*(?:- )?Module=<([^<>]*)>\s*$")
_IOD = re.compile(r"[A-Z]\w+")
_CRASHED = "dciodvfy crashed"
_UNREADABLE = ("Dicom dataset read failed", _CRASHED)


@dataclass(frozen=True, order=True)
class Finding:
    """One kind of error at one place, without item numbers and without values.

    Attributes:
        place: path of the attribute, or "".
        kind: what is wrong, in the validator's words.
        module: the module of the IOD that asks for it, or "".
    """

    place: str
    kind: str
    module: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.place or 'file'}" + (f" ({self.module})" * bool(self.module))


@dataclass(frozen=True)
class Validation:
    """What the validator says about a file.

    Attributes:
        iod: the information object that it took the file for, "" where it knows none.
        errors: how often it found what.
    """

    iod: str
    errors: Counter[Finding]

    @property
    def readable(self) -> bool:
        """Whether it got to the file's end: what follows from stopping early says nothing."""
        return all(finding.kind not in _UNREADABLE for finding in self.errors)


def find_dciodvfy() -> str | None:
    """The validator's program, or None."""
    return shutil.which("dciodvfy")


def require_dciodvfy() -> str:
    """The validator's program; skips the test if there is none, and fails it in CI."""
    found = find_dciodvfy()
    if found is None:
        missing("dciodvfy", "apt install dicom3tools, or put the program on the PATH")
    return found


def validate(program: str, path: Path) -> Validation:
    """Return what the validator says about a file; may be called from several threads.

    It crashes on some damaged files, which then is a finding as well.

    Raises:
        RuntimeError: the file could not be opened.
    """
    done = subprocess.run(
        [program, "-new", str(path)], capture_output=True, check=False, timeout=60, errors="replace"
    )
    validation = _parse(done.stdout + done.stderr)
    if done.returncode not in (0, 1):
        validation.errors[Finding("", _CRASHED, "")] += 1
    return validation


def _parse(report: str) -> Validation:
    """Return what a report in the validator's "new" format says.

    Raises:
        RuntimeError: the file could not be opened.
    """
    iod = ""
    errors: Counter[Finding] = Counter()
    for line in report.split("\n"):
        if line.startswith("Abort - "):
            raise RuntimeError("dciodvfy could not open the file")
        if _IOD.fullmatch(line):
            iod = line
        error = _ERROR.match(line)
        if error is None:
            continue
        place = _ITEM_NUMBER.sub("", error["place"] or "")
        module = _MODULE.search(error["text"])
        text = error["text"][: module.start()] if module else error["text"]
        kind = _VALUE.sub("", text).strip()
        errors[Finding(place, kind, module[1] if module else "")] += 1
    return Validation(iod, errors)
