"""For every registered storage SOP class (PS3.6 Table A-1): whether its objects can be delivered.

What belongs here: reading the table of decisions into typed rows. What does not: looking at an
instance (`bouncers.py`). The decisions themselves, with their reasons, are in
`data/storage_classes.csv`; `data/README.md` says how they were taken.
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

__all__ = ["KINDS", "StorageClass", "load_storage_classes", "storage_class"]

#: The kinds of object, for reports and for rules that hold for some of them only.
KINDS = frozenset(
    (
        "image",  # pixels of a body or of its parts
        "photograph",  # a camera's picture of a person from outside
        "video",
        "spectra",
        "waveform",
        "audio",
        "report",  # a tree of content items, key object selections included
        "presentation",  # how images are shown, with text and drawings
        "document",  # a file of another format inside
        "raw",
        "derived",  # segmentations, maps, registrations, annotations of images
        "surface",  # a scan of the body's surface
        "measurement",  # ophthalmic measurements
        "treatment",  # radiotherapy: plans, structures, doses, records
        "procedure",  # how an acquisition was carried out
        "table",  # lookup tables of their own
        "administration",  # no patient's object, or none of use outside the hospital
        "industry",  # security and testing of materials use DICOM as well
        "undefined",  # retired, and defined nowhere any more
    )
)


@dataclass(frozen=True)
class StorageClass:
    """One row: what is done with the objects of a SOP class.

    Attributes:
        uid: SOP Class UID.
        name: its name as registered, "" where the registry has dropped it.
        kind: one of `KINDS`.
        needs: options without which the objects are withheld, by their column of Table E.1-1;
            empty where headers can always be cleaned, or where no option helps.
        withheld: the fixed phrase that is reported when an object is withheld; "" where the class
            alone is never a reason.
    """

    uid: str
    name: str
    kind: str
    needs: frozenset[str]
    withheld: str

    def reason(self, options: Collection[str]) -> str:
        """Return why objects of this class are withheld under these options, "" if they are not.

        Args:
            options: the options switched on, by their column of PS3.15 Table E.1-1.
        """
        return "" if self.needs and self.needs <= frozenset(options) else self.withheld


@lru_cache(maxsize=1)
def load_storage_classes() -> tuple[StorageClass, ...]:
    """Return all rows, in the order of their UIDs."""
    source = files("locutus_dagster.deid.standard") / "data" / "storage_classes.csv"
    lines = source.read_text(encoding="utf-8").splitlines()
    return tuple(
        StorageClass(
            uid=row["sop_class"],
            name=row["name"],
            kind=row["kind"],
            needs=frozenset(row["decision"].partition(":")[2].split("+")) - {""},
            withheld=row["reason"],
        )
        for row in csv.DictReader(line for line in lines if not line.startswith("#"))
    )


def storage_class(uid: str) -> StorageClass | None:
    """Return the row of a SOP class; None for private, unregistered and service classes.

    Args:
        uid: SOP Class UID, without padding.
    """
    return _by_uid().get(uid)


@lru_cache(maxsize=1)
def _by_uid() -> dict[str, StorageClass]:
    return {row.uid: row for row in load_storage_classes()}
