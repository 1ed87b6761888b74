"""Every row of Table E.1-1 does what each option's column says, on one instance that has them all.

The expectations are derived here from the shipped table's cells alone, not from the engine's rules.
"""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset

from locutus_dagster.deid import DeidError, Option, Policy, Pseudonyms, compile_policy
from locutus_dagster.deid.policies.model import PolicySpec, Settings
from locutus_dagster_tests.deid import builders

PSEUDONYMS = Pseudonyms(builders.SECRET)
#: Not written by this test: identity and statement of the instance, pixels, and what bouncers ask.
LEFT_OUT = {0x00080018, 0x0020000D, 0x0020000E, 0x00100010, 0x00100020, 0x00280301}
VALUES: dict[str, Any] = {
    "AE": "STATION7",
    "AS": "045Y",
    "CS": "OTHER",
    "DA": "20190619",
    "DS": "12.5",
    "DT": "20190619101112",
    "FD": 1.5,
    "FL": 1.5,
    "IS": "12",
    "LO": "axial chest",
    "LT": "axial chest",
    "OB": b"\1\2",
    "OW": b"\1\2",
    "PN": "Ratched^Mildred",
    "SH": "axial",
    "SL": 5,
    "SS": 5,
    "ST": "axial chest",
    "TM": "101112",
    "UC": "axial chest",
    "UL": 5,
    "UN": b"\1\2",
    "UR": "https://example.org/a",
    "US": 5,
    "UT": "axial chest",
}


def rows() -> dict[int, dict[str, str]]:
    source = files("locutus_dagster.deid.standard") / "data" / "table_e_1_1_2026d.csv"
    with source.open(encoding="utf-8") as lines:
        table = list(csv.DictReader(line for line in lines if line[0] != "#"))
    exact = [row for row in table if len(row["tag"]) == 8 and "x" not in row["tag"]]
    return {int(row["tag"], 16): row for row in exact}


ROWS = rows()


def vr_of(tag: int) -> str:
    return str(DicomDictionary[tag][0]).split(" or ")[0] if tag in DicomDictionary else ""


def with_every_attribute() -> Dataset:
    ds = builders.ct()
    for tag in ROWS:
        vr = vr_of(tag)
        if tag in LEFT_OUT or tag >> 16 < 8 or not vr or tag in (0x00120063, 0x00120064):
            continue
        if vr == "SQ":
            inner = builders.item(CodeValue="T-D3000", CodeMeaning="Chest")
            ds.add_new(tag, "SQ", [inner])
        else:
            # One UID for each attribute: what one keeps must not look like residue of another.
            ds.add_new(tag, vr, f"1.2.3.4.5.{tag}" if vr == "UI" else VALUES[vr])
    ds.TimezoneOffsetFromUTC = "+0100"
    ds.BurnedInAnnotation = "NO"
    return ds


def outcome(before: Dataset, after: Dataset, tag: int) -> set[str]:
    """Return the words for what became of an attribute."""
    if tag not in after:
        return {"X"}
    old, new = before[tag].value, after[tag].value
    vr = before[tag].VR
    if vr == "SQ":
        if not new:
            return {"Z"}
        if 0x00080104 not in new[0]:
            return {"D"}
        return {"K", "C", "U*"} if new[0].CodeMeaning == "Chest" else {"D"}
    words = set()
    if not new and new != 0:
        words.add("Z")
    elif new == old:
        words |= {"K", "C"} if vr not in ("DA", "DT") else {"K"}
    elif vr in ("DA", "DT") and str(new)[8:] == str(old)[8:] and moved(str(old), str(new)):
        words.add("C")
    elif vr == "UI" and new == PSEUDONYMS.uid(str(old)):
        words |= {"U", "D", "Z"}  # a mapped UID is a dummy of its own
    else:
        words.add("D")
        assert "Ratched" not in str(new)
    return words


def moved(old: str, new: str) -> bool:
    days = date(2019, 6, 19) - date(int(new[:4]), int(new[4:6]), int(new[6:8]))
    return days == timedelta(days=PSEUDONYMS.shift_days(builders.SUBJECT, 1, 3650))


def expected(row: dict[str, str], options: set[str], tag: int) -> set[str]:
    """Return the outcomes that the table's cells allow under some options."""
    vr = vr_of(tag)
    cells = {row[option] for option in options if row[option]}
    dates = row["retain_longitudinal_modified_dates"]
    if "retain_longitudinal_modified_dates" in options and dates:
        return {"C"} if vr in ("DA", "DT", "TM") else set(row["basic"].split("/")) | {"C", "K"}
    if "K" in cells:
        return {"K"}
    basic = set(row["basic"].split("/"))
    if "C" in cells:
        # What cannot be cleaned (binary, codes that no lexicon knows) follows the Basic Profile.
        return {"C"} if vr in ("LO", "LT", "SH", "ST", "UC", "UT", "SQ") else basic | {"C", "K"}
    return basic | {"D"} if basic == {"Z"} else basic


def policy_with(options: set[str]) -> Policy:
    spec = PolicySpec("test", frozenset(map(Option, options)), settings=Settings())
    return compile_policy(spec)


SETS = [
    set(),
    *({option.value} for option in Option),
    {option.value for option in Option} - {"retain_longitudinal_full_dates"},
    {option.value for option in Option} - {"retain_longitudinal_modified_dates"},
]


@pytest.mark.parametrize("options", SETS, ids=lambda s: "+".join(sorted(s)) or "basic")
def test_every_row_of_the_table_does_what_its_cells_say(tmp_path: Path, options: set[str]) -> None:
    content = builders.encode(with_every_attribute())
    before = pydicom.dcmread(io.BytesIO(content))
    disposition, members = builders.run(tmp_path, [content], policy=policy_with(options))
    assert disposition.delivered == 1, (disposition.instances[0].reason, disposition.residue)
    after = pydicom.dcmread(io.BytesIO(next(iter(members.values()))))
    wrong = []
    checked = 0
    for tag, row in ROWS.items():
        if tag not in before or tag in LEFT_OUT or tag >> 16 < 8:
            continue
        checked += 1
        happened, allowed = outcome(before, after, tag), expected(row, options, tag)
        if not happened & allowed:
            wrong.append(f"({tag >> 16:04x},{tag & 0xFFFF:04x}) {row['name']}: {happened}")
    assert checked > 600
    assert not wrong, "\n".join(wrong)


def test_the_statement_names_the_profile_and_every_option(tmp_path: Path) -> None:
    options = {option.value for option in Option} - {"retain_longitudinal_full_dates"}
    after = builders.clean(tmp_path, builders.ct(), policy=policy_with(options))
    codes = [item.CodeValue for item in after.DeidentificationMethodCodeSequence]
    assert codes[0] == "113100"
    # CID 7050 without pixels (113101), visual features (113102) and full dates (113106).
    assert sorted(codes) == [f"1131{n:02d}" for n in (0, 3, 4, 5, 7, 8, 9, 10, 11, 12)]
    assert after.LongitudinalTemporalInformationModified == "MODIFIED"
    full = policy_with({"retain_longitudinal_full_dates"})
    after = builders.clean(tmp_path, builders.ct(), policy=full)
    assert after.LongitudinalTemporalInformationModified == "UNMODIFIED"


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"retain_longitudinal_full_dates", "retain_longitudinal_modified_dates"}, Settings()),
        ({"retain_uids"}, Settings(identities="fresh")),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    options: set[str], settings: Settings
) -> None:
    with pytest.raises(DeidError, match="contradict"):
        compile_policy(PolicySpec("x", frozenset(map(Option, options)), settings=settings))
