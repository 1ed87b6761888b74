"""A bucket of Amazon S3, or of a store that speaks its protocol, as a target.

What belongs here: what may be put over what, what counts as confirmed, and removing every version.
What does not: looking (`s3_objects.py`), sending (`s3_upload.py`) and asking (`s3_client.py`).

An object is Locutus' own if it carries `locutus-sha256` in its metadata. Nothing else is ever
replaced or removed.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote, unquote_to_bytes

from locutus_dagster.settings import S3TargetSettings
from locutus_dagster.targets.base import (
    OccupiedError,
    Receipt,
    TargetContext,
    TargetError,
    Withdrawal,
)
from locutus_dagster.targets.s3_answers import RefusedError
from locutus_dagster.targets.s3_client import Bucket, library
from locutus_dagster.targets.s3_objects import METADATA, Standing, look, remove, standing, versions
from locutus_dagster.targets.s3_reading import ObjectStream
from locutus_dagster.targets.s3_upload import Survey, abort_unfinished, survey, upload

__all__ = ["PROBE", "S3Target", "open_s3"]

#: What `check` begins to upload, and never finishes.
PROBE = ".locutus-probe"
_CONTENT_TYPE = "application/zip"
_MAX_KEY = 1024  # bytes, of S3
_CHUNK = 1024 * 1024
# How often an upload is begun again when what lay there has just been removed.
_TRIES = 3


def open_s3(settings: S3TargetSettings, context: TargetContext) -> S3Target:
    """A workspace's bucket.

    Raises:
        TargetError: boto3 is not installed.
    """
    if settings.checksum == "CRC64NVME":
        library("awscrt.checksums")
    return S3Target(settings, Bucket(settings, context.secrets), name=context.name)


class S3Target:
    """Deliveries as objects of one bucket.

    Args:
        settings: of the target.
        bucket: how the bucket is asked.
        name: in the ledger.
    """

    def __init__(self, settings: S3TargetSettings, bucket: Bucket, *, name: str = "s3") -> None:
        self.name = name
        self._settings = settings
        self._bucket = bucket
        self._prefix = f"s3://{settings.bucket}/"

    @property
    def place(self) -> str:
        """Host and bucket."""
        return f"{self._bucket.host}/{self._bucket.name}"

    def store(self) -> str:
        """Which bucket of which store; an `s3://` address does not say it."""
        return f"s3 at {self._bucket.store()}"

    def check(self) -> None:
        """Raise `TargetError` unless the bucket is there and an upload can be begun."""
        self._bucket.ask("head_bucket")
        folder = self._settings.top.strip("/") if "{top}" in self._settings.key_template else ""
        key = f"{folder}/{PROBE}".lstrip("/")
        # An upload that is begun takes what an object takes, and leaves neither one nor a version.
        self._bucket.ask("create_multipart_upload", Key=key, **self._encryption())
        abort_unfinished(self._bucket, key)

    def uri(self, key: str) -> str:
        """The `s3://` address of a key."""
        if not key or len(key.encode()) > _MAX_KEY:
            raise TargetError(
                f"A delivery key has more than {_MAX_KEY} bytes, or none.", "Mend the key template."
            )
        return self._prefix + quote(key, safe="/+._-~!*'()@=,:")

    def free_bytes(self) -> int | None:
        """A bucket does not know."""
        return None

    def close(self) -> None:
        """Release connections."""
        self._bucket.close()

    # -- delivering ------------------------------------------------------------------------

    def put(self, source: Path, key: str, *, sha256: str) -> Receipt:
        """Upload the file under a condition on what lies there, and look at what lies there then.

        What is there already, from an earlier attempt whose answer was lost, is not sent again.
        """
        self.uri(key)
        with source.open("rb") as file:
            of = survey(file, algorithm=self._settings.checksum, part_size=self._settings.part_size)
            if of.sha256 != sha256:
                raise TargetError(
                    "The file that was to be delivered is not the one that was made.",
                    "Something has changed it on the scratch disk; nothing was delivered. Run "
                    "again: it is made anew.",
                )
            for left in reversed(range(_TRIES)):
                over = standing(self._bucket, key)
                if over is not None and self._is(over, of):
                    return self._receipt(key, over)
                if over is not None and not over.sha256:
                    # Later, something of ours may have been there in between.
                    raise self._not_ours(key, OccupiedError if left == _TRIES - 1 else TargetError)
                version = self._upload(key, file, of, over, last=not left)
                if version is not None:
                    return self._confirmed(key, of, version)
        raise AssertionError("the last try returns or raises")

    def _upload(
        self, key: str, file: BinaryIO, of: Survey, over: Standing | None, *, last: bool
    ) -> str | None:
        """Send the file in the place of `over`; None if what lies there is not `over` any more,
        and it is worth looking again.
        """
        abort_unfinished(self._bucket, key)
        about = {
            "Metadata": {METADATA: of.sha256},
            "ContentType": _CONTENT_TYPE,
            **self._encryption(),
        }
        condition = {"IfNoneMatch": "*"} if over is None else {"IfMatch": over.etag}
        try:
            return upload(
                self._bucket,
                key,
                file,
                of,
                condition=condition,
                about=about,
                connections=self._settings.connections,
            )
        except RefusedError as error:
            if not error.is_contested and not error.is_absent:
                raise
            # Our own request may have been carried out and its answer lost: then the one that
            # botocore sent after it met our own object, or an upload that is no more.
            now = standing(self._bucket, key)
            if now is not None and self._is(now, of):
                return now.version
            if last or now is not None or error.code == "NoSuchUpload":
                raise
            return None

    def _confirmed(self, key: str, of: Survey, version: str) -> Receipt:
        """See that what was sent is what lies there."""
        found = standing(self._bucket, key)
        if found is None:
            raise TargetError(
                f"The store at {self._bucket.host} took a delivery and does not have it.",
                "Look at its state, and who else removes objects there; then run again.",
            )
        if found.sha256 and found.sha256 != of.sha256:
            raise TargetError(
                "Another writer has put something else in the place of a delivery just made.",
                "Two runs deliver to the same place: look which, and run again.",
            )
        fault = self._fault(key, found, of)
        if fault is None:
            return self._receipt(key, found)
        with suppress(TargetError):
            remove(self._bucket, key, version or "null")
        raise fault

    def _fault(self, key: str, found: Standing, of: Survey) -> TargetError | None:
        """What is wrong with an object that was just put there."""
        host, wanted = self._bucket.host, self._settings.encryption
        if not found.sha256:
            return TargetError(
                f"The store at {host} does not keep metadata.",
                "Locutus could not tell its deliveries from other objects; use another store.",
            )
        if wanted is not None and found.encryption != wanted:
            return TargetError(
                f"The store at {host} did not encrypt a delivery ({wanted}); it was removed.",
                "Set up encryption there, or set encryption: null if it may lie there as it is.",
            )
        same = found.size == of.size
        if found.checksum.startswith(of.algorithm.lower()):
            same = same and found.checksum in of.checksums
        else:  # the store confirms nothing, so that only reading shows it
            same = same and self._read_back(key, found) == of.sha256
        if same:
            return None
        return TargetError(
            f"The store at {host} holds other bytes than it was given; they were removed.",
            "Check its health before running again; nothing was delivered.",
        )

    def _read_back(self, key: str, found: Standing) -> str:
        hasher = hashlib.sha256()
        with self._stream(key, found) as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
        return hasher.hexdigest()

    @staticmethod
    def _is(found: Standing, of: Survey) -> bool:
        """Whether it is a delivery of this very file."""
        same = found.sha256 == of.sha256 and found.size == of.size
        return same and not of.contradicts(found.checksum)

    def _receipt(self, key: str, found: Standing) -> Receipt:
        return Receipt(self.uri(key), found.sha256, found.size, found.checksum, found.version)

    # -- what was delivered ----------------------------------------------------------------

    def holds(self, uri: str, *, size: int, version: str = "") -> bool:
        """Whether an object of that size, and that version, lies there."""
        found = look(self._bucket, self._key(uri), version)
        return found is not None and found.size == size

    def withdraw(self, uri: str, *, version: str = "") -> Withdrawal:
        """Remove the object in all its versions, with their markers; or one version alone."""
        key = self._key(uri)
        abort_unfinished(self._bucket, key)
        doomed = [version] if version else list(versions(self._bucket, key))
        # A version without a number that lies alone is what lies there; not every store can be
        # asked for it by that name.
        alone = doomed == ["null"]
        found = [(one, look(self._bucket, key, "" if alone else one)) for one in doomed]
        if any(one is not None and not one.sha256 for _, one in found):
            raise self._not_ours(key)
        for one, _ in found:
            remove(self._bucket, key, one)
        left = (
            look(self._bucket, key, version) if version else next(versions(self._bucket, key), None)
        )
        if left is not None:
            raise TargetError(
                f"A delivery is still in the bucket {self._bucket.name} after it was removed.",
                "Something puts it back, or the store is not well; mend that and run again.",
            )
        sizes = [one.size for _, one in found if one is not None]
        return Withdrawal(uri, bool(sizes), sum(sizes))

    def open(self, uri: str) -> BinaryIO:
        """Open a delivery for reading, from any place in it."""
        key = self._key(uri)
        found = look(self._bucket, key)
        if found is None:
            raise TargetError(
                f"The delivery is not in the bucket {self._bucket.name}.",
                "It may have been withdrawn; the ledger still has its checksum.",
            )
        return self._stream(key, found)

    def _stream(self, key: str, found: Standing) -> BinaryIO:
        raw = ObjectStream(
            self._bucket,
            key,
            size=found.size,
            etag=found.etag,
            attempts=self._settings.attempts,
        )
        return cast(BinaryIO, io.BufferedReader(raw, _CHUNK))

    # -- places ----------------------------------------------------------------------------

    def _key(self, uri: str) -> str:
        key = ""
        if uri.startswith(self._prefix):
            with suppress(UnicodeDecodeError):
                key = unquote_to_bytes(uri.removeprefix(self._prefix)).decode()
        if not key:
            raise TargetError(
                f"That delivery does not lie in this bucket ({self.place}).",
                "It lies somewhere else than this workspace's target is now. Set the target to "
                "where it was delivered, and run again.",
            )
        return key

    def _encryption(self) -> dict[str, str]:
        settings = self._settings
        asked = {
            "ServerSideEncryption": settings.encryption,
            "SSEKMSKeyId": settings.kms_key_id,
        }
        return {name: value for name, value in asked.items() if value}

    def _not_ours(self, key: str, kind: type[TargetError] = TargetError) -> TargetError:
        return kind(
            "Something that Locutus has not put there lies in the place of a delivery: "
            f"{self.uri(key)}",
            "Look whose it is, move it away, and run again; it was neither replaced nor removed.",
        )
