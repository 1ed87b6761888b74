"""Make the shipped tables of Types (PS3.3) from a machine-readable copy of the standard.

What belongs here: turning the three JSON files that PyPI's highdicom carries in
`highdicom/_standard` (SOP class -> IOD, IOD -> modules, module -> attributes) into the project's
own CSV files. What does not: reading them back; `locutus_dagster/deid/standard/iod_types.py` does
that.

It is run by hand, once for an edition of the standard, and what it writes is shipped:

    python scripts/make_iod_types.py FOLDER

FOLDER is the `_standard` folder of an unpacked highdicom wheel. When highdicom has moved to
another edition, change `EDITION` here and in `iod_types.py`.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword

__all__ = ["main", "tables"]

EDITION = "2024c"
SOURCE = "PyPI highdicom 0.28.2, highdicom/_standard"

DATA = Path(__file__).parents[1] / "locutus_dagster" / "deid" / "standard" / "data"

#: SOP classes that are newer than the source and store an IOD that it has (PS3.4 Table B.5-1).
NEWER = {
    "1.2.840.10008.5.1.4.1.1.2.3": "ct-image",
    "1.2.840.10008.5.1.4.1.1.2.4": "enhanced-ct-image",
    "1.2.840.10008.5.1.4.1.1.2.5": "legacy-converted-enhanced-ct-image",
}

Place = tuple[int, ...]
#: Three lists of tags: Type 1, Type 2, Type 3.
Types = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def tables(folder: Path) -> dict[str, str]:
    """Return the tables to ship, file name -> text.

    Args:
        folder: where `sop_class_iod_map.json`, `iod_module_map.json` and
            `module_attribute_map.json` are.

    Raises:
        ValueError: an attribute of a module in use has no Type.
    """
    iods = _read(folder, "sop_class_iod_map")
    modules = _read(folder, "iod_module_map")
    attributes = _read(folder, "module_attribute_map")
    stored: dict[str, list[str]] = defaultdict(list)
    for sop_class, iod in {**iods, **NEWER}.items():
        # Of an IOD with a module that the source does not have, half the Types would be missing.
        if all(module["key"] in attributes for module in modules[iod]):
            stored[iod].append(sop_class)
    used = sorted({module["key"] for iod in stored for module in modules[iod]})
    return {
        f"iods_{EDITION}.csv": _text(
            "IODs: the SOP classes that store them, their modules with usage",
            ("iod", "sop_classes", "modules"),
            (
                (
                    iod,
                    " ".join(sorted(stored[iod])),
                    " ".join(f"{module['key']}:{module['usage']}" for module in modules[iod]),
                )
                for iod in sorted(stored)
            ),
        ),
        f"iod_attributes_{EDITION}.csv": _text(
            "attributes of the modules by place and Type",
            ("modules", "places", "type_1", "type_2", "type_3"),
            _attribute_rows({module: _places(attributes[module]) for module in used}),
        ),
    }


def _read(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return content


def _places(attributes: Iterable[Mapping[str, Any]]) -> dict[Place, Types]:
    """Return the attributes of a module by the sequences that enclose them."""
    found: dict[Place, dict[int, int]] = defaultdict(dict)
    for attribute in attributes:
        tag = tag_for_keyword(attribute["keyword"])
        place = tuple(_tag(keyword) for keyword in attribute["path"])
        kind = attribute["type"]
        if tag is None:
            continue  # overlays (60xx): repeating groups have no tag of their own
        if kind not in ("1", "1C", "2", "2C", "3"):
            raise ValueError(f"{attribute['keyword']} has no Type")
        # Where a module names an attribute twice, the stricter Type counts.
        found[place][tag] = min(int(kind[0]), found[place].get(tag, 3))
    return {
        place: (_of_type(kinds, 1), _of_type(kinds, 2), _of_type(kinds, 3))
        for place, kinds in found.items()
    }


def _of_type(kinds: Mapping[int, int], wanted: int) -> tuple[int, ...]:
    return tuple(sorted(tag for tag, kind in kinds.items() if kind == wanted))


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is not in the data dictionary")
    return tag


def _attribute_rows(modules: Mapping[str, Mapping[Place, Types]]) -> list[tuple[str, ...]]:
    """Return one row for each list of attributes that is the same in all its modules and places.

    The standard repeats itself (macros, functional groups), and so would a row for each place:
    this form is a tenth of the size.
    """
    sharing: dict[tuple[Place, Types], list[str]] = defaultdict(list)
    for module in sorted(modules):
        for place, types in modules[module].items():
            sharing[place, types].append(module)
    rows: dict[tuple[tuple[str, ...], Types], list[Place]] = defaultdict(list)
    for (place, types), names in sharing.items():
        rows[tuple(names), types].append(place)
    return sorted(
        (
            " ".join(names),
            " ".join("/".join(f"{tag:08X}" for tag in place) or "." for place in sorted(places)),
            *(" ".join(f"{tag:08X}" for tag in tags) for tags in types),
        )
        for (names, types), places in rows.items()
    )


def _text(title: str, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    out = io.StringIO()
    out.write(f"# DICOM PS3.3, {title}; edition {EDITION}; from {SOURCE}; see README.md\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def main() -> int:
    """Write the tables into the package's data folder."""
    parser = argparse.ArgumentParser(description="Make the tables of Types from PS3.3.")
    parser.add_argument("folder", type=Path, help="the folder highdicom/_standard")
    arguments = parser.parse_args()
    for name, text in tables(arguments.folder).items():
        (DATA / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{name}: {text.count(chr(10)) - 2} rows, {len(text)} characters\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
