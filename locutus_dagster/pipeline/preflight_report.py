"""What a preflight comes to: totals, and what may get in the way of a run.

What belongs here: adding records up one by one, warnings in words. What does not: making records
(`preflight.py`), the CSV (`preflight_csv.py`), how it is shown (`cli/`, `defs/`).
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from locutus_dagster.pipeline.foreseen import Foreseen, Would
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.queueing import PauseSwitch
from locutus_dagster.settings import ShareTargetSettings

__all__ = [
    "Circumstances",
    "PreflightSummary",
    "circumstances",
    "in_words",
    "summed",
    "unplaced",
]

_LINES_NAMED = 10
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_SAID_BY_ATTENTION = frozenset({Would.PENDING, Would.AMBIGUOUS})
_WORTH_A_LINE = frozenset({Would.CHANGED, Would.LEAVE, Would.REFUSE, Would.WAITING})


def in_words(size: int) -> str:
    """A number of bytes for people, in units of 1000."""
    amount, unit = float(size), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:,.{1 if unit and amount < 99.95 else 0}f} {_UNITS[unit]}"


@dataclass(frozen=True)
class Circumstances:
    """What a run would find beside its accessions. Sizes are bytes.

    Attributes:
        scratch_limit: of all rooms of the scratch space together.
        scratch_free: of the file system that it lies on, None where that is not known.
        target_free: of the fullest target; None where that is not known.
        workers: how many work at a time.
        in_the_way: what must be seen to before a run, in words.
        notes: what is good to know before a run, in words.
    """

    scratch_limit: int
    scratch_free: int | None = None
    target_free: int | None = None
    workers: int = 1
    in_the_way: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def circumstances(parts: Parts) -> Circumstances:
    """Look at the scratch space, the target and the switches; nothing is written to find out."""
    in_the_way: list[str] = []
    notes: list[str] = []
    in_the_way.extend(
        f"The share {target.path} is not there. Mount it, or create the folder."
        for target in parts.workspace_settings.targets.values()
        if isinstance(target, ShareTargetSettings) and not target.path.expanduser().is_dir()
    )
    paused = PauseSwitch(parts.ledger).why()
    if paused:
        notes.append(f"A run would begin nothing: {paused}.")
    if parts.secret_created:
        notes.append(
            f"Workspace '{parts.workspace}' has no pseudonymisation secret yet; the first run "
            "makes one. Until then a temporary one stands in for it, which is kept nowhere."
        )
    if parts.settings.keep_interim_files:
        notes.append(
            "LOCUTUS_KEEP_INTERIM_FILES is on: identified studies would stay in "
            f"{parts.settings.scratch_dir}."
        )
    return Circumstances(
        scratch_limit=parts.interim.limit,
        scratch_free=_free_under(parts),
        target_free=_least_free(parts),
        workers=max(1, parts.settings.workers),
        in_the_way=tuple(in_the_way),
        notes=tuple(notes),
    )


def _least_free(parts: Parts) -> int | None:
    """What the fullest of the targets that know it has room for."""
    known = [target.free_bytes() for target in parts.targets.values()]
    return min((free for free in known if free is not None), default=None)


def _free_under(parts: Parts) -> int | None:
    """What is free where the scratch space lies, or will lie once it has been made."""
    with suppress(OSError):
        return parts.interim.free_bytes()
    root: Path = parts.interim.root
    for folder in root.parents:
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return None


@dataclass
class PreflightSummary:
    """Totals over records; it keeps none of them. Sizes are bytes.

    Attributes:
        around: what the space that is needed is held against; None: nothing is.
        items: how many records.
        outcomes: what would happen → records; they add up to `items`.
        instances, size, delivery: of the studies that would be worked on.
        withheld: reason → instances that will certainly be withheld.
        resumable: accessions that would be gone on with from this host's interim store.
        elsewhere: host → accessions that could be gone on with there.
        all_withheld: accessions of which nothing could be delivered.
        several_patients: accessions with studies of different patients.
        too_large: accessions that need more than the limit of the scratch space.
        largest: the most scratch space that one accession needs.
        busy: accessions that another run has in hand.
        attention: accessions that a person should look at.
        source: what the source says of what it holds and cannot hand out, in words.
    """

    around: Circumstances | None = None
    items: int = 0
    outcomes: Counter[Would] = field(default_factory=Counter)
    instances: int = 0
    size: int = 0
    delivery: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    resumable: int = 0
    elsewhere: Counter[str] = field(default_factory=Counter)
    all_withheld: int = 0
    several_patients: int = 0
    too_large: int = 0
    largest: int = 0
    busy: int = 0
    attention: int = 0
    source: tuple[str, ...] = ()

    def hear(self, checked: Mapping[str, object]) -> None:
        """Take in what `StudySource.check` has said of files that no accession can be found by."""
        said = (
            ("unattributed", "belong to no accession number"),
            ("unreadable", "could not be read"),
        )
        self.source = tuple(
            f"{checked[key]:,} files of the source {what}."
            for key, what in said
            if checked.get(key)
        )

    def add(self, record: Foreseen) -> None:
        """Count one record."""
        self.items += 1
        self.outcomes[record.would] += 1
        self.busy += record.busy
        self.several_patients += record.patients > 1
        self.elsewhere.update(record.elsewhere)
        self.too_large += self._too_large(record)
        self.attention += bool(self.attention_for(record))
        if not record.works:
            return
        self.instances += record.instances
        self.size += record.size
        self.delivery += record.delivery
        self.withheld.update(dict(record.withheld))
        self.resumable += bool(record.resumable)
        self.all_withheld += record.all_withheld
        self.largest = max(self.largest, record.scratch)

    def attention_for(self, record: Foreseen) -> tuple[str, ...]:
        """What a person should look at of one record, here where the space is known."""
        if not self._too_large(record):
            return record.attention
        return (*record.attention, f"{in_words(record.scratch)} of scratch space are too much")

    def notes_on(self, record: Foreseen) -> list[str]:
        """All there is to say of one record beside what would happen, attention first."""
        found = list(self.attention_for(record))
        if record.why and record.why not in found and record.would not in _SAID_BY_ATTENTION:
            found.append(record.why)
        found += [f"{count:,} withheld: {reason}" for reason, count in record.withheld]
        found += [f"interim files on host {host}" for host in record.elsewhere]
        if record.busy:
            found.append("another run has it in hand")
        return found

    def _too_large(self, record: Foreseen) -> bool:
        return self.around is not None and record.scratch > self.around.scratch_limit

    def worth_a_line(self, record: Foreseen) -> bool:
        """Whether a person wants to see it among thousands that will just be processed."""
        return bool(
            self.attention_for(record)
            or record.elsewhere
            or record.busy
            or record.would in _WORTH_A_LINE
        )

    @property
    def instances_withheld(self) -> int:
        """Instances that will certainly be withheld."""
        return sum(self.withheld.values())

    @property
    def needs_attention(self) -> bool:
        """Whether a person should look before a run."""
        return bool(self.attention or self.in_the_way())

    def in_the_way(self) -> list[str]:
        """What keeps a run from finishing, in words: the target, and space that is lacking."""
        if self.around is None:
            return []
        around, found = self.around, list(self.around.in_the_way)
        limit, free = around.scratch_limit, around.scratch_free
        if self.too_large:
            found.append(
                f"{_accessions(self.too_large, 'needs', 'need')} more scratch space than "
                f"LOCUTUS_SCRATCH_LIMIT allows ({in_words(limit)}), at most "
                f"{in_words(self.largest)}, and would fail. Raise it."
            )
        at_once = min(limit, around.workers * self.largest)
        if free is not None and at_once > free:
            found.append(
                f"The scratch space may need {in_words(at_once)} at a time "
                f"({around.workers} workers, {in_words(self.largest)} for the largest study), and "
                f"its file system has {in_words(free)} left. Make room, or set LOCUTUS_SCRATCH, "
                "LOCUTUS_SCRATCH_LIMIT or LOCUTUS_WORKERS."
            )
        if around.target_free is not None and self.delivery > around.target_free:
            found.append(
                f"Up to {in_words(self.delivery)} would be delivered, and the target has room for "
                f"{in_words(around.target_free)}."
            )
        return found

    def warnings(self) -> list[str]:
        """All there is to say before a run, in words, what is in the way first."""
        counted = (
            (self.outcomes[Would.PENDING], "no study at the source"),
            (self.outcomes[Would.AMBIGUOUS], "several studies at the source"),
            (self.outcomes[Would.FAIL], "a failure to expect"),
            (self.all_withheld, "a study of which every instance will be withheld"),
            (self.several_patients, "studies of different patients"),
        )
        found = self.in_the_way()
        found += [
            f"{_accessions(count, 'has', 'have')} {what}." for count, what in counted if count
        ]
        found += [
            f"{_accessions(count, 'has', 'have')} interim files on host {host}: a run there would "
            "go on from them, one here starts from the source."
            for host, count in sorted(self.elsewhere.items())
        ]
        if self.busy:
            found.append(f"{_accessions(self.busy, 'is', 'are')} in the hands of another run.")
        if self.around is not None:
            together = self.around.workers * self.largest
            if self.largest <= self.around.scratch_limit < together:
                found.append(
                    f"{self.around.workers} workers with the largest study each would need "
                    f"{in_words(together)} of scratch space; at "
                    f"{in_words(self.around.scratch_limit)} they wait for each other."
                )
            found += self.around.notes
        return [*found, *self.source]


def summed(records: Iterable[Foreseen], around: Circumstances | None = None) -> PreflightSummary:
    """The totals over records, which are not kept."""
    summary = PreflightSummary(around)
    for record in records:
        summary.add(record)
    return summary


def unplaced(lines: Sequence[int]) -> list[str]:
    """What to say of lines of an accession file that the workspace knows nothing of."""
    if not lines:
        return []
    named = ", ".join(map(str, lines[:_LINES_NAMED]))
    more = f" and {len(lines) - _LINES_NAMED:,} more" if len(lines) > _LINES_NAMED else ""
    return [f"The workspace does not know what the accession file names in line {named}{more}."]


def _accessions(count: int, one: str, many: str) -> str:
    return f"1 accession {one}" if count == 1 else f"{count:,} accessions {many}"
