"""Whatever a file is: the run ends soon, in bounds, and what cannot be read is withheld.

A slice of what `benchmarks/fuzz.py` does for minutes, with fixed seeds, and inputs from Hypothesis.
What is asserted of every input stands in `judging.py`.
"""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locutus_dagster_tests.deid import judging
from locutus_dagster_tests.deid.hostile import REFERENCE, STRUCTURES, Hostile
from locutus_dagster_tests.deid.hostile_texts import TEXTS, report
from locutus_dagster_tests.deid.hostile_zips import DEFLATED, STORED, ZIPS, Member, zip_of
from locutus_dagster_tests.deid.judging import Verdict, judge, leaks, policies
from locutus_dagster_tests.deid.mutations import PYDICOM_FILES, mutated, planted_copies
from locutus_dagster_tests.deid.wire import LE, NAME, PLANTED, UNDEFINED, WIRES, Wire, extended

HOSTILE: dict[str, Hostile] = {**STRUCTURES, **TEXTS}
GOOD = extended(LE, {}, number=2)

TOO_DEEP = "unreadable: nesting too deep"
#: What becomes of a file of 20 kB in explicit VR under "nested"; of all others it is "delivered".
WITHHELD = {
    "nested by undefined lengths": TOO_DEEP,
    "nested by defined lengths": TOO_DEEP,
    "nested in un": TOO_DEEP,
    "nested in private un": TOO_DEEP,
    "nested in repeated sequences": TOO_DEEP,
    "nested and never closed": TOO_DEEP,
    "almost undefined lengths": "unreadable: truncated value",
    "delimiters in odd places": "unreadable: item expected",
    "duplicates": "unreadable: duplicate element",
    "broken fragments": "unreadable: broken fragments",
    "zeros": "unreadable: unknown value representation",
    "a uid of backslashes": "unreadable: value too long",
}
#: Members that are delivered from hostile zips; of all others it is the one good one.
ALL_BUT_ONE = {
    "a directory in the comment": 0,
    "a zip64 field that is cut off": 0,
    "names of all sorts": 11,
    "offsets beyond the end": 0,  # one of them points into the good member
    "thousands of members": 0,
    "thousands of members on the same bytes": 0,
}
#: Files of pydicom's wheel, as different as they are small.
SEEDS = [
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "ExplVR_BigEnd.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm",
    "image_dfl.dcm",
    "liver_1frame.dcm",
    "badVR.dcm",
    "reportsi.dcm",
    "rtdose_1frame.dcm",
    "SC_rgb_rle.dcm",
    "test-SR.dcm",
]


def study(folder: Path, *files: bytes, method: int = STORED) -> Path:
    raw = folder / "raw.zip"
    raw.write_bytes(
        zip_of([Member(one, name=b"%d" % at, method=method) for at, one in enumerate(files)])
    )
    return raw


def verdict_on(
    folder: Path, content: bytes, policy: str, size: int = 0, *, weigh: bool = False
) -> Verdict:
    """Judge a file that comes with a good one of the same patient."""
    files = [GOOD, content]
    raw = study(folder, *files)
    return judge(raw, policies()[policy], files, size=size, good=0, repeat=not weigh, weigh=weigh)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_delivered_or_withheld_in_time(tmp_path: Path, name: str) -> None:
    for wire in WIRES.values():
        verdict = verdict_on(tmp_path, HOSTILE[name](wire, 20_000), "nested", 40_000)
        assert not verdict.problems, wire
        if wire is LE:
            assert verdict.disposition is not None
            assert verdict.disposition.instances[1].reason == WITHHELD.get(name, "")


@pytest.mark.parametrize("name", HOSTILE)
def test_the_profile_alone_is_as_safe(tmp_path: Path, name: str) -> None:
    for wire in (WIRES["explicit"], WIRES["implicit"]):
        verdict = verdict_on(tmp_path, HOSTILE[name](wire, 10_000), "basic", 20_000)
        assert not verdict.problems, wire


@pytest.mark.parametrize(
    "name",
    [
        "a long description",
        "empty items",
        "many patients",
        "many uids",
        "names inside each other",
        "nested in private un",
        "scripts that take turns",
        "texts that repeat",
        "tiny elements",
        "tiny private elements",
        "zeros",
    ],
)
def test_time_and_memory_grow_with_the_file_alone(tmp_path: Path, name: str) -> None:
    content = HOSTILE[name](WIRES["implicit"], 300_000)
    assert not verdict_on(tmp_path, content, "nested", weigh=True).problems


def test_a_hundred_thousand_levels_are_no_crash(tmp_path: Path) -> None:
    for undefined in (False, True):
        nested = LE.nested([REFERENCE], 100_000, undefined=undefined)
        verdict = verdict_on(tmp_path, extended(LE, {REFERENCE: nested}), "research")
        assert not verdict.problems
        assert verdict.reasons == {"delivered": 1, TOO_DEEP: 1}


@pytest.mark.parametrize("name", ZIPS)
def test_a_hostile_zip_is_read_as_far_as_it_can_be(tmp_path: Path, name: str) -> None:
    raw = tmp_path / "raw.zip"
    raw.write_bytes(ZIPS[name]())
    verdict = judge(raw, policies()["research"], size=64 << 20)
    assert not verdict.problems
    delivered = verdict.reasons.get("delivered", 0)
    assert delivered == ALL_BUT_ONE.get(name, 1)
    assert verdict.refused == (name == "a zip64 field that is cut off")


@pytest.mark.parametrize("name", SEEDS)
def test_damage_costs_the_damaged_file_alone_and_leaks_nothing(tmp_path: Path, name: str) -> None:
    first, second = planted_copies((PYDICOM_FILES / name).read_bytes())
    other = planted_copies((PYDICOM_FILES / SEEDS[SEEDS.index(name) - 1]).read_bytes())[0]
    draw = random.Random(name)
    for number in range(16):
        files = [first, mutated(draw, second, other)]
        raw = study(tmp_path, *files, method=draw.choice((STORED, DEFLATED)))
        policy = policies()["basic" if number % 3 == 0 else "research"]
        whole = number % 3 != 0  # the profile alone takes no reports
        verdict = judge(raw, policy, files, good=0 if whole else None, repeat=number % 8 == 0)
        assert not verdict.problems, number


# --- The judge itself -----------------------------------------------------------------------------


def test_the_judge_sees_identifiers_but_not_in_native_pixels() -> None:
    assert leaks(GOOD) == list(range(len(PLANTED)))
    pixels = LE.element(0x7FE00010, "OW", NAME * 2)
    blank = {tag: LE.element(tag, "LO") for tag in (0x00080050, 0x00080090, 0x00081030)}
    blank |= {tag: LE.element(tag, "LO") for tag in (0x00100010, 0x00100020)}
    assert leaks(extended(LE, {**blank, 0x7FE00010: pixels})) == []
    assert leaks(extended(LE, {**blank, 0x00204000: LE.element(0x00204000, "LT", NAME)})) == [0, 1]


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (lambda: 1 // 0, "raised ZeroDivisionError"),
        (lambda: sum(1 for _ in iter(int, 1)), "took too long"),
    ],
)
def test_the_judge_survives_a_crash_and_ends_what_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[], object], problem: str
) -> None:
    monkeypatch.setattr(judging, "deidentify_study", lambda *_, **__: fault())
    monkeypatch.setattr(judging, "_SECONDS", 0.05)
    verdict = judge(study(tmp_path, GOOD), policies()["basic"])
    assert problem in " ".join(verdict.problems)


# --- Inputs from Hypothesis -----------------------------------------------------------------------

_TAGS = st.sampled_from(
    [
        *(0x00080005, 0x00080008, 0x00081140, 0x00082218, 0x00100010, 0x00181030, 0x00200052),
        *(0x00290010, 0x00291010, 0x0040A043, 0x0040A040, 0x0040A160, 0x0040A730, 0x0040DB73),
        *(0x00540016, 0x60003000, 0x7FE00010, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0xFFFCFFFC),
    ]
)
_VRS = st.sampled_from(["CS", "DA", "DS", "LO", "LT", "OB", "OW", "PN", "SQ", "UI", "UN", "US"])
_VALUES = st.one_of(
    st.binary(max_size=24),
    st.sampled_from([NAME, b"TEXT", b"ACME NEST ", b"\\ISO 2022 IR 87 ", b"20240102", b"1.2.3"]),
)
_LENGTHS = st.sampled_from([None, None, None, None, 0, 7, 0xFFFF, 0xFFFFFFFE, UNDEFINED])
_WIRES = st.sampled_from(sorted(WIRES))
_FOREVER = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@st.composite
def data_sets(draw: st.DrawFn, wire: Wire, depth: int = 0) -> bytes:
    """Return elements in any order, with sequences inside of sequences, some with wrong lengths."""
    pieces = []
    for _ in range(draw(st.integers(0, 4))):
        tag = draw(_TAGS)
        if depth < 5 and draw(st.booleans()):
            inside = Wire(False, True, "") if draw(st.integers(0, 5)) == 0 else wire
            vr = "SQ" if inside is wire else "UN"
            items = [
                inside.item(draw(data_sets(inside, depth + 1)), draw(_LENGTHS))
                for _ in range(draw(st.integers(0, 3)))
            ]
            make = wire.open_sequence if draw(st.booleans()) else wire.sequence
            pieces.append(make(tag, items, vr))
        else:
            pieces.append(wire.element(tag, draw(_VRS), draw(_VALUES), draw(_LENGTHS)))
    return b"".join(pieces)


@_FOREVER
@given(st.data())
def test_any_elements_behind_a_good_beginning_are_judged(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    wire = WIRES[data.draw(_WIRES)]
    extra = {0x00200060: data.draw(data_sets(wire))}
    is_report = data.draw(st.booleans())
    content = report(wire, b"", extra) if is_report else extended(wire, extra)
    folder = tmp_path_factory.mktemp("any")
    assert not verdict_on(folder, content, data.draw(st.sampled_from(["basic", "nested"]))).problems


@_FOREVER
@given(
    st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(max_size=6)), min_size=1, max_size=6),
    st.booleans(),
)
def test_a_zip_with_any_bytes_changed_is_judged(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]], packed: bool
) -> None:
    folder = tmp_path_factory.mktemp("zip")
    raw = study(folder, GOOD, extended(LE, {}), method=DEFLATED if packed else STORED)
    content = bytearray(raw.read_bytes())
    with zipfile.ZipFile(raw) as opened:
        directory = opened.start_dir
    for place, new in changes:
        # Most changes go to the directory, which is what everything else hangs on.
        at = directory + place % (len(content) - directory) if place % 4 else place % len(content)
        content[at : at + len(new)] = new
    raw.write_bytes(content)
    assert not judge(raw, policies()["research"]).problems
