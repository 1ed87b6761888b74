"""Reading an object of a bucket as a file.

What belongs here: a stream that can be sought in, and that goes on where a connection broke. What
does not: whether the bytes are the right ones (whoever reads has the ledger's checksum).
"""

from __future__ import annotations

import io
import os
from typing import Any

from locutus_dagster.targets.base import TargetError
from locutus_dagster.targets.s3_answers import RefusedError
from locutus_dagster.targets.s3_client import Bucket, library

__all__ = ["ObjectStream"]


class ObjectStream(io.RawIOBase):
    """One object's bytes, asked for as they are read.

    Args:
        size: in bytes.
        etag: of the object that is meant. What is put in its place meanwhile is not read.
        attempts: how often it is begun again without a byte coming.
    """

    def __init__(self, bucket: Bucket, key: str, *, size: int, etag: str, attempts: int) -> None:
        super().__init__()
        self._bucket = bucket
        self._key = key
        self._size = size
        self._etag = etag
        self._attempts = attempts
        self._at = 0
        self._body: Any = None
        known = library("botocore.exceptions")
        self._broken: tuple[type[Exception], ...] = (known.BotoCoreError, OSError)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        at = max(0, base + offset)
        if at != self._at:
            self._drop()
            self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        """Read some bytes; a connection that breaks is made again where it broke.

        Raises:
            TargetError: it breaks again and again, or the object is no longer what it was.
        """
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        for _ in range(self._attempts):
            try:
                if self._body is None:
                    self._body = self._begun()
                data: bytes = self._body.read(wanted)
            except self._broken:
                data = b""
            if data:
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
            self._drop()
        raise TargetError(
            f"A delivery cannot be read to its end from the bucket {self._bucket.name}.",
            "The connection breaks again and again: check the network, then try again.",
        )

    def close(self) -> None:
        self._drop()
        super().close()

    def _begun(self) -> Any:
        try:
            answer = self._bucket.ask(
                "get_object", Key=self._key, Range=f"bytes={self._at}-", IfMatch=self._etag
            )
        except RefusedError as error:
            if error.is_absent or error.is_contested:
                raise TargetError(
                    "The delivery was replaced or removed while it was being read.",
                    "Read it again.",
                ) from None
            raise
        if self._at and not str(answer.get("ContentRange")).startswith(f"bytes {self._at}-"):
            answer["Body"].close()
            raise TargetError(
                f"The store at {self._bucket.host} gives other bytes than it is asked for.",
                "It does not know how to begin in the middle of an object: use another store.",
            )
        return answer["Body"]

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()
