"""What counts as the same accession number, for every kind of source.

What belongs here: turning the accession number asked for into the exact text to compare with.
What does not: how a kind of source searches for it.
"""

from __future__ import annotations

from locutus_dagster.sources.base import SourceError

__all__ = ["unpadded", "wanted_accession"]


def unpadded(text: str) -> str:
    """Strip what DICOM pads a short string with: spaces, and the NUL of careless writers."""
    return text.strip(" \0")


def wanted_accession(accession_number: str) -> str:
    """The accession number without padding.

    Raises:
        SourceError: it is empty. An empty key matches every study of a PACS, so it is never sent.
    """
    wanted = unpadded(accession_number)
    if not wanted:
        raise SourceError(
            "The accession number is empty.", "Give this row of the manifest an accession number."
        )
    return wanted
