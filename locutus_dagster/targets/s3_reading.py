"""Reading an object of a bucket as a file.

What belongs here: a stream that can be sought in, and that goes on where a connection broke. What
does not: whether the bytes are the right ones (whoever reads has the ledger's checksum).
"""

from __future__ import annotations

import io
import os
from collections.abc import Buffer
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
