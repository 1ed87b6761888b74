"""One study, from its raw zip to the de-identified zip and the report about it.

What belongs here: the order of work over the instances of a study. What does not: how any step
is done; each has its module.

Two passes. The first reads every member's headers, turns away what cannot be delivered, and
collects the study's identifiers from all of them. The second searches each transformed instance
for all of those identifiers, and writes it. The transformation itself is done while the first
pass has the elements at hand, and again in the second where that would hold too much memory; a
policy whose rules need all identifiers of the study would keep nothing in the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from locutus_dagster.deid.archive import RawZip, write_zip
from locutus_dagster.deid.bouncers import bounce
from locutus_dagster.deid.dictionary import SOP_CLASSES
from locutus_dagster.deid.disposition import (
    Disposition,
    InstanceDisposition,
    ResidueHit,
    StudyDisposition,
)
from locutus_dagster.deid.faults import DeidError, UnreadableError
from locutus_dagster.deid.identifiers import Identifiers
from locutus_dagster.deid.part10 import Instance, open_instance
from locutus_dagster.deid.policy import Policy
from locutus_dagster.deid.pseudonyms import Pseudonyms
from locutus_dagster.deid.residue import ResidueScan
from locutus_dagster.deid.transform import Output, StudyTransform

__all__ = ["check_subject_id", "deidentify_study"]

#: What the first pass has transformed is kept for the second up to this many bytes a study, large
#: values not counted, which are views into the raw zip; beyond, an instance is done twice.
_KEPT_BYTES = 32 << 20

_SUBJECT = re.compile(r"[ !-<>-\[\]_-~]{1,64}")  # printable ASCII without = \ ^

#: Defined terms of Modality (PS3.3 C.7.3.1.1.1), retired ones included; anything else that stands
#: there could be anything, hence is not repeated in a report.
_MODALITIES = frozenset(
    """
    ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM
    HC HD IO IOL IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV
    OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD
    RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA XA XAPROTOCOL XC XR
    AS CD CF CP CS DD DF DM DS EC FA FS LP MA MS OPC ST TH VF
    """.split()  # noqa: SIM905 - a list of words reads better than a list of quotes
)


@dataclass
class _Member:
    """What the first pass learnt about a member."""

    name: str = field(repr=False)
    sop_class: str = ""
    modality: str = ""
    series: str = ""
    reason: str = ""
    output: Output | None = None

    def disposition(self) -> InstanceDisposition:
        outcome = Disposition.WITHHELD if self.reason else Disposition.CLEAN
        return InstanceDisposition(self.name, self.sop_class, self.modality, outcome, self.reason)


def check_subject_id(subject_id: str) -> str:
    """Return a subject ID without surrounding spaces.

    Raises:
        DeidError: it cannot stand in Patient ID and Patient's Name.
    """
    stripped = subject_id.strip()
    if not _SUBJECT.fullmatch(stripped):
        raise DeidError(
            "The subject ID is not legal.",
            "Use 1 to 64 printable ASCII characters without backslash, caret or equals sign.",
        )
    return stripped


def deidentify_study(
    raw_zip: Path,
    out: BinaryIO,
    *,
    policy: Policy,
    pseudonyms: Pseudonyms,
    subject_id: str,
    known_identifiers: Iterable[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> StudyDisposition:
    """De-identify a study and write it as one zip.

    The same input, policy, secret and subject ID give the same bytes. A study whose
    `StudyDisposition.residue` is not empty must not be delivered, and one of which no instance is
    left gives an empty zip; both are the caller's to decide.

    Args:
        raw_zip: the study as extracted; any names, stored or deflated.
        out: receives the zip; only written to, never sought.
        policy: what to do.
        pseudonyms: the keyed identities.
        subject_id: takes the place of Patient's Name and Patient ID.
        known_identifiers: what else must not appear in the output, such as the accession number.
        progress: called with the number of members done and their total.

    Raises:
        DeidError: the subject ID is not legal, or the raw zip cannot be read.
    """
    subject = check_subject_id(subject_id)
    with RawZip(raw_zip) as raw:
        work = _Study(raw, policy, pseudonyms, subject, progress or (lambda done, total: None))
        return work.run(out, known_identifiers)


class _Study:
    """The state of one study at work."""

    def __init__(
        self,
        raw: RawZip,
        policy: Policy,
        pseudonyms: Pseudonyms,
        subject: str,
        progress: Callable[[int, int], None],
    ) -> None:
        self._raw = raw
        self._policy = policy
        self._pseudonyms = pseudonyms
        self._transform = StudyTransform(policy, pseudonyms, subject)
        self._progress = progress
        self._members: list[_Member] = []
        self._residue: list[ResidueHit] = []
        self._size_out = 0
        self._study_uid = ""

    def run(self, out: BinaryIO, known_identifiers: Iterable[str]) -> StudyDisposition:
        identifiers = Identifiers(known_identifiers)
        self._first_pass(identifiers)
        write_zip(
            self._second_pass(identifiers),
            out,
            expected_size=self._raw.size,
            expected_members=len(self._members),
        )
        uid, token = "", ""
        if self._study_uid:
            uid = self._pseudonyms.uid(self._study_uid)
            token = self._pseudonyms.study_token(self._study_uid)
        return StudyDisposition(
            study_uid=uid,
            study_token=token,
            policy_fingerprint=self._policy.fingerprint,
            key_id=self._pseudonyms.key_id,
            instances=tuple(member.disposition() for member in self._members),
            residue=tuple(self._residue),
            size_in=self._raw.size,
            size_out=self._size_out,
        )

    def _first_pass(self, identifiers: Identifiers) -> None:
        """Read every member, decide about it, and collect identifiers from all."""
        seen: set[str] = set()
        kept = 0
        for index in range(len(self._raw)):
            member = _Member(name=f"{index + 1:06d}.dcm")
            self._members.append(member)
            try:
                data = self._raw.read(index)
            except UnreadableError:
                member.reason = "unreadable file"
                continue
            try:
                instance = open_instance(data)
                identifiers.add(instance)
                self._describe(member, instance, seen)
                if not member.reason and kept < _KEPT_BYTES:
                    member.output = self._transform.apply(instance, member.sop_class)
                    kept += member.output.held
            except UnreadableError as error:
                member.reason = f"unreadable: {error.code}"

    def _describe(self, member: _Member, instance: Instance, seen: set[str]) -> None:
        """Note what the report says about an instance, and whether it is withheld."""
        sop_class = instance.text(0x00080016)
        registered = sop_class in SOP_CLASSES
        member.sop_class = sop_class if registered else "unregistered" if sop_class else ""
        modality = instance.text(0x00080060).upper()
        member.modality = modality if not modality or modality in _MODALITIES else "other"
        sop_instance = instance.text(0x00080018)
        if sop_instance:
            member.name = self._pseudonyms.uid(sop_instance)
        member.series = instance.text(0x0020000E)
        study = instance.text(0x0020000D)
        self._study_uid = self._study_uid or study
        member.reason = bounce(instance, self._policy)
        if not member.reason and study != self._study_uid:
            # Another study may be another patient's, who would get this subject's ID.
            member.reason = "another study"
        if not member.reason:
            if sop_instance in seen:
                member.reason = "duplicate instance"
            seen.add(sop_instance)

    def _second_pass(
        self, identifiers: Identifiers
    ) -> Iterator[tuple[str, list[bytes | memoryview]]]:
        """Transform, search and yield what is delivered, one instance at a time."""
        scan = ResidueScan(identifiers)
        folder = self._pseudonyms.study_token(self._study_uid)
        series_names: dict[str, str] = {}
        total = len(self._members)
        for index, member in enumerate(self._members):
            output, member.output = member.output, None
            if not member.reason and output is None:
                try:
                    instance = open_instance(self._raw.read(index))
                    output = self._transform.apply(instance, member.sop_class)
                except UnreadableError as error:
                    member.reason = f"unreadable: {error.code}"
            if output is not None:
                for place in scan.places(output):
                    self._residue.append(ResidueHit(member.name, place))
                self._size_out += output.size
                series = series_names.get(member.series)
                if series is None:
                    series = self._pseudonyms.uid(member.series)
                    series_names[member.series] = series
                parts = [output.meta, *(segment.data for segment in output.segments)]
                yield f"{folder}/{series}/{member.name}.dcm", parts
            self._progress(index + 1, total)
