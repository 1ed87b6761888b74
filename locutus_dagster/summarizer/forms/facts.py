"""What stands above and below a report's rows: the facts of its head, and its counts.

What belongs here: which of them there are, in which order, under which names. What does not: how a
form writes them.

Facts and counts come in the reference's order; what the reference has not comes after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from locutus_dagster import __version__
from locutus_dagster.ledger.schema import Accession, ManifestRow
from locutus_dagster.ledger.states import State
from locutus_dagster.summarizer.forms.wording import duration, minute, second
from locutus_dagster.summarizer.model import Bucket, Failure, Summary

__all__ = [
    "NEEDS_A_PERSON",
    "ON_THE_WAY",
    "PROGRESS",
    "Section",
    "failure_label",
    "head",
    "named_accessions",
    "pace_words",
    "sections",
]

_NOT_FOUND = "NOT_FOUND"
#: The states as an accession passes through them: what is done first, what went wrong last.
PROGRESS = (
    State.DELIVERED,
    State.DEIDENTIFIED,
    State.EXTRACTED,
    State.REQUESTED,
    State.LOADED,
    State.PENDING,
    State.WAITING,
    State.AMBIGUOUS,
    State.DROPPED,
    State.RECALLED,
    State.FAILED,
)
ON_THE_WAY = (
    State.LOADED,
    State.REQUESTED,
    State.EXTRACTED,
    State.DEIDENTIFIED,
    State.PENDING,
    State.WAITING,
)
NEEDS_A_PERSON = (State.FAILED, State.AMBIGUOUS)


@dataclass(frozen=True)
class Section:
    """Counts that belong together.

    Attributes:
        key: for programs.
        title: for people.
    """

    key: str
    title: str
    counts: Sequence[Bucket]

    @property
    def noted(self) -> bool:
        """Whether any of the counts has a note."""
        return any(one.note for one in self.counts)


def head(summary: Summary) -> dict[str, str]:
    """The facts of the head: label → value.

    What the summary's settings say of a fact of the same label stands in its place; the others
    follow.
    """
    return {
        "JOB DESCRIPTION": summary.title,
        "INPUT MANIFEST": ", ".join(summary.manifests),
        "AS OF DATETIME": f"{second(summary.as_of)} (UTC)",
        "APP_NAME": "Locutus on Dagster",
        "APP_VERSION": __version__,
        "MODULE": "ONPREM",
        "WORKSPACES_ENABLED": "True",
        "WORKSPACE_NAME": summary.workspace,
        "WORKSPACE_MANIFEST_TABLE": ManifestRow.__tablename__,
        "WORKSPACE_STATUS_TABLE": Accession.__tablename__,
        "TOTAL_WORKSPACE_ACCESSIONS": str(summary.workspace_accessions),
        "SHOW_ACCESSIONS": str(summary.detailed),
        "SHOW_MULTIUUIDS": "False",
        "REDACT_ACCESSIONS": str(summary.redacted),
        "ENABLE_DB_UPDATES": "False",
        "PRELOAD_NEW_ACCESSIONS": "False",
        "PRESET_REPROCESSING_STATUS": "False",
        "RESOLVE_MULTIUUIDS": "False",
        **summary.settings,
    }


def failure_label(failure: Failure) -> str:
    """A group of failures in one line."""
    return f"phase {failure.phase:02d}: {failure.reason}"


def pace_words(summary: Summary) -> str:
    """How fast a batch that runs goes on, and when it is through; empty when none runs."""
    if summary.pace is None:
        return ""
    speed = f"{summary.pace:,.0f} accessions an hour"
    if summary.eta is None:
        return speed
    try:
        end = minute(summary.as_of + summary.eta)
    except OverflowError:
        return speed
    return f"{speed}; what is open takes {duration(summary.eta)}, until {end}"


def named_accessions(summary: Summary, numbers: Sequence[str]) -> list[str]:
    """Accession numbers that a form may list: none of a redacted report."""
    return [] if summary.redacted else [number for number in numbers if number]


def sections(summary: Summary) -> list[Section]:
    """All counts; the second section and NOT_FOUND add up to the rows."""
    found = [
        Section("totals", "Totals", _totals(summary)),
        Section("known", "Known Status", [b for b in summary.buckets if b.label != _NOT_FOUND]),
        Section("grouped", "Dynamically Grouped", summary.grouped),
        Section("states", "States", _states(summary)),
        Section(
            "failures",
            "Failures",
            [Bucket(failure_label(one), one.accessions) for one in summary.failures],
        ),
    ]
    if summary.stage is not None:
        stage = summary.stage
        counts = [
            Bucket("studies that the source holds", stage.studies),
            Bucket("of these, accessions that no manifest names", len(stage.unnamed)),
            Bucket("rows that the source holds no study for", len(stage.lacking)),
        ]
        found.append(Section("stage", "Stage", counts))
    return found


def _totals(summary: Summary) -> list[Bucket]:
    in_buckets = sum(one.count for one in summary.buckets if one.label == _NOT_FOUND)
    return [
        Bucket("TOTAL_ACCESSIONS_IN_MANIFEST", summary.rows),
        Bucket("ACCESSIONS_WITH_TEXT", summary.with_text),
        Bucket("DUPLICATE_ACCESSIONS_IN_MANIFEST", summary.duplicates),
        Bucket(_NOT_FOUND, in_buckets or len(summary.not_found)),
    ]


def _states(summary: Summary) -> list[Bucket]:
    return [Bucket(state.value, summary.states.get(state, 0)) for state in PROGRESS]
