"""A bucket of Google Cloud Storage as a target.

What belongs here: putting an object there under a precondition and comparing what lies there
afterwards, and removing it with all of its versions. What does not: how a file is sent
(`gcs_upload.py`), how requests are repeated (`gcs_calls.py`), and the key (`keys.py`).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from google.api_core.exceptions import NotFound

from locutus_dagster.settings import GcsTargetSettings
from locutus_dagster.targets.base import (
    OccupiedError,
    Receipt,
    TargetContext,
    TargetError,
    Withdrawal,
)
from locutus_dagster.targets.gcs_calls import (
    GcsCalls,
    GcsConflictError,
    GcsMissingError,
)
from locutus_dagster.targets.gcs_client import GcsConnection, UnsettledError
from locutus_dagster.targets.gcs_reader import GcsReader
from locutus_dagster.targets.gcs_upload import SHA256_KEY, Digests, digests_of, upload
from locutus_dagster.targets.stores import address_of

__all__ = ["GcsTarget", "open_gcs"]

_NEEDED = tuple(f"storage.objects.{what}" for what in ("create", "get", "list", "delete"))
_LONGEST_NAME = 1024  # bytes of UTF-8
_READ_AHEAD = 4 * 1024**2


def open_gcs(settings: GcsTargetSettings, context: TargetContext) -> GcsTarget:
    """A workspace's bucket; nothing is asked of it yet."""
    return GcsTarget(settings, context)


@dataclass(frozen=True)
class _Object:
    """What the store says of one version of an object. `sha256` is None unless it is ours."""

    generation: str
    size: int
    crc32c: str
    sha256: str | None

    def is_of(self, digests: Digests) -> bool:
        return self.sha256 == digests.sha256 and self.has_the_bytes_of(digests)

    def has_the_bytes_of(self, digests: Digests) -> bool:
        return self.size == digests.size and self.crc32c == digests.crc32c_base64


class GcsTarget:
    """Deliveries as objects of one bucket.

    Args:
        settings: which bucket, and how it is asked.
        context: the target's name, and what resolves its credentials.
        pause: waits for some seconds between two attempts.
    """

    def __init__(
        self,
        settings: GcsTargetSettings,
        context: TargetContext,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = context.name
        self._settings = settings
        self._calls = GcsCalls(settings, context, pause)

    @property
    def place(self) -> str:
        """The bucket, and the endpoint where it is not Google's own."""
        endpoint = (self._settings.endpoint_url or "").rstrip("/")
        return f"{self._root}{f' at {endpoint}' if endpoint else ''}"

    @property
    def _root(self) -> str:
        return f"gs://{self._settings.bucket}"

    def store(self) -> str:
        """Which bucket of which store; a `gs://` address does not say it."""
        url = self._calls.endpoint()
        return f"gcs at {address_of(url)}/{self._settings.bucket}"

    def check(self) -> None:
        """Raise `TargetError` unless the bucket answers and grants what deliveries need."""
        self._calls.run(lambda connection: self._list(connection, "", limit=1))
        try:
            granted = self._calls.run(self._granted)
        except GcsMissingError:
            return  # not every gateway can be asked this, and the bucket has just answered
        if lacking := [one for one in _NEEDED if one not in granted]:
            raise TargetError(
                f"The account may not do all that deliveries to {self._root} need: it lacks "
                f"{', '.join(lacking)}.",
                "Give it the role Storage Object User on the bucket, then run again.",
            )

    def uri(self, key: str) -> str:
        """The `gs://` address of a key."""
        return f"{self._root}/{self._name(key)}"

    def free_bytes(self) -> int | None:
        """Not known of a bucket."""
        return None

    def close(self) -> None:
        """Let go of the connections."""
        self._calls.close()

    # -- delivering ------------------------------------------------------------------------

    def put(self, source: Path, key: str, *, sha256: str) -> Receipt:
        """Send the file under a precondition, and compare what the store then says it has."""
        name = self._name(key)
        with source.open("rb") as reader:
            digests = digests_of(reader)
            if digests.sha256 != sha256:
                raise TargetError(
                    "The file to be delivered has other bytes than were de-identified.",
                    "Run again; nothing was delivered.",
                )
            return self._put(reader, name, digests)

    def _put(self, reader: BinaryIO, name: str, digests: Digests) -> Receipt:
        present = self._look(name)
        if present is not None and present.sha256 is None:
            raise self._not_ours(OccupiedError)
        if present is not None and present.is_of(digests):
            return self._receipt(name, digests, present)
        try:
            generation = upload(
                reader,
                name,
                digests,
                replacing=int(present.generation) if present else 0,
                settings=self._settings,
                calls=self._calls,
            )
        except GcsConflictError:
            # It may be this very file, and the answer to the attempt that put it there was lost.
            found = self._look(name)
            if found is None or not found.is_of(digests):
                raise
            return self._receipt(name, digests, found)
        return self._confirmed(name, digests, generation)

    def _confirmed(self, name: str, digests: Digests, generation: str) -> Receipt:
        found = self._look(name)
        if found is not None and found.is_of(digests):
            return self._receipt(name, digests, found)
        if found is None or generation not in ("", found.generation):
            raise GcsConflictError(
                f"Another writer has changed a delivery in {self._root} right after it was made.",
                "See that only one installation delivers there, then run again.",
            )
        if found.sha256 != digests.sha256:
            raise GcsConflictError(
                f"Another writer has put something in the place of a delivery in {self._root}.",
                "See that only one installation delivers there, then run again.",
            )
        try:
            self._delete(name, found.generation)
        except TargetError as error:
            raise TargetError(
                f"{self._root} has stored other bytes than it was given, and does not remove them.",
                f"Remove generation {found.generation} by hand. {error}",
            ) from None
        raise TargetError(
            f"{self._root} has stored other bytes than it was given; they were removed.",
            "Check what lies between here and the store, then run again; nothing was delivered.",
        )

    def _receipt(self, name: str, digests: Digests, found: _Object) -> Receipt:
        return Receipt(
            f"{self._root}/{name}",
            digests.sha256,
            found.size,
            checksum=f"crc32c:{digests.crc32c}",
            version=found.generation,
        )

    # -- what was delivered ----------------------------------------------------------------

    def holds(self, uri: str, *, size: int, version: str = "") -> bool:
        """Whether the object has that size, and `version` is its newest generation."""
        name = self._name_in(uri)
        found = self._look(name)
        if found is None:
            # Says it when the bucket is gone as a whole: then nobody knows.
            self._calls.run(lambda connection: self._list(connection, name, limit=1))
            return False
        return found.size == size and version in ("", found.generation)

    def withdraw(self, uri: str, *, version: str = "") -> Withdrawal:
        """Remove every generation of the object, also those that are noncurrent, or the one named.

        Where one of them is not Locutus' own, all stay.

        What of an unfinished upload is left is no object and cannot be listed; the store forgets
        it after a week.
        """
        name = self._name_in(uri)
        size = 0
        going = self._generations(name, version)
        if any(one.sha256 is None for one in going):
            raise self._not_ours(TargetError)
        for one in going:
            self._delete(name, one.generation)
            size += one.size
        if going and self._generations(name, version):
            raise TargetError(
                f"A delivery still lies in {self._root} after it was removed.",
                "Something puts it back, or keeps its versions; see to that and run again.",
            )
        return Withdrawal(uri, bool(going), size)

    def open(self, uri: str) -> BinaryIO:
        """Read a delivery from the bucket, a part at a time; one may seek in it."""
        name = self._name_in(uri)
        found = self._look(name)
        if found is None:
            raise TargetError(
                f"The delivery is not in {self._root} any more.",
                "It may have been moved or withdrawn; the ledger still has its checksum.",
            )
        generation = found.generation
        timeout = self._settings.timeout

        def read(start: int, end: int) -> bytes:
            def action(connection: GcsConnection) -> bytes:
                blob = self._bucket(connection).blob(name, generation=int(generation))
                data: bytes = blob.download_as_bytes(
                    start=start,
                    end=end - 1,
                    raw_download=True,
                    timeout=timeout,
                    checksum=None,
                    retry=None,
                )
                if len(data) != end - start:
                    raise UnsettledError
                return data

            return self._calls.run(action)

        return io.BufferedReader(GcsReader(read, found.size), _READ_AHEAD)

    # -- the store -------------------------------------------------------------------------

    def _bucket(self, connection: GcsConnection) -> Any:
        return connection.client.bucket(self._settings.bucket)

    def _look(self, name: str) -> _Object | None:
        """The newest version of an object; None when there is none, or no bucket either."""

        def action(connection: GcsConnection) -> _Object | None:
            blob = self._bucket(connection).get_blob(
                name, timeout=self._settings.timeout, retry=None
            )
            return None if blob is None else _seen(blob)

        return self._calls.run(action)

    def _generations(self, name: str, version: str) -> list[_Object]:
        """All versions of an object, or the one that is named, if it is there."""
        found = self._calls.run(lambda connection: self._list(connection, name))
        return [
            _seen(blob)
            for blob in found
            if blob.name == name and version in ("", str(blob.generation))
        ]

    def _list(self, connection: GcsConnection, prefix: str, limit: int | None = None) -> list[Any]:
        found = connection.client.list_blobs(
            self._settings.bucket,
            prefix=prefix or None,
            max_results=limit,
            versions=True,
            timeout=self._settings.timeout,
            retry=None,
        )
        return list(found)

    def _delete(self, name: str, generation: str) -> None:
        """Remove one version; harmless when it is gone already."""

        def action(connection: GcsConnection) -> None:
            blob = self._bucket(connection).blob(name, generation=int(generation))
            try:
                blob.delete(timeout=self._settings.timeout, retry=None)
            except NotFound:
                return

        self._calls.run(action)

    def _granted(self, connection: GcsConnection) -> list[str]:
        granted: list[str] = self._bucket(connection).test_iam_permissions(
            list(_NEEDED), timeout=self._settings.timeout, retry=None
        )
        return granted

    def _not_ours(self, kind: type[TargetError]) -> TargetError:
        return kind(
            "Something that Locutus has not put there lies in the place of a delivery in "
            f"{self._root}; it was neither replaced nor removed.",
            "Look what it is, move it away in all its versions, or choose another key template; "
            "then run again.",
        )

    # -- names -----------------------------------------------------------------------------

    def _name(self, key: str) -> str:
        parts = key.split("/")
        if (
            any(part in ("", ".", "..") for part in parts)
            or any(ord(sign) < 32 for sign in key)
            or len(key.encode("utf-8", "surrogatepass")) > _LONGEST_NAME
        ):
            raise TargetError(
                "A key cannot be the name of an object, or leads out of the bucket.",
                "Correct `top` and `key_template` of the target: parts of a path, without '..'.",
            )
        return key

    def _name_in(self, uri: str) -> str:
        root, _, name = uri.partition(f"{self._root}/")
        if root or not name:
            raise TargetError(
                f"A delivery does not lie on {self._root}.",
                "It lies somewhere else than this workspace's target is now.",
            )
        return self._name(name)


def _seen(blob: Any) -> _Object:
    sha256 = (blob.metadata or {}).get(SHA256_KEY)
    return _Object(
        generation=str(blob.generation),
        size=int(blob.size or 0),
        crc32c=str(blob.crc32c or ""),
        sha256=str(sha256) if sha256 else None,
    )
