"""One study, from its raw zip to the de-identified zip and the report about it.

What belongs here: the order of work over the instances of a study. What does not: how any step
is done; each has its module.

Two passes. The first reads every member's headers, turns away what cannot be delivered, and
collects the study's identifiers from all of them. The second transforms each instance, searches
what comes out for all of those identifiers, and hands it on. What the first pass has walked is kept
for the second, up to a number of elements.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from locutus_dagster.deid.bouncers import bounce
from locutus_dagster.deid.cleaning.output import Output
from locutus_dagster.deid.cleaning.transform import StudyTransform
from locutus_dagster.deid.cleaning.values import Values
from locutus_dagster.deid.disposition import (
    RESIDUE,
    Disposition,
    InstanceDisposition,
    ResidueHit,
    StudyDisposition,
)
from locutus_dagster.deid.encoding.archive import RawZip, write_zip
from locutus_dagster.deid.encoding.codec import Sharing
from locutus_dagster.deid.encoding.part10 import Instance, Sharings, open_instance
from locutus_dagster.deid.faults import DeidError, UnreadableError
from locutus_dagster.deid.identities.identifiers import Identifiers
from locutus_dagster.deid.identities.pseudonyms import Pseudonyms
from locutus_dagster.deid.patients import Patients
from locutus_dagster.deid.policies.model import Policy
from locutus_dagster.deid.standard.dictionary import SOP_CLASSES
from locutus_dagster.deid.standard.storage_classes import storage_class
from locutus_dagster.deid.verification.residue import ResidueScan

__all__ = ["Delivered", "Members", "StudyWork", "check_subject_id", "deidentify_study"]

#: What the first pass has walked is kept for the second up to this many elements a study, at some
#: 200 bytes each; beyond, an instance is walked twice.
_KEPT_ELEMENTS = 200_000

_SUBJECT = re.compile(r"[ !-<>-\[\]_-~]{1,64}")  # printable ASCII without = \ ^
FRESH = "fresh"

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


class Members(Protocol):
    """The files of a study."""

    def __len__(self) -> int: ...

    @property
    def size(self) -> int:
        """Uncompressed size of all files, in bytes."""

    def read(self, index: int) -> memoryview:
        """Return a file's bytes.

        Raises:
            UnreadableError: they cannot be had.
        """


@dataclass(frozen=True)
class Delivered:
    """An instance that may leave.

    Attributes:
        index: of the member that it was made from.
        name: "<study token>/<series>/<instance>.dcm", all of them pseudonyms.
        parts: the file's bytes, in order.
    """

    index: int
    name: str
    parts: list[bytes | memoryview] = field(repr=False)


@dataclass
class _Member:
    """What the first pass learnt about a member."""

    name: str = field(repr=False)
    sop_class: str = ""
    modality: str = ""
    series: str = field(default="", repr=False)
    reason: str = ""
    instance: Instance | None = None
    actions: Mapping[str, int] = field(default_factory=dict)

    def disposition(self) -> InstanceDisposition:
        outcome = Disposition.WITHHELD if self.reason else Disposition.CLEAN
        return InstanceDisposition(
            self.name, self.sop_class, self.modality, outcome, self.reason, self.actions
        )


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

    The same input, policy, secret and subject ID give the same bytes, unless the policy asks for
    fresh identities. A study of which no instance is left gives an empty zip; that is the caller's
    to judge.

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
    check_subject_id(policy.settings.subject_preface + subject_id)
    with RawZip(raw_zip) as raw:
        work = StudyWork(raw, policy, pseudonyms, subject_id, known_identifiers, progress=progress)
        write_zip(
            ((one.name, one.parts) for one in work.deliver()),
            out,
            expected_size=raw.size,
            expected_members=len(raw),
        )
        return work.report()


class StudyWork:
    """One study at work: `deliver` is run through once, then `report` says what became of it.

    Args:
        members: the study's files.
        policy: what to do.
        pseudonyms: the keyed identities.
        subject_id: the research identity; None derives one from the Patient ID.
        known_identifiers: what else must not appear in the output.
        progress: called with the number of members done and their total.
    """

    def __init__(
        self,
        members: Members,
        policy: Policy,
        pseudonyms: Pseudonyms,
        subject_id: str | None,
        known_identifiers: Iterable[str] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._files = members
        self._policy = policy
        self._fresh = policy.settings.identities == FRESH
        self._pseudonyms = Pseudonyms.fresh() if self._fresh else pseudonyms
        self._subject = subject_id
        self._identifiers = Identifiers(known_identifiers, policy)
        self._patients = Patients()
        self._progress = progress or (lambda done, total: None)
        self._sharing: Sharings = defaultdict(Sharing)
        self._members: list[_Member] = []
        self._residue: list[ResidueHit] = []
        self._size_out = 0
        self._study_uid = ""

    def __repr__(self) -> str:
        return f"StudyWork({len(self._files)} members)"

    def deliver(self) -> Iterator[Delivered]:
        """Yield what may leave, one instance at a time, in the order of the members.

        Raises:
            DeidError: the subject ID is not legal.
        """
        self._first_pass()
        self._subject = self._research_identity()
        if self._patients.several and self._policy.settings.several_patients == "withhold":
            for member in self._members:
                member.reason = member.reason or "two patients in one study"
        yield from self._second_pass(self._subject)

    def report(self) -> StudyDisposition:
        """Return what became of every member."""
        uid, token = "", ""
        if self._study_uid:
            uid = self._pseudonyms.uid(self._study_uid)
            token = self._pseudonyms.study_token(self._study_uid)
        return StudyDisposition(
            study_uid=uid,
            study_token=token,
            policy_fingerprint=self._policy.fingerprint,
            key_id=FRESH if self._fresh else self._pseudonyms.key_id,
            subject_id=self._subject or "",
            instances=tuple(member.disposition() for member in self._members),
            residue=tuple(self._residue),
            size_in=self._files.size,
            size_out=self._size_out,
        )

    def _research_identity(self) -> str:
        subject = self._subject
        if subject is None:
            subject = self._patients.subject(self._pseudonyms, self._study_uid)
        return check_subject_id(self._policy.settings.subject_preface + subject)

    def _first_pass(self) -> None:
        """Read every member, decide about it, and collect identifiers from all."""
        seen: set[str] = set()
        kept = 0
        for index in range(len(self._files)):
            member = _Member(name=f"{index + 1:06d}.dcm")
            self._members.append(member)
            try:
                data = self._files.read(index)
            except UnreadableError:
                member.reason = "unreadable file"
                continue
            try:
                instance = open_instance(data, self._sharing)
                self._identifiers.add(instance)
                self._patients.add(instance)
                self._describe(member, instance, seen)
                if not member.reason and kept + instance.count <= _KEPT_ELEMENTS:
                    member.instance = instance
                    kept += instance.count
            except UnreadableError as error:
                member.reason = f"unreadable: {error.code}"

    def _describe(self, member: _Member, instance: Instance, seen: set[str]) -> None:
        """Note what the report says about an instance, and whether it is withheld."""
        sop_class = instance.text(0x00080016)
        registered = sop_class in SOP_CLASSES or storage_class(sop_class) is not None
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

    def _second_pass(self, subject: str) -> Iterator[Delivered]:
        """Transform and search every instance; what holds no identifier is delivered."""
        values = Values(self._policy, self._pseudonyms, subject, self._identifiers)
        transform = StudyTransform(self._policy, values, subject)
        scan = ResidueScan(self._identifiers, values.kept_uids)
        folder = self._pseudonyms.study_token(self._study_uid)
        total = len(self._members)
        for index, member in enumerate(self._members):
            if not member.reason:
                output = self._transformed(transform, member, index)
                if output is not None and self._is_clean(scan, member, output):
                    self._size_out += output.size
                    series = self._pseudonyms.uid(member.series)
                    yield Delivered(index, f"{folder}/{series}/{member.name}.dcm", output.parts)
            self._progress(index + 1, total)

    def _transformed(self, transform: StudyTransform, member: _Member, index: int) -> Output | None:
        instance, member.instance = member.instance, None
        try:
            if instance is None:
                instance = open_instance(self._files.read(index), self._sharing)
            output = transform.apply(instance, member.sop_class)
        except UnreadableError as error:
            member.reason = f"unreadable: {error.code}"
            return None
        member.actions = {str(action): count for action, count in sorted(output.counts.items())}
        return output

    def _is_clean(self, scan: ResidueScan, member: _Member, output: Output) -> bool:
        places = scan.places(output)
        if places:
            member.reason = RESIDUE
            self._residue.extend(ResidueHit(member.name, place) for place in places)
        return not places
