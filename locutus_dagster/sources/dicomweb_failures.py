"""What each failure of a DICOMweb server means, in words for people.

What belongs here: errors, with nothing in them that names a study. What does not: noticing a
failure (`dicomweb_api.py`).
"""

from __future__ import annotations

from locutus_dagster.sources.base import SourceError, SourceUnavailableError
from locutus_dagster.sources.dicomweb_terms import (
    GoneError,
    TransientError,
    UnreachableError,
    bad_url,
)

__all__ = ["Failures"]


class Failures:
    """The errors of one server.

    Args:
        place: where it is, as it may be shown.
        timeout: seconds that it is waited for.
        attempts: how often it is asked.
    """

    def __init__(self, place: str, *, timeout: float, attempts: int) -> None:
        self._place = place
        self._timeout = timeout
        self._attempts = attempts

    def refusal(self, status: int) -> Exception:
        """The error that fits a status other than success."""
        if status in (401, 403):
            return SourceUnavailableError(
                f"The DICOMweb server at {self._place} refuses these credentials (HTTP {status}).",
                "Check the source's username and password or its token, and that they may search"
                " and retrieve studies.",
            )
        if status in (404, 410):
            return GoneError()
        if status in (408, 429) or status >= 500:
            return TransientError(f"the server answered with HTTP status {status}")
        if status == 406:
            return SourceError(
                f"The DICOMweb server at {self._place} does not hand out instances as they are"
                " stored (HTTP 406).",
                "Let it accept `transfer-syntax=*` in WADO-RS; Locutus takes no converted images.",
            )
        return SourceError(
            f"The DICOMweb server at {self._place} does not accept the request (HTTP {status}).",
            "Look into the server's log.",
        )

    def translated(self, error: Exception) -> Exception:
        """Our own error for one of requests or urllib3, whose text may quote an address."""
        import requests
        import urllib3

        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return SourceUnavailableError(
                f"The TLS certificate of the DICOMweb server at {self._place} is not trusted.",
                "Give the source the file of its certificate authority in `verify`.",
            )
        if isinstance(error, requests.TooManyRedirects):
            return SourceUnavailableError(
                f"The DICOMweb server at {self._place} redirects elsewhere.",
                "Give the source the URL of the DICOMweb root itself.",
            )
        if isinstance(error, requests.exceptions.JSONDecodeError):
            return self.not_dicomweb()
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
            return bad_url()
        if isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in repr(error):
            return UnreachableError("the server did not accept the connection")
        if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
            return TransientError(f"the server sent nothing for {self._timeout:g} s")
        return TransientError("the connection broke")

    def unavailable(self, error: TransientError) -> SourceUnavailableError:
        """Our error for people, after the last attempt."""
        if isinstance(error, UnreachableError):
            return SourceUnavailableError(
                f"The DICOMweb server does not answer at {self._place}.",
                "Check the source's URL and the network, and that the server runs.",
            )
        return SourceUnavailableError(
            f"The DICOMweb server at {self._place} failed {self._attempts} times;"
            f" at last: {error}.",
            "Look into the server's log and load, then run again.",
        )

    def not_dicomweb(self) -> SourceUnavailableError:
        """The error for an answer that no DICOMweb server gives."""
        return SourceUnavailableError(
            f"What answers at {self._place} does not answer like a DICOMweb server.",
            "Check the source's URL: it ends before /studies, and a reverse proxy's path is part"
            " of it.",
        )
