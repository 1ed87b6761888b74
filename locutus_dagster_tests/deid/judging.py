"""What must be true of the engine whatever it is given, and taking its time and memory.

What belongs here: one run over a raw zip and everything that is wrong with its outcome. What does
not: making inputs (`hostile.py`, `hostile_zips.py`, `mutations.py`).

Time is CPU time, so that a busy machine does not fail a test, and a run that takes too much of it
is ended. Memory is what the process takes at its peak beyond what it had before, on Linux; Python's
own count of it would miss what the automata take.
"""

from __future__ import annotations

import gc
import io
import re
import signal
import time
import traceback
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import FrameType

import pydicom

from locutus_dagster.deid import (
    Action,
    DeidError,
    Policy,
    Pseudonyms,
    StudyDisposition,
    compile_policy,
    deidentify_study,
    load_policy,
)
from locutus_dagster.deid.policies.model import Override, PrivateElement
from locutus_dagster.deid.policies.reading import read_policy
from locutus_dagster_tests.deid.builders import SECRET, SUBJECT
from locutus_dagster_tests.deid.hostile import PRIVATE_CREATOR, PRIVATE_ELEMENT, PRIVATE_GROUP
from locutus_dagster_tests.deid.wire import PLANTED

__all__ = ["Verdict", "judge", "leaks", "policies", "read_completely"]

#: Seconds for any input, and for each of its bytes: cleaning free text takes the most.
_SECONDS, _SECONDS_A_BYTE = 2.0, 8e-6
#: Bytes of memory for any input, and for each of its bytes: an element of eight takes 200.
_MEMORY, _MEMORY_A_BYTE = 220 << 20, 40
#: A run is ended after so many times the seconds that it may take.
_PATIENCE = 5

_PHRASE = re.compile(r"[A-Za-z][A-Za-z ,:'-]{3,90}")
#: Why a member may be withheld for what another one says.
_SHARED_REASONS = ("two patients in one study", "identifier left in the output")
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
#: Larger files are not given to pydicom, which is slow on a million elements.
_READ_UP_TO = 300_000


class _TooLongError(BaseException):
    """Ends a run; nothing in the engine may catch it."""


@dataclass
class Verdict:
    """How a run went.

    Attributes:
        problems: what is wrong, in words that name no value; empty if nothing is.
        seconds: CPU time of the run.
        memory: bytes at the peak, beyond what there was before; 0 where nobody looked or can tell.
        disposition: what the engine said; None if it raised.
        refused: whether it refused the zip as a whole.
    """

    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory: int = 0
    disposition: StudyDisposition | None = None
    refused: bool = False

    @property
    def reasons(self) -> dict[str, int]:
        """What became of the members, with their numbers."""
        if self.refused:
            return {"refused as a whole": 1}
        if self.disposition is None:
            return {"problem": 1}
        delivered = self.disposition.delivered
        kept = {"delivered": delivered} if delivered else {}
        return kept | self.disposition.withheld_by_reason


@lru_cache(maxsize=1)
def policies() -> dict[str, Policy]:
    """Return the policies to judge under, by name.

    "nested" is research with a private sequence that is kept and cleaned.
    """
    creator = PRIVATE_CREATOR.decode().strip()
    place = PrivateElement(creator, PRIVATE_GROUP, PRIVATE_ELEMENT)
    kept = Override("a test", Action.KEEP, private=place, vr="SQ")
    research = read_policy("research")
    nested = replace(research, name="nested", overrides=(*research.overrides, kept))
    return {
        "basic": load_policy("basic", modalities=["any"]),
        "research": load_policy("research", modalities=["any"]),
        "nested": compile_policy(nested, modalities=["any"]),
    }


def judge(
    raw: Path,
    policy: Policy,
    originals: list[bytes] | None = None,
    *,
    size: int = 0,
    good: int | None = None,
    repeat: bool = False,
    weigh: bool = False,
) -> Verdict:
    """De-identify a raw zip and return what is wrong with the outcome.

    Args:
        raw: the zip.
        policy: what to do.
        originals: what the members are; None where nobody can tell.
        size: bytes of all members, inflated, if more than that of the zip.
        good: index of a member that has to be delivered whatever the others are, unless they name
            another patient, or something in it.
        repeat: whether to do it twice and compare.
        weigh: whether to look at the memory, which takes a while in a process that holds much.
    """
    verdict = Verdict()
    size = max(size, raw.stat().st_size)
    allowed = _SECONDS + size * _SECONDS_A_BYTE
    out = io.BytesIO()
    memory = _Memory() if weigh else None
    began = time.process_time()
    try:
        with _patience(allowed * _PATIENCE):
            verdict.disposition = _run(raw, policy, out)
    except DeidError:
        verdict.refused = True
    except _TooLongError:
        verdict.problems.append("was ended because it took too long")
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        places = " > ".join(f"{Path(one.filename).name}:{one.lineno}" for one in frames)
        verdict.problems.append(f"raised {type(error).__name__} at {places}")
    verdict.seconds = time.process_time() - began
    verdict.memory = memory.peak() if memory else 0
    if verdict.seconds > allowed:
        verdict.problems.append(f"took {verdict.seconds:.1f} s instead of {allowed:.1f} s")
    bound = _MEMORY + size * _MEMORY_A_BYTE
    if verdict.memory > bound:
        verdict.problems.append(f"took {verdict.memory >> 20} MB instead of {bound >> 20} MB")
    if verdict.disposition is not None:
        verdict.problems += _wrong(verdict.disposition, out.getvalue(), originals)
        reason = "" if good is None else verdict.disposition.instances[good].reason
        if reason not in ("", *_SHARED_REASONS):
            verdict.problems.append("withholds a good member because of another one")
        if repeat and not verdict.problems:
            again = io.BytesIO()
            if (
                _run(raw, policy, again) != verdict.disposition
                or again.getvalue() != out.getvalue()
            ):
                verdict.problems.append("gives other bytes when it is repeated")
    return verdict


def _run(raw: Path, policy: Policy, out: io.BytesIO) -> StudyDisposition:
    return deidentify_study(
        raw, out, policy=policy, pseudonyms=Pseudonyms(SECRET), subject_id=SUBJECT
    )


def _wrong(
    disposition: StudyDisposition, content: bytes, originals: list[bytes] | None
) -> Iterator[str]:
    """Yield what is wrong with a report and the zip that belongs to it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        if len(members) != len(archive.namelist()):
            yield "delivers two members of one name"
    if originals is not None and disposition.total != len(originals):
        yield f"accounts for {disposition.total} of {len(originals)} members"
    if disposition.delivered != len(members):
        yield f"delivers {len(members)} members and reports {disposition.delivered}"
    for one in disposition.instances:
        if (one.disposition.value == "withheld") != bool(one.reason):
            yield "withholds without a reason, or delivers with one"
        if one.reason and not _PHRASE.fullmatch(one.reason):
            yield "gives a reason that is no fixed phrase"
    if any(token in repr(disposition).lower().encode() for token in PLANTED):
        yield "reports an identifier"
    indexes = [at for at, one in enumerate(disposition.instances) if not one.reason]
    for index, (name, member) in zip(indexes, members.items(), strict=False):
        if any(token in name.lower().encode() for token in PLANTED):
            yield "names a member by an identifier"
        yield from (f"leaves identifier {at} in member {index}" for at in leaks(member))
        original = originals[index] if originals is not None else b""
        small = max(len(original), len(member)) <= _READ_UP_TO
        if original and small and read_completely(original) and not read_completely(member):
            yield f"delivers member {index}, which could be read, unreadable"


def leaks(content: bytes) -> list[int]:
    """Return which planted identifiers stand in a file outside of native pixel data."""
    searched = content
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(io.BytesIO(content), force=True)
            if not ds.file_meta.TransferSyntaxUID.is_encapsulated:
                for tag in _PIXELS:
                    pixels = bytes(ds.get_item(tag).value) if tag in ds else b""
                    searched = searched.replace(pixels, b"") if pixels else searched
        except Exception:
            # What pydicom cannot read has native pixel data at its end, if it has any.
            searched = content.partition(b"\xe0\x7f\x10\x00")[0]
    searched = searched.lower()
    return [
        at
        for at, token in enumerate(PLANTED)
        if token in searched or b"\0".join(bytes([one]) for one in token) in searched
    ]


def read_completely(content: bytes) -> bool:
    """Tell whether pydicom reads a file, and every value in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(io.BytesIO(content), force=True)
            for element in ds.iterall():
                assert element.value is not element
            return "SOPInstanceUID" in ds
        except Exception:
            return False


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """End what is inside after so many seconds of CPU time."""

    def end(number: int, frame: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


class _Memory:
    """Peak memory of this process from now on, on Linux."""

    _RESET = Path("/proc/self/clear_refs")

    def __init__(self) -> None:
        gc.collect()
        try:
            self._RESET.write_text("5")  # makes the peak what is resident now
            self._before = self._read("VmRSS")
        except OSError:
            self._before = 0

    def peak(self) -> int:
        return max(0, self._read("VmHWM") - self._before) if self._before else 0

    @staticmethod
    def _read(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))
