"""A search of its own for what is left: every planted identifier, in the bytes of every output.

What belongs here: the search, and telling where something was found. What does not: the answer
key, which only looks where something was planted (`scoring.py`).

The whole file is searched, preamble and padding included, but not native pixel data. Upper and
lower case do not count. An identifier is looked for in each encoding in which DICOM may hold it.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRLittleEndian

from benchmarks.midi.checks import Needle
from benchmarks.midi.places import Place, Step, format_place, text_of

__all__ = ["Leak", "Search"]

_PIXEL_DATA = 0x7FE00010
_CODECS = ("utf-8", "latin-1", "iso8859-5", "iso2022_jp", "gb18030", "utf-16-le")
_ESCAPE = b"\x1b$B"
#: Shorter ones are found everywhere: in pixels, in physical values.
_SHORTEST = 5
_SHORTEST_DIGITS = 7
_SHORTEST_FOREIGN = 2
#: Characters of ISO 2022 count only this near behind their escape sequence, in bytes.
_NEAR = 128
_OUTSIDE = "<outside the elements>"


@dataclass(frozen=True)
class Leak:
    """A planted identifier that is left.

    Attributes:
        kind: letter of `checks.KINDS`.
        place: text form of the place, as in `places.py`.
        text: the identifier.
    """

    kind: str
    place: str
    text: str = field(repr=False)


class Search:
    """Looks for the identifiers of one study.

    Args:
        needles: what was planted.
        options: the options of the policy; what one of them retains is not looked for.
    """

    def __init__(self, needles: Iterable[Needle], options: Collection[str] = ()) -> None:
        kinds: dict[str, str] = {}
        for needle in needles:
            if needle.waived_by in options or not _worth_searching(needle.text):
                continue
            kinds.setdefault(needle.text.casefold(), needle.kind)
        self.kinds = kinds
        self._patterns = {text: list(_patterns(text)) for text in kinds}

    def leaks(self, data: bytes) -> list[Leak]:
        """Return what is left in one output, each identifier at the first place."""
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            dataset: FileDataset | None = None
            haystack = data.lower()
            try:
                dataset = dcmread(io.BytesIO(data))
                haystack = _searched(data, dataset).lower()
            except Exception:
                dataset = None  # what cannot be read is searched as it is
            found = [text for text, patterns in self._patterns.items() if _in(haystack, patterns)]
            return [Leak(self.kinds[text], _where(dataset, text), text) for text in found]


def _worth_searching(text: str) -> bool:
    if not text.isascii():
        return len(text) >= _SHORTEST_FOREIGN
    return len(text) >= (_SHORTEST_DIGITS if text.isdigit() else _SHORTEST)


def _searched(data: bytes, dataset: FileDataset) -> bytes:
    """Return the bytes to search: no native pixel data, nothing compressed by deflation."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_deflated:
        plain = io.BytesIO()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(plain, implicit_vr=False, little_endian=True)
        data += plain.getvalue()
    if _PIXEL_DATA in dataset and not syntax.is_compressed:
        pixels = dataset[_PIXEL_DATA].value
        if pixels:
            data = data.replace(bytes(pixels), b"")
    return data


def _patterns(text: str) -> Iterator[tuple[bytes, bool]]:
    """Yield the bytes that an identifier may stand as, and whether they need an escape before."""
    cases = {text, text.lower(), text.upper(), text.title()}
    codecs = ("ascii", "utf-16-le") if text.isascii() else _CODECS
    patterns = set()
    for case in cases:
        for codec in codecs:
            try:
                encoded = case.encode(codec)
            except UnicodeEncodeError:
                continue
            escaped = codec == "iso2022_jp"
            if escaped:
                encoded = encoded.removeprefix(_ESCAPE).removesuffix(b"\x1b(B")
            patterns.add((encoded.lower(), escaped))
    yield from sorted(patterns)


def _in(haystack: bytes, patterns: Iterable[tuple[bytes, bool]]) -> bool:
    for pattern, escaped in patterns:
        if pattern not in haystack:
            continue
        if escaped:
            starts = (match.start() for match in re.finditer(re.escape(pattern), haystack))
            if any(_ESCAPE.lower() in haystack[max(0, at_ - _NEAR) : at_] for at_ in starts):
                return True
        else:
            alone = rb"(?<![0-9])" + pattern + rb"(?![0-9])" if pattern.isdigit() else b""
            if re.search(alone, haystack):
                return True
    return False


def _where(dataset: FileDataset | None, text: str) -> str:
    if dataset is not None:
        for part in (dataset, dataset.file_meta):
            for place, value in _values(part, ()):
                if text in value.casefold():
                    return format_place(place)
    return _OUTSIDE


def _values(dataset: Dataset, sequences: Place) -> Iterator[tuple[Place, str]]:
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # what is found there is reported as outside
            continue
        step = Step(int(tag))
        if element.tag.is_private and not element.tag.is_private_creator:
            short = int(tag) & 0xFFFF0000 | int(tag) & 0xFF
            step = Step(short, str(element.private_creator or ""))
        if element.VR == "SQ":
            for index, item in enumerate(element.value):
                yield from _values(item, (*sequences, replace(step, item=index)))
        elif int(tag) != _PIXEL_DATA:
            yield (*sequences, step), text_of(element)
