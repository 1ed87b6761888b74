"""The studies of a collection, found and worked through one after the other.

What belongs here: which files belong to which study, whose study it is, and what became of every
file. What does not: one study's work (`deid/study.py`), files and zips (`inputs.py`, `outputs.py`).

Two steps. `survey` walks every file once and writes nothing; whatever speaks against the collection
as a whole comes up there. `deliver` then runs each study, with one key for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from locutus_dagster.deid.bouncers import bounce
from locutus_dagster.deid.disposition import RESIDUE, Disposition, InstanceDisposition
from locutus_dagster.deid.encoding.part10 import Instance, open_instance
from locutus_dagster.deid.faults import DeidError, UnreadableError
from locutus_dagster.deid.identities.pseudonyms import Pseudonyms
from locutus_dagster.deid.patients import Patients
from locutus_dagster.deid.policies.model import Policy
from locutus_dagster.deid.standard.names import sop_class_name
from locutus_dagster.deid.study import Delivered, Members, StudyWork, check_subject_id

__all__ = ["CollectionWork", "Outcome", "Progress", "count_by_reason"]

#: Called with what is being done, how many files are done, and how many there are.
Progress = Callable[[str, int, int], None]

_SOP_CLASS = 0x00080016
_STUDY = 0x0020000D

_READING, _DEIDENTIFYING = "reading", "de-identifying"


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        position: of the file in the input, from 1.
        study_uid: pseudonymous Study Instance UID, "" where none could be read.
        instance: what the study's work says about it.
        residue: paths of tags where an identifier was found in what would have been the output.
        key_id: public name of the key that the pseudonyms were made with.
    """

    position: int
    study_uid: str
    instance: InstanceDisposition
    residue: tuple[str, ...]
    key_id: str

    @property
    def withheld(self) -> bool:
        """Whether the file is not in the output."""
        return self.instance.disposition is Disposition.WITHHELD


@dataclass
class _Study:
    """The files of one study."""

    uid: str = field(repr=False)
    indexes: list[int] = field(default_factory=list)
    size: int = 0
    patients: Patients = field(default_factory=Patients)


class _Selection:
    """Some of the files, as `Members`."""

    def __init__(self, files: Members, study: _Study) -> None:
        self._files = files
        self._indexes = study.indexes
        self.size = study.size

    def __len__(self) -> int:
        return len(self._indexes)

    def read(self, index: int) -> memoryview:
        return self._files.read(self._indexes[index])


class CollectionWork:
    """A collection at work: `survey`, then `deliver` run through once, then `outcomes`.

    Args:
        files: the collection.
        policy: what to do.
        pseudonyms: the identities, for all studies.
        subject_id: the research identity of all studies; None derives one for each patient.
        progress: told about each file that is done.
    """

    def __init__(
        self,
        files: Members,
        policy: Policy,
        pseudonyms: Pseudonyms,
        subject_id: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._files = files
        self._policy = policy
        self._pseudonyms = pseudonyms
        self._subject = subject_id
        self._progress = progress or (lambda what, done, total: None)
        self._studies: dict[str, _Study] = {}
        self._outcomes: dict[int, Outcome] = {}

    def __repr__(self) -> str:
        return f"CollectionWork({len(self._files)} files)"

    @property
    def studies(self) -> int:
        """Number of studies, known after `survey`."""
        return len(self._studies)

    def survey(self) -> None:
        """Read every file and find the studies.

        Raises:
            DeidError: the subject ID is not legal, or is given for more than one patient.
        """
        if self._subject is not None:
            check_subject_id(self._policy.settings.subject_preface + self._subject)
        total = len(self._files)
        for index in range(total):
            try:
                data = self._files.read(index)
            except UnreadableError:
                self._withhold(index, "unreadable file")
            else:
                self._assign(index, data)
            self._progress(_READING, index + 1, total)
        if self._subject is not None and self._several_patients():
            raise DeidError(
                "A subject ID was given, but INPUT holds files of more than one patient.",
                "De-identify each patient's files for themselves, or leave the subject ID out: "
                "then each patient gets one.",
            )

    def _assign(self, index: int, data: memoryview) -> None:
        """Note which study a file belongs to."""
        try:
            instance = open_instance(data)
        except UnreadableError as error:
            self._withhold(index, f"unreadable: {error.code}")
            return
        uid = instance.text(_STUDY)
        if not uid:
            reason = bounce(instance, self._policy) or "no study instance UID"
            self._withhold(index, reason, _sop_class(instance))
            return
        study = self._studies.setdefault(uid, _Study(uid))
        study.indexes.append(index)
        study.size += len(data)
        study.patients.add(instance)

    def _withhold(self, index: int, reason: str, sop_class: str = "") -> None:
        instance = InstanceDisposition("", sop_class, "", Disposition.WITHHELD, reason)
        self._outcomes[index] = Outcome(index + 1, "", instance, (), "")

    def _several_patients(self) -> bool:
        """Tell whether the studies would get different identities, or one names two patients."""
        subjects = set()
        for study in self._studies.values():
            if study.patients.several and self._policy.settings.several_patients == "withhold":
                return True
            subjects.add(study.patients.subject(self._pseudonyms, study.uid))
        return len(subjects) > 1

    def deliver(self) -> Iterator[Delivered]:
        """Yield what may leave, study by study.

        Raises:
            DeidError: a subject ID is not legal.
        """
        for study in self._studies.values():
            work = StudyWork(
                _Selection(self._files, study),
                self._policy,
                self._pseudonyms,
                self._subject,
                progress=self._progress_from(len(self._outcomes)),
            )
            for one in work.deliver():
                yield Delivered(study.indexes[one.index], one.name, one.parts)
            self._note(study.indexes, work)

    def _progress_from(self, before: int) -> Callable[[int, int], None]:
        """Return a study's progress as that of the collection, of which so many are done."""

        def progress(done: int, _: int) -> None:
            self._progress(_DEIDENTIFYING, before + done, len(self._files))

        return progress

    def _note(self, indexes: Sequence[int], work: StudyWork) -> None:
        report = work.report()
        places: dict[str, list[str]] = {}
        for hit in report.residue:
            places.setdefault(hit.instance, []).append(hit.place)
        for index, instance in zip(indexes, report.instances, strict=True):
            # Not for a duplicate, which has the same name.
            residue = places.get(instance.instance, ()) if instance.reason == RESIDUE else ()
            self._outcomes[index] = Outcome(
                index + 1, report.study_uid, instance, tuple(residue), report.key_id
            )

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of each file, in the order of their positions."""
        return [self._outcomes[index] for index in sorted(self._outcomes)]


def _sop_class(instance: Instance) -> str:
    text = instance.text(_SOP_CLASS)
    return text if sop_class_name(text) else "unregistered" if text else ""


def count_by_reason(outcomes: Sequence[Outcome]) -> list[tuple[str, str, str, int]]:
    """Return disposition, reason, SOP class and number of files, the delivered ones first."""
    counts = Counter(
        (one.instance.disposition.value, one.instance.reason, one.instance.sop_class)
        for one in outcomes
    )
    return [(*group, count) for group, count in sorted(counts.items())]
