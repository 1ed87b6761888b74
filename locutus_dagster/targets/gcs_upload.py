"""Sending a file to Google Cloud Storage: all of it under one precondition, or nothing.

What belongs here: the checksums of a file, the upload in one request, and the resumable one that
goes on where the store says that it is. What does not: what lies there before and is compared
afterwards (`gcs.py`).
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Any, BinaryIO

import google_crc32c
import requests
from google.api_core.exceptions import from_http_response
from google.cloud.storage import Blob  # type: ignore[import-untyped]

from locutus_dagster.settings import GcsTargetSettings
from locutus_dagster.targets.base import TargetError
from locutus_dagster.targets.gcs_calls import GcsCalls
from locutus_dagster.targets.gcs_client import GcsConnection, UnsettledError

__all__ = ["SHA256_KEY", "Digests", "digests_of", "upload"]

#: The metadata under which our checksum stands; it also says that an object is ours.
SHA256_KEY = "locutus-sha256"
_CONTENT_TYPE = "application/zip"
_READ = 1024 * 1024
# The store takes parts of a multiple of this size only.
_UNIT = 256 * 1024
# Up to this size one request does what takes two otherwise; Google's library draws the same line.
_WHOLE = 8 * 1024**2
_RANGE = re.compile(r"bytes=0-(\d+)")


@dataclass(frozen=True)
class Digests:
    """What a file is told from others by.

    Attributes:
        sha256: in hex.
        crc32c: in hex.
        size: in bytes.
    """

    sha256: str
    crc32c: str
    size: int

    @property
    def crc32c_base64(self) -> str:
        """As the store writes it."""
        return base64.b64encode(bytes.fromhex(self.crc32c)).decode("ascii")


def digests_of(reader: BinaryIO) -> Digests:
    """Read a file from where `reader` is to its end."""
    sha256 = hashlib.sha256()
    crc32c = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    size = 0
    while block := reader.read(_READ):
        sha256.update(block)
        crc32c.update(block)  # type: ignore[no-untyped-call]
        size += len(block)
    crc32c_digest: bytes = crc32c.digest()  # type: ignore[no-untyped-call]
    return Digests(sha256.hexdigest(), crc32c_digest.hex(), size)


def upload(
    reader: BinaryIO,
    name: str,
    digests: Digests,
    *,
    replacing: int,
    settings: GcsTargetSettings,
    calls: GcsCalls,
) -> str:
    """Send a file.

    Args:
        reader: the file; it is read again from any place.
        name: of the object.
        digests: of the file; the store is told the crc32c and refuses other bytes.
        replacing: the generation that must lie there at the end; 0 for none.
        settings: of the target.
        calls: how requests are made.

    Returns:
        The generation that it became, as the store says; empty where it does not say.

    Raises:
        GcsConflictError: something else lies there. It may be this very file: the answer to an
            earlier attempt may have been lost.
        TargetError: it was not taken.
    """
    one = _Upload(reader, name, digests, replacing, settings, calls)
    return one.in_one_request() if digests.size <= min(_WHOLE, one.part) else one.in_parts()


class _Upload:
    def __init__(
        self,
        reader: BinaryIO,
        name: str,
        digests: Digests,
        replacing: int,
        settings: GcsTargetSettings,
        calls: GcsCalls,
    ) -> None:
        self._reader = reader
        self._name = name
        self._digests = digests
        self._replacing = replacing
        self._settings = settings
        self._calls = calls
        self.part = settings.part_size // _UNIT * _UNIT
        self._url = ""
        self._offset = 0
        self._certain = True
        self._begun = 0
        self._generation: str | None = None

    def in_one_request(self) -> str:
        """For a small file."""
        return self._calls.run(self._whole)

    def in_parts(self) -> str:
        """For any file: each part is sent until the store has it."""
        try:
            while self._generation is None:
                self._calls.run(self._step)
        except BaseException:
            self._give_up()
            raise
        return self._generation

    def _whole(self, connection: GcsConnection) -> str:
        blob = self._blob(connection)
        blob.upload_from_string(
            self._bytes(0, self._digests.size),
            content_type=_CONTENT_TYPE,
            if_generation_match=self._replacing,
            timeout=self._settings.timeout,
            checksum=None,
            retry=None,
        )
        return str(blob.generation or "")

    # -- in parts --------------------------------------------------------------------------

    def _step(self, connection: GcsConnection) -> None:
        """Send one part; what is known of the upload outlives a failure."""
        if not self._url:
            self._begin(connection)
        elif not self._certain:
            # What has become of the last part is for the store to say.
            self._put(connection, b"", f"bytes */{self._digests.size}")
        if self._generation is None:
            before = self._offset
            data = self._bytes(before, min(self.part, self._digests.size - before))
            last = before + len(data) - 1
            self._put(connection, data, f"bytes {before}-{last}/{self._digests.size}")
            if self._generation is None and self._offset <= before:
                raise UnsettledError

    def _begin(self, connection: GcsConnection) -> None:
        self._begun += 1
        if self._begun > self._settings.attempts:
            raise TargetError(
                f"The bucket {self._settings.bucket} forgets uploads before they are complete.",
                "Check the endpoint if one is set, then run again; nothing was delivered.",
            )
        self._offset = 0
        self._url = self._blob(connection).create_resumable_upload_session(
            content_type=_CONTENT_TYPE,
            size=self._digests.size,
            if_generation_match=self._replacing,
            timeout=self._settings.timeout,
            checksum=None,
            retry=None,
        )
        self._certain = True

    def _put(self, connection: GcsConnection, data: bytes, content_range: str) -> None:
        self._certain = False
        response = connection.session.put(
            self._url,
            data=data,
            headers={"Content-Range": content_range, "Content-Length": str(len(data))},
            timeout=self._settings.timeout,
            allow_redirects=False,
        )
        if response.status_code == 308:
            self._offset = self._received(response)
            self._certain = True
        elif response.status_code in (200, 201):
            self._generation = _generation(response)
        elif response.status_code in (404, 410):
            # The store has let go of the upload, so it begins anew.
            self._url = ""
            raise UnsettledError
        else:
            raise from_http_response(response)  # type: ignore[no-untyped-call]

    def _received(self, response: requests.Response) -> int:
        """How many bytes the store says that it has."""
        told = _RANGE.fullmatch(response.headers.get("Range", ""))
        received = int(told.group(1)) + 1 if told else 0
        # A store that has it all and does not say so would be sent nothing for ever.
        if received >= self._digests.size:
            self._url = ""
            raise UnsettledError
        return received

    def _give_up(self) -> None:
        """Tell the store to forget what it has; it would keep that for a week."""

        def cancel(connection: GcsConnection) -> None:
            connection.session.delete(self._url, timeout=min(5.0, self._settings.timeout))

        if self._url:
            self._calls.once(cancel)

    # -- the file --------------------------------------------------------------------------

    def _blob(self, connection: GcsConnection) -> Any:
        blob = Blob(
            self._name,
            connection.client.bucket(self._settings.bucket),
            kms_key_name=self._settings.kms_key_name,
        )
        blob.metadata = {SHA256_KEY: self._digests.sha256}
        blob.crc32c = self._digests.crc32c_base64
        return blob

    def _bytes(self, offset: int, count: int) -> bytes:
        self._reader.seek(offset)
        data = self._reader.read(count)
        if len(data) != count:
            raise TargetError(
                "The file to be delivered has changed while it was sent.",
                "Run again; nothing was delivered.",
            )
        return data


def _generation(response: requests.Response) -> str:
    try:
        told = response.json()
    except ValueError:
        return ""
    return str(told.get("generation", "")) if isinstance(told, dict) else ""
