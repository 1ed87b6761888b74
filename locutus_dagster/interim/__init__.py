"""The private scratch space between phases."""

from locutus_dagster.interim.raw_zip import RawZipWriter
from locutus_dagster.interim.store import (
    InterimError,
    InterimStore,
    Room,
    ScratchFullError,
    ScratchTooSmallError,
)

__all__ = [
    "InterimError",
    "InterimStore",
    "RawZipWriter",
    "Room",
    "ScratchFullError",
    "ScratchTooSmallError",
]
