"""Which Orthanc it is that answers, and what can be asked of it.

What belongs here: reading `/system`. What does not: asking for it (`orthanc_api.py`).

What Locutus uses is all there in Orthanc 1.10.0, which calls its REST API version 16:
`/tools/find` with `Expand` and `CaseSensitive`, `/tools/bulk-content` (1.9.4), `/changes` (1.5.2
for its `Last`), and `/instances/{id}/attachments/dicom/info` with length and MD5 (1.10.0). Options
of later versions are silently ignored by earlier ones, so none is relied upon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from locutus_dagster.sources.base import SourceUnavailableError

__all__ = ["System", "system_in"]

_OLDEST_API = 16  # Orthanc 1.10.0
_NOTICES_DELETIONS_API = 21  # Orthanc 1.12.1


@dataclass(frozen=True)
class System:
    """An Orthanc that can be used.

    Attributes:
        name: what it calls itself.
        version: e.g. "1.12.4", or "mainline" for one between versions.
        api_version: the version of its REST API, which also a "mainline" tells.
        notices_deletions: a study's LastUpdate moves when an instance of it is deleted.
    """

    name: str
    version: str
    api_version: float
    notices_deletions: bool


def system_in(answer: Mapping[str, Any], place: str) -> System | None:
    """What an answer to `/system` says; None if no Orthanc gives such an answer.

    Raises:
        SourceUnavailableError: this Orthanc is too old.
    """
    version, api_version = answer.get("Version"), answer.get("ApiVersion", 0)
    if not isinstance(version, str) or isinstance(api_version, bool):
        return None
    try:
        api = float(api_version)  # versions before 1.6 said "1.4", as a text
    except (TypeError, ValueError):
        return None
    if api < _OLDEST_API:
        raise SourceUnavailableError(
            f"Orthanc at {place} is version {version[:20]}, which is older than 1.10.",
            "Update Orthanc to version 1.10 or later.",
        )
    return System(
        name=str(answer.get("Name", "")),
        version=version,
        api_version=api,
        notices_deletions=api >= _NOTICES_DELETIONS_API,
    )
