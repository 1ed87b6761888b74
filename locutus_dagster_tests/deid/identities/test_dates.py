"""Dates move whole and only where they can be read; times and ages stay or go."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.deid.identities.dates import age, keep, shift

ANY_VR = st.sampled_from(["DA", "DT", "TM", "SH", "LO", ""])
#: Texts that come close to being dates.
HOSTILE = st.one_of(st.text(max_size=60), st.text("0123456789-+.: \0", max_size=60))
DATES = st.dates(date(20, 1, 1), date(9900, 1, 1))
DAYS = st.integers(-4000, 4000)


TIMES = st.one_of(
    st.times().map(lambda time: time.strftime("%H%M%S.%f")),
    st.times().map(lambda time: time.strftime("%H%M%S")),
    st.times().map(lambda time: time.strftime("%H")),
    st.just(""),
)
OFFSETS = st.sampled_from(["", "+0000", "+0100", "-0500", "-1200", "+1400"])


@st.composite
def values(draw: st.DrawFn) -> tuple[str, str]:
    """A VR and a legal value of it, ranges among them."""

    def one() -> str:
        day = da(draw(DATES))
        return {
            "DA": draw(st.sampled_from([day, f"{day[:4]}.{day[4:6]}.{day[6:]}"])),
            "DT": day + draw(TIMES) + draw(OFFSETS),
            "TM": draw(TIMES.filter(bool)),
            "SH": draw(OFFSETS.filter(bool)),
        }[vr]

    vr = draw(st.sampled_from(["DA", "DT", "TM", "SH"]))
    forms = [one(), f"{one()}-{one()}", f"{one()}-", f"-{one()}"]
    return vr, draw(st.sampled_from(forms[:1] if vr == "SH" else forms))


def da(day: date) -> str:
    return f"{day.year:04}{day.month:02}{day.day:02}"


def read(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


@given(DATES, DAYS)
def test_a_positive_number_of_days_makes_a_date_earlier(day: date, days: int) -> None:
    moved = shift("DA", da(day), days)
    assert moved is not None
    assert read(moved) == day - timedelta(days=days)


@given(DATES, DATES, DAYS)
def test_the_interval_between_two_dates_is_kept(one: date, another: date, days: int) -> None:
    moved = [shift("DA", da(day), days) for day in (one, another)]
    first, second = (read(text) for text in moved if text is not None)
    assert second - first == another - one


@given(values(), DAYS)
def test_shifting_there_and_back_gives_the_value_again(value: tuple[str, str], days: int) -> None:
    vr, text = value
    there = shift(vr, text, days)
    assert there is not None
    assert shift(vr, there, -days) == keep(vr, text)


@given(values(), DAYS)
def test_a_legal_value_keeps_its_form_but_for_old_dots(value: tuple[str, str], days: int) -> None:
    vr, text = value
    plain = text.replace(".", "") if vr == "DA" else text
    assert keep(vr, text) == plain
    moved = shift(vr, text, days)
    assert moved is not None
    assert len(moved) == len(plain)
    assert [char for char in moved if not char.isdigit()] == [
        char for char in plain if not char.isdigit()
    ]


@given(ANY_VR, HOSTILE, st.integers())
def test_no_text_and_no_number_of_days_raises(vr: str, text: str, days: int) -> None:
    for outcome in (shift(vr, text, days), keep(vr, text), age(text)):
        # What comes out is plain and fits where the original stood.
        assert outcome is None or (outcome.isascii() and len(outcome) <= len(text) + 1)
        assert outcome is None or set(outcome) <= set("0123456789-+.:DWMY")


@given(ANY_VR, HOSTILE)
def test_keeping_is_shifting_by_no_day_except_where_there_is_no_day(vr: str, text: str) -> None:
    moved = shift(vr, text, 0)
    assert moved == keep(vr, text) or (vr == "DT" and moved is None)


@pytest.mark.parametrize(
    ("vr", "text", "moved"),
    [
        ("DA", "20200301", "20200220"),
        ("DA", "2020.03.01", "20200220"),
        ("DA", " 20200301\0", "20200220"),
        ("DA", "00010111", "00010101"),
        ("DA", "99991231", "99991221"),
        ("DT", "20200301", "20200220"),
        ("DT", "2020030110", "2020022010"),
        ("DT", "202003011011", "202002201011"),
        ("DT", "20200301101160", "20200220101160"),
        ("DT", "20200301101112.1", "20200220101112.1"),
        ("DT", "20200301101112.123456+0100", "20200220101112.123456+0100"),
        ("DT", "20200301-0530", "20200220-0530"),
        ("DT", "20200301+1400 ", "20200220+1400"),
    ],
)
def test_the_day_moves_and_the_rest_stays(vr: str, text: str, moved: str) -> None:
    assert shift(vr, text, 10) == moved


@pytest.mark.parametrize(
    ("vr", "text", "moved"),
    [
        ("DA", "20200301-20200331", "20200220-20200321"),
        ("DA", "-20200331", "-20200321"),
        ("DA", "20200301-", "20200220-"),
        ("DA", "2020.03.01-2020.03.31", "20200220-20200321"),
        ("DT", "20200301-20200331", "20200220-20200321"),
        ("DT", "20200301-0500-20200331-0500", "20200220-0500-20200321-0500"),
        ("DT", "20200301-0500-", "20200220-0500-"),
        ("DT", "-20200331-0500", "-20200321-0500"),
        ("DT", "20200301101112+0100-20200331", "20200220101112+0100-20200321"),
        ("DT", "2020030110-2020033110", "2020022010-2020032110"),
        (
            "DT",
            "20200301101112.123456-0100-20200331101112.123456-0100",
            "20200220101112.123456-0100-20200321101112.123456-0100",
        ),
        ("TM", "10-1130", "10-1130"),
        ("TM", "-113000.5", "-113000.5"),
        ("TM", "10:11:12-", "10:11:12-"),
    ],
)
def test_a_range_moves_as_a_whole(vr: str, text: str, moved: str) -> None:
    assert shift(vr, text, 10) == moved


@pytest.mark.parametrize(
    "text",
    ["00", "2359", "235960", "101112.1", "101112.123456", "10:11:12", "10:11", "10:11:12.123456"],
)
def test_a_time_stays_as_it_is_written(text: str) -> None:
    assert shift("TM", text, 10) == keep("TM", f"{text} ") == text


@pytest.mark.parametrize("text", ["+0000", "+0100", "-0530", "+1400", "-1200", "+0545"])
def test_a_time_zone_offset_stays(text: str) -> None:
    assert shift("SH", text, 10) == keep("SH", text) == text


@pytest.mark.parametrize(
    ("vr", "texts"),
    [
        ("DA", "20230230 20231301 20230001 20230100 00000101 2023010 202301010 20230101\n"),
        (
            "DA",
            "2023-01-01 2023.0101 202301.01 1990/01/ 01.01.2023 JAN2023 2023 202301 \uff120230101",
        ),
        ("DA", "- -- 20230101-20230230 20230101-- -20230101- 20230101-20230102-20230103"),
        ("DT", "20230230 2023010124 202301011060 20230101101161 20230101101112. 2023010110.5"),
        ("DT", "20230101101112.1234567 20230101+1500 20230101-0000 20230101+1 20230101Z 202"),
        ("DT", "2023-01-01 20230101T10 202301011011:12 0000 20230101+0100+0100 2023.01.01"),
        ("TM", "24 2360 235961 1 101 10111 101112. 101112.1234567 1011.5 10:1112 1:11:12"),
        ("TM", "10:60:00 10am 101112+0100 20230101 10-11-12"),
        ("SH", "0100 +100 +01:00 +1430 +1401 -1201 -1300 +0160 -0000 +0100-0200 -+0100 ward"),
        ("LO", "20230101 101112"),
        ("UN", "20230101"),
    ],
)
def test_what_is_no_legal_value_is_left_to_be_removed(vr: str, texts: str) -> None:
    for text in texts.split(" "):
        assert shift(vr, text, 1) is None, text
        assert keep(vr, text) is None, text


def test_a_date_and_time_without_a_day_is_kept_but_cannot_move() -> None:
    for text in ("2023", "202302", "2023+0100", "202302-0500", "2023-2024", "2023-0500-2024"):
        assert keep("DT", text) == text
        assert shift("DT", text, 0) is None
    assert keep("DT", "202313") is None


@pytest.mark.parametrize(
    ("text", "days"),
    [("00010110", 10), ("99991222", -10), ("20200101", 10**9), ("20200101", 10**30)],
)
def test_a_day_that_no_calendar_holds_is_left_to_be_removed(text: str, days: int) -> None:
    assert shift("DA", text, days) is None
    assert shift("DT", f"{text}1011", days) is None
    assert shift("DA", f"{text}-20200101", days) is None


def test_nothing_stays_nothing() -> None:
    for vr in ("DA", "DT", "TM", "SH"):
        for text in ("", " ", "\0", " \0"):
            assert shift(vr, text, 5) == keep(vr, text) == ""
    assert age(" \0") == ""


def test_a_moved_date_and_time_reads_as_one_that_a_calendar_moved() -> None:
    moved = shift("DT", "20200301101112.5", 366)
    assert moved is not None
    before = datetime(2020, 3, 1, 10, 11, 12, 500000, tzinfo=timezone.utc)
    after = datetime.strptime(f"{moved}+0000", "%Y%m%d%H%M%S.%f%z")
    assert before - after == timedelta(days=366)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["-", "0-", "20230101-", "20230101-0100"])
def test_a_long_hostile_value_is_refused_at_once(piece: str) -> None:
    for vr in ("DA", "DT", "TM", "SH"):
        assert shift(vr, piece * 1_000_000, 1) is None
    assert age(piece * 1_000_000) is None


@pytest.mark.parametrize(
    ("text", "released"),
    [
        ("000D", "000D"),
        ("012W", "012W"),
        ("999M", "999M"),
        ("045Y", "045Y"),
        ("089Y", "089Y"),
        ("090Y", "090Y"),
        ("091Y", "090Y"),
        ("104Y ", "090Y"),
        ("999Y\0", "090Y"),
    ],
)
def test_ages_over_eighty_nine_years_become_ninety(text: str, released: str) -> None:
    assert age(text) == released


@pytest.mark.parametrize(
    "text", ["45Y", "0045Y", "045", "045y", "045 Y", "4.5Y", "Y045", "old", "\u0660\u0664\u0665Y"]
)
def test_what_is_no_age_is_left_to_be_removed(text: str) -> None:
    assert age(text) is None
