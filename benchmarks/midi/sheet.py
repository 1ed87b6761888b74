"""The sheet on which a file is planted: the data set, and the checks written as it changes.

What belongs here: the few ways of planting (an identifier, a text, a date, a UID, a value that must
stay), each of which changes the file and writes its checks in one step, so that the two agree. What
does not: what is planted where (the plants).
"""

from __future__ import annotations

import re
from random import Random

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset

from benchmarks.midi import checks as c
from benchmarks.midi.checks import Action, Check, Needle
from benchmarks.midi.people import Person, Value
from benchmarks.midi.phrases import Text
from benchmarks.midi.places import Place, Step, at, text_of

__all__ = ["Sheet"]

#: The longest text of a VR, in characters (PS3.5 6.2).
LONGEST = {"SH": 16, "LO": 64, "ST": 1024, "LT": 10240, "UC": 1024, "UT": 10240, "CS": 16}

_LIKE_AN_IDENTIFIER = re.compile(
    r"://|@|\d{4}[-/]\d{2}[-/]\d{2}|\d{2}:\d{2}|[A-Za-z]\d{6,}|\[\d{8}\]"
)


class Sheet:
    """One file to plant in.

    Args:
        dataset: changed in place.
        person: whose identifiers are planted.
        rng: draws for this file; the same for all files of a series unless said otherwise.

    Attributes:
        checks: what has been written of the answer key.
        needles: what must stand nowhere in the output.
    """

    def __init__(self, dataset: FileDataset, person: Person, rng: Random) -> None:
        self.dataset = dataset
        self.person = person
        self.rng = rng
        self.checks: list[Check] = []
        self.needles: list[Needle] = []

    def chance(self, share: float) -> bool:
        """Draw: true in this share of the cases."""
        return self.rng.random() < share

    def check(
        self, place: Place, action: Action, text: str, category: str, *, vr: str = "",
        waived_by: str = "",
    ) -> None:  # fmt: skip
        """Write one check."""
        self.checks.append(Check(place, action, text, category, vr, waived_by))

    def needle(self, value: Value) -> None:
        """Note an identifier that must stand nowhere, and those parts that tell it apart."""
        for text in (value.text, *value.tokens):
            self.needles.append(Needle(value.kind, text, value.waived_by))

    # An attribute of the standard is named by its keyword. `below` is the item it lies in: the
    # data set of the item and the path to it.

    def identifier(
        self, keyword: str, value: Value, *, below: tuple[Dataset, Place] | None = None
    ) -> None:
        """Plant an identifier that fills an attribute."""
        dataset, sequences = below or (self.dataset, ())
        tag, vr = _known(keyword)
        dataset[tag] = DataElement(tag, vr, value.text)
        self.removed((*sequences, Step(tag)), value, vr)

    def removed(self, place: Place, value: Value, vr: str) -> None:
        """Write that an identifier planted at a place must go."""
        category = f"HIPAA-{value.kind}"
        waived = value.waived_by
        self.check(place, Action.TEXT_REMOVED, value.removed, category, vr=vr, waived_by=waived)
        self.needle(value)

    def text(
        self, keyword: str, text: Text | None, *, below: tuple[Dataset, Place] | None = None
    ) -> None:
        """Plant a text; nothing where none fitted."""
        if text is None:
            return
        dataset, sequences = below or (self.dataset, ())
        tag, vr = _known(keyword)
        dataset[tag] = DataElement(tag, vr, text.text)
        place = (*sequences, Step(tag))
        if text.kept:
            self.check(place, Action.TEXT_RETAINED, text.kept, c.DESCRIPTORS, vr=vr)
        for value in text.values:
            self.removed(place, value, vr)

    def date(self, keyword: str, text: str, *, below: tuple[Dataset, Place] | None = None) -> None:
        """Plant a date or date and time of the header, which must move or go."""
        dataset, sequences = below or (self.dataset, ())
        tag, vr = _known(keyword)
        dataset[tag] = DataElement(tag, vr, text)
        self.check(
            (*sequences, Step(tag)), Action.DATE_SHIFTED, text, "HIPAA-C", vr=vr,
            waived_by="retain_longitudinal_full_dates",
        )  # fmt: skip

    def uid(self, place: Place, uid: str) -> None:
        """Write that the UID at a place must change, the same way everywhere."""
        for action, category in (
            (Action.UID_CHANGED, "HIPAA-R"),
            (Action.UID_CONSISTENT, c.UIDS),
        ):
            self.check(place, action, uid, category, vr="UI", waived_by="retain_uids")
        self.needles.append(Needle("R", uid, "retain_uids"))

    def put_uid(
        self, keyword: str, uid: str, *, below: tuple[Dataset, Place] | None = None
    ) -> None:
        """Plant a UID."""
        dataset, sequences = below or (self.dataset, ())
        tag, vr = _known(keyword)
        dataset[tag] = DataElement(tag, vr, uid)
        self.uid((*sequences, Step(tag)), uid)

    def stays(
        self,
        keyword: str,
        category: str,
        *,
        below: tuple[Dataset, Place] | None = None,
        value: object = None,
    ) -> None:
        """Write that a value must stay as it is; plant it first if one is given.

        Nothing is written about values that a careful engine may well take for identifiers: some
        makers put dates and addresses into names of models and versions.
        """
        dataset, sequences = below or (self.dataset, ())
        tag, vr = _known(keyword)
        if value is not None:
            dataset[tag] = DataElement(tag, vr, value)
        if tag not in dataset or dataset[tag].VR not in vr:
            return
        element = dataset[tag]
        text = text_of(element)
        if text.strip("\\ ") and not _LIKE_AN_IDENTIFIER.search(text):
            place = (*sequences, Step(tag))
            self.check(place, Action.TEXT_RETAINED, text, category, vr=element.VR)

    def must_have(self, keyword: str, category: str) -> None:
        """Write that an attribute of Type 1 (IOD_1) or Type 2 (IOD_2) must be there, if it is."""
        tag, vr = _known(keyword)
        if tag not in self.dataset:
            return
        if category == c.IOD_2:
            self.check((Step(tag),), Action.TAG_RETAINED, "", category, vr=vr)
        elif text_of(self.dataset[tag]):
            self.check((Step(tag),), Action.TEXT_NOTNULL, "", category, vr=vr)

    def item(
        self, keyword: str, *, below: tuple[Dataset, Place] | None = None
    ) -> tuple[Dataset, Place]:
        """Append an item to a sequence, which is made where there is none."""
        dataset, sequences = below or (self.dataset, ())
        tag, vr = _known(keyword)
        if tag not in dataset or dataset[tag].VR != "SQ":
            dataset[tag] = DataElement(tag, vr, [])
        items = dataset[tag].value
        items.append(Dataset())
        return items[-1], at(sequences, tag, len(items) - 1)


def _known(keyword: str) -> tuple[int, str]:
    """Return tag and VR of an attribute of the standard."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag, dictionary_VR(tag)
