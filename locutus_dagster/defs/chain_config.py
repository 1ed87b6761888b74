"""What a run of the chain may be told, in the launchpad, in a file for CI, or by the command line.

What belongs here: the fields of the step's configuration, and what of a run they become. What does
not: doing it (`step.py`). Nothing here may identify anybody: Dagster keeps a run's configuration.
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of the fields.
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from locutus_dagster.ledger.selection import Selection
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.settings import Reprocess, Settings, Sweep

__all__ = ["ChainConfig"]


class ChainConfig(dg.Config):
    """What to process, and how. Partitions that are selected are narrowed by the filters."""

    file: str | None = Field(
        default=None, description="A manifest file to load and process in this run."
    )
    name: str | None = Field(
        default=None, description="The manifest's name; by default the file's name."
    )
    manifest: str | None = Field(
        default=None, description="The name of a manifest that has been loaded before."
    )
    partitions: list[str] = Field(
        default=[], description="Exactly these partitions (keys such as batch1~000007)."
    )
    status: list[str] = Field(
        default=[],
        description="Only accessions that stand so: pending, failed, unfinished, !delivered, or "
        "the beginning of one of the reference's words, such as ERROR_PHASE04.",
    )
    subject: list[str] = Field(default=[], description="Only these research subjects.")
    accession_file: str | None = Field(
        default=None, description="Only the accessions that this file lists, one a line."
    )
    changed_since: str | None = Field(
        default=None,
        description="Only accessions whose state has changed since: a date, or 2h, 3d, 1w.",
    )
    everything: bool = Field(
        default=False, description="All of the workspace, where nothing else is named."
    )
    reprocess: str | None = Field(
        default=None,
        description="What becomes of finished accessions: "
        + ", ".join(mode.value for mode in Reprocess),
    )
    withdraw: bool | None = Field(
        default=None, description="Remove superseded deliveries from their target."
    )
    sweep: str | None = Field(
        default=None,
        description="What else is gone on with: " + ", ".join(mode.value for mode in Sweep),
    )
    until_converged: bool | None = Field(
        default=None, description="Pass after pass until nothing is left that can change."
    )
    max_passes: int | None = Field(default=None, description="The most passes to make.")
    pass_wait: float | None = Field(default=None, description="Seconds between two passes.")
    allow_processing_of_duplicates: bool | None = Field(
        default=None, description="Process an accession again for each row that names it."
    )
    check_source: bool | None = Field(
        default=None, description="Ask the source whether delivered studies have changed."
    )
    label: str | None = Field(default=None, description="A name for this batch, kept with it.")
    dry_run: bool = Field(default=False, description="Say what would happen, and change nothing.")

    def options(self, settings: Settings) -> RunOptions:
        """How the run goes about it.

        Raises:
            LocutusError: a word is none of those that can be chosen from.
        """
        return RunOptions.of(
            settings,
            reprocess=self.reprocess,
            withdraw=self.withdraw,
            sweep=self.sweep,
            until_converged=self.until_converged,
            max_passes=self.max_passes,
            pass_wait=self.pass_wait,
            allow_processing_of_duplicates=self.allow_processing_of_duplicates,
            check_source=self.check_source,
            label=self.label,
        )

    def selection(self, manifest: str | None) -> Selection:
        """The filter; `manifest` is the one that was named or loaded.

        Raises:
            LocutusError: a word cannot be understood, or the file cannot be read.
        """
        from locutus_dagster.pipeline.choosing import selection

        chosen = selection(
            manifests=(manifest,) if manifest else (),
            statuses=tuple(self.status),
            subjects=tuple(self.subject),
            accession_file=Path(self.accession_file) if self.accession_file else None,
            changed_since=self.changed_since,
        )
        return replace(chosen, partition_keys=tuple(self.partitions))

    def given(self) -> dict[str, Any]:
        """What was said, for a run's configuration; what was left out is not in it."""
        return self.model_dump(exclude_unset=True)
