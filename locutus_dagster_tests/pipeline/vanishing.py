"""Parts whose source answers for one accession and has gone for the next."""

from __future__ import annotations

from locutus_dagster.pipeline.parts import Parts, build_parts
from locutus_dagster.settings import Settings
from locutus_dagster.sources.base import FoundStudy, SourceUnavailableError


def parts(settings: Settings, workspace: str) -> Parts:
    """The real parts, but for the source's second answer."""
    made = build_parts(settings, workspace)
    real = made.source.find
    asked: list[str] = []

    def find(accession_number: str) -> list[FoundStudy]:
        asked.append(accession_number)
        if len(asked) > 1:
            raise SourceUnavailableError("The PACS has gone.", "Look after it.")
        return real(accession_number)

    made.source.find = find  # type: ignore[method-assign]
    return made
