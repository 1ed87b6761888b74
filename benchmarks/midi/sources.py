"""Real DICOM files to plant in: found in folders, chosen by stratum, put together as studies.

What belongs here: which files are taken. What does not: changing them (`planting.py`).

Taken are images, segmentations and reports, readable by pydicom, that do not declare text burned
into their pixels or recognizable faces. Two files with the same SOP Instance UID become two
studies, so that a collection that holds one image in ten encodings gives ten studies.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from random import Random

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

__all__ = ["Source", "StudyFiles", "default_folders", "find_sources", "select"]

#: Larger files are left alone: they cost time and show nothing that smaller ones do not.
LARGEST = 12 << 20
_WANTED = re.compile(
    r"(Image Storage( - For (Presentation|Processing))?|\bSR Storage|^Segmentation Storage"
    r"|Key Object Selection Document Storage)$"
)
_PIXELS = re.compile("Image|Segmentation")
_HEADER = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality",
    "Manufacturer", "BurnedInAnnotation", "RecognizableVisualFeatures", "PixelData",
]  # fmt: skip
_AT_ONCE = 3


@dataclass(frozen=True)
class Source:
    """One file that can be planted in.

    Attributes:
        path: where it is.
        sop_class, sop, study, series: its UIDs.
        modality: its Modality, in upper case.
        stratum: what makes it alike to others: class, modality, encoding, maker.
    """

    path: Path
    sop_class: str
    sop: str
    study: str
    series: str
    modality: str
    stratum: tuple[str, ...]


@dataclass(frozen=True)
class StudyFiles:
    """The chosen files of one study, ordered by series and path."""

    files: tuple[Source, ...]


def default_folders(root: Path) -> list[Path]:
    """Return the folders with sample files that are there.

    They are pydicom's own test files, those of PyPI's `pydicom-data`, and the folder `corpus`
    of the `shared` folder beside the repository.

    Args:
        root: the repository.
    """
    folders = []
    for package, inside in (("pydicom", "data/test_files"), ("data_store", "data")):
        spec = find_spec(package)
        places = spec.submodule_search_locations if spec is not None else None
        folders += [Path(place) / inside for place in places or ()]
    folders.append(root.parent / "shared" / "corpus")
    return [folder for folder in folders if folder.is_dir()]


def find_sources(folders: Iterable[Path]) -> Iterator[Source]:
    """Yield the usable files of the folders, in the order of folders and names."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.stat().st_size <= LARGEST:
                source = _read(path)
                if source is not None:
                    yield source


def _read(path: Path) -> Source | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = dcmread(path, defer_size=1024, specific_tags=_HEADER)
            texts = {name: str(found.get(name, "") or "") for name in _HEADER[:-1]}
            syntax = str(found.file_meta.TransferSyntaxUID)
            pixels = found.get_item("PixelData") if "PixelData" in found else None
            # Large values are left in the file: then only their length is known.
            has_pixels = bool(getattr(pixels, "length", 0) or getattr(pixels, "value", None))
        except (InvalidDicomError, OSError, ValueError, TypeError, AttributeError, KeyError,
                NotImplementedError, EOFError):  # fmt: skip
            return None  # not DICOM, or damaged: there are files on purpose that are
    name = UID(texts["SOPClassUID"]).name
    if not _WANTED.search(name) or (_PIXELS.search(name) and not has_pixels):
        return None
    if "YES" in (texts["BurnedInAnnotation"], texts["RecognizableVisualFeatures"]):
        return None
    if not all(texts[one] for one in _HEADER[1:5]):
        return None
    modality = texts["Modality"].upper()
    stratum = (name, modality, syntax, texts["Manufacturer"].upper())
    return Source(
        path, texts["SOPClassUID"], texts["SOPInstanceUID"], texts["StudyInstanceUID"],
        texts["SeriesInstanceUID"], modality, stratum,
    )  # fmt: skip


def select(
    sources: Iterable[Source], count: int, seed: int, modalities: Collection[str] | None = None
) -> list[StudyFiles]:
    """Choose at most `count` files, some of every stratum, and group them to studies.

    Args:
        sources: what there is.
        count: how many files.
        seed: the same seed and sources give the same choice.
        modalities: those that the engine lets through; None means all.
    """
    queues: dict[tuple[str, ...], list[list[Source]]] = defaultdict(list)
    series: dict[tuple[tuple[str, ...], str], list[Source]] = defaultdict(list)
    for source in sources:
        if modalities is None or source.modality in modalities:
            series[source.stratum, source.series].append(source)
    for (stratum, _), files in series.items():
        # A few at a time, so that a series of many does not push the others out.
        queues[stratum] += [files[at : at + _AT_ONCE] for at in range(0, len(files), _AT_ONCE)]
    rng = Random(seed)
    for queue in queues.values():
        rng.shuffle(queue)
    order = [queues[stratum] for stratum in sorted(queues)]
    turns = itertools.zip_longest(*order)
    chosen = [source for turn in turns for part in turn if part for source in part][:count]
    return _studies(chosen)


def _studies(chosen: list[Source]) -> list[StudyFiles]:
    copies: Counter[str] = Counter()
    groups: dict[tuple[str, int], list[Source]] = defaultdict(list)
    for source in sorted(chosen, key=lambda one: (one.study, one.series, one.path)):
        groups[source.study, copies[source.sop]].append(source)
        copies[source.sop] += 1
    return [StudyFiles(tuple(groups[key])) for key in sorted(groups)]
