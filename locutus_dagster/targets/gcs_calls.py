"""Asking Google Cloud Storage: how often, with which credentials, and what its refusals mean.

What belongs here: bounded retries, credentials that are resolved anew when they are refused, and
errors in words for people. What does not: what is asked (`gcs.py`, `gcs_upload.py`).

No message quotes an answer of the store: it names the object.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

import requests
import urllib3
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError, TransportError

from locutus_dagster.errors import LocutusError
from locutus_dagster.settings import GcsTargetSettings
from locutus_dagster.targets.base import TargetContext, TargetError
from locutus_dagster.targets.gcs_client import GcsConnection, UnsettledError, connect

__all__ = ["GcsCalls", "GcsConflictError", "GcsMissingError"]

_T = TypeVar("_T")
_AGAIN_STATUS = (408, 429, 500, 502, 503, 504)
_AGAIN_REASONS = ("rateLimitExceeded", "userRateLimitExceeded")
_KEPT_REASONS = ("retentionPolicyNotMet", "objectUnderActiveHold", "objectHoldNotReleased")
_REASON = re.compile(r"[A-Za-z]{1,40}")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 16.0  # seconds


class GcsMissingError(TargetError):
    """The bucket, or what is asked for in it, is not there (404)."""


class GcsConflictError(TargetError):
    """What lies there is not what was seen there before (412)."""


class GcsCalls:
    """Makes requests for one target; used by one thread at a time.

    Args:
        settings: of the target.
        context: whose secrets the credentials are resolved with.
        pause: waits for some seconds.
    """

    def __init__(
        self,
        settings: GcsTargetSettings,
        context: TargetContext,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._context = context
        self._pause = pause
        self._connection: GcsConnection | None = None

    def close(self) -> None:
        """Let go of the connections; the next request makes new ones."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def endpoint(self) -> str:
        """The address that is asked; the environment may name it.

        Raises:
            TargetError: the credentials cannot be used.
        """
        return str(self._connected().client.api_endpoint)

    def run(self, action: Callable[[GcsConnection], _T]) -> _T:
        """Do `action` until it is answered, at most `attempts` times.

        Args:
            action: makes a request or two with retries of their own switched off; it must be
                harmless to do it again when its answer was lost.

        Raises:
            GcsMissingError: 404.
            GcsConflictError: 412.
            TargetError: it is refused, or not answered.
        """
        failures = 0
        renewed = False
        while True:
            try:
                return action(self._connected())
            except _ERRORS as error:
                if _denied(error) and not renewed and self._renew():
                    renewed = True
                    continue
                failures += 1
                if not _worth_repeating(error) or failures >= self._settings.attempts:
                    raise self._in_words(error) from None
            self._pause(_pause_after(failures))

    def once(self, action: Callable[[GcsConnection], object]) -> bool:
        """Do `action` a single time, where it matters little; whether it was answered."""
        try:
            action(self._connected())
        except (*_ERRORS, LocutusError):
            return False
        return True

    def _connected(self) -> GcsConnection:
        if self._connection is None:
            self._connection = connect(self._settings, self._context.secrets)
        return self._connection

    def _renew(self) -> bool:
        """Take the credentials that are there now; False if they are those that were refused."""
        if self._settings.credentials is None:
            return False
        refused = self._connected()
        renewed = connect(self._settings, self._context.secrets, fresh=True)
        if renewed.secret == refused.secret:
            renewed.close()
            return False
        self.close()
        self._connection = renewed
        return True

    # -- in words --------------------------------------------------------------------------

    def _in_words(self, error: BaseException) -> TargetError:
        bucket = self._settings.bucket
        status, reason, text = _told(error)
        if status == 404:
            return GcsMissingError(
                f"The bucket {bucket} is not there (404).",
                "Check its name and the project that it lies in, or create it; then run again.",
            )
        if status == 412:
            return GcsConflictError(
                f"Another writer has changed a delivery in the bucket {bucket} meanwhile (412).",
                "Nothing of the other writer was overwritten. See that only one installation "
                "delivers there, then run again.",
            )
        if reason in _KEPT_REASONS or (status == 403 and "retention" in text):
            return TargetError(
                f"The bucket {bucket} does not let a delivery be removed or replaced yet: a "
                "retention policy or a hold keeps it.",
                "Wait until it has run out, or let the bucket's owner lift it; then run again.",
            )
        if status == 400 and ("crc32c" in text or "hash" in text):
            return TargetError(
                f"The bucket {bucket} has received other bytes than it was told of (400).",
                "Something changes them on the way, or the file was changed meanwhile. Nothing "
                "was delivered; run again.",
            )
        if status == 403 and "kms" in text:
            return TargetError(
                f"The bucket {bucket} may not use the encryption key that is set (403).",
                "Let the project's Cloud Storage service agent encrypt and decrypt with "
                "`kms_key_name`, and see that the key is enabled; then run again.",
            )
        if _denied(error):
            what = f"{status}{f', {reason}' if reason else ''}" if status else "no access token"
            return TargetError(
                f"The bucket {bucket} refuses the credentials ({what}).",
                "Give the account the role Storage Object User on the bucket, or set a key that "
                "is valid, and run again; finished work is kept.",
            )
        if _worth_repeating(error):
            why = str(status) if status else type(error).__name__
            return TargetError(
                f"The bucket {bucket} cannot be reached (tried {self._settings.attempts} times, "
                f"last: {why}).",
                "Check the network, and the endpoint if one is set; then run again. Finished "
                "work is kept.",
            )
        what = ", ".join(str(one) for one in (status, reason) if one) or type(error).__name__
        return TargetError(
            f"The bucket {bucket} refuses a request ({what}).",
            "Compare the target's settings with those of the bucket, then run again.",
        )


_ERRORS = (
    GoogleAPICallError,
    GoogleAuthError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    UnsettledError,
)


def _told(error: BaseException) -> tuple[int, str, str]:
    """Status, reason and text (in small letters) of a refusal; the text is never shown."""
    if isinstance(error, UnsettledError):
        return error.status, "", ""
    if not isinstance(error, GoogleAPICallError):
        return 0, "", ""
    reason = ""
    for detail in error.errors or ():
        if isinstance(detail, dict):
            reason = str(detail.get("reason", ""))
            break
    shown = reason if _REASON.fullmatch(reason) else ""
    return int(error.code or 0), shown, str(error.message).lower()


def _worth_repeating(error: BaseException) -> bool:
    if isinstance(error, GoogleAPICallError | UnsettledError):
        status, reason, _ = _told(error)
        # Below 400 it was a yes, but one that does not say what it should.
        return (
            status < 400 or status in _AGAIN_STATUS or (status == 403 and reason in _AGAIN_REASONS)
        )
    if isinstance(error, GoogleAuthError):
        return isinstance(error, TransportError) or bool(error.retryable)
    if isinstance(error, requests.JSONDecodeError):
        return True  # cut off
    return not isinstance(error, ValueError)  # such as an address that is none


def _denied(error: BaseException) -> bool:
    if isinstance(error, GoogleAPICallError | UnsettledError):
        status, reason, _ = _told(error)
        kept = reason in _KEPT_REASONS or reason in _AGAIN_REASONS
        return status == 401 or (status == 403 and not kept)
    return isinstance(error, GoogleAuthError) and not _worth_repeating(error)


def _pause_after(failures: int) -> float:
    """Seconds, longer after each failure and not the same for workers that fail together."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (failures - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311
