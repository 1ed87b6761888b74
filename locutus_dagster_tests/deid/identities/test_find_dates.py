"""Dates in sentences are found as people write them, and figures of an examination are not."""

from __future__ import annotations

import itertools
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.deid.identities.dates import find_dates


def found(text: str) -> list[str]:
    return [text[begin:end] for begin, end in find_dates(text)]


@pytest.mark.parametrize(
    "written",
    [
        # figures
        "20190619", "19062019", "06192019", "2019-06-19", "2019/6/19", "2019.06.19", "2019_06_19",
        "2019:06:19", "19.06.2019", "19. 6. 2019", "19/06/2019", "6/19/2019", "06-19-2019",
        "1/2/1880", "31.12.2100", "6/19/19", "19.06.19", "19-06-19", "98-12-31",
        # names of months
        "19-Jun-2019", "19Jun2019", "19 JUN 2019", "19.Jun.2019", "19-Jun-19", "Jun 19, 2019",
        "Jun. 19 2019", "Jun-19-2019", "June 19th, 2019", "19th of June 2019", "2019 June 19",
        "2019-Jun-19", "June 2019", "Sept. 2019", "Dec/2019", "Jun '19", "June 19", "3 June",
        "March 3rd", "19-21 June 2019", "June 19-21, 2019",
        "19. Juni 2019", "3. März 2019", "3. Maerz 2019", "1. Mai 2019", "3. Dez. 2019",
        "19 juin 2019", "1er août 2019", "2 févr. 2019", "19 de junio de 2019", "3 ene 2019",
        "19 giugno 2019", "3 mag 2019", "3 d'agosto 2019", "19 de março de 2019", "10 out 2019",
        "19 mei 2019", "3 maart 2019", "3 maj 2019", "3. marts 2019", "19 czerwca 2019",
        # other writings
        "2019年6月19日", "2019 年 6 月 19 日", "2019年6月", "6月19日", "令和元年6月19日",
        "平成31年4月30日", "2019년 6월 19일", "19\u20136\u20132019", "19\uff0f6\uff0f2019",
        # with times
        "2019-06-19T10:11", "2019-06-19T10:11:12.123+02:00", "2019-06-19T10:11:12Z",
        "2019-06-19 10:11 UTC", "20190619101112", "20190619T1011", "20190619_101112",
        "20190619101112.123456+0100", "20190619.101112", "19.06.2019 um 10:11",
        "6/19/2019 at 10:11 AM", "6/19/2019, 10 am", "10:11 19.06.2019", "10:11:12 on 2019-06-19",
        "Jun 19 10:11:12 2019", "Jun 19 10:11:12 EDT 2019", "19 juin 2019 à 10h11",
        "2019年6月19日 10時11分12秒", "10:11:12", "9:05:00 pm",
    ],
)  # fmt: skip
@pytest.mark.parametrize("sentence", ["{}", "CT on {}, unchanged", "({})", "seen {}.", "x\n{}\ny"])
def test_a_date_is_found_whole(sentence: str, written: str) -> None:
    assert found(sentence.format(written)) == [written]


@pytest.mark.parametrize(
    "text",
    [
        "T1 3D 256x256", "TR 2000 TE 30", "1.5T", "TR/TE 2000/10", "TE/TR 12/2000", "b1000 b50",
        "L4/5", "C5-6-7", "T12-L1", "1/2", "10-12 mm", "5/10 mm", "1.2.12", "syngo 10.4.2",
        "1.2.840.113619.2.30.1.1762295590.1623.978668949.886", "series 2019", "in 2019", "90/60/30",
        "pH 7.4", "1:30", "AX T2 FSE 4/2 10:11", "may 5 mm", "may not", "set 3 2000", "mag 2",
        "2000 mag 2", "gen 3", "10 dec", "out 10", "Marco 2019", "march 3.5 mm", "1.5 march",
        "June", "123-45-6789", "030-12-19", "192.168.10.12", "10.12.11.3", "5.10.12.11",
        "00:10:18:ab:cd:ef", "190619", "2019061", "20191319", "20190632", "40.06.2019",
        "19.13.2019", "0/0/2019", "19/06/1879", "19/06/2101", "119-Jun-20190", "2019-06-190",
        "flip 15 FOV 240", "³ ½ ①", "",
    ],
)  # fmt: skip
def test_figures_of_an_examination_are_no_dates(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize("zero", ["\N{FULLWIDTH DIGIT ZERO}", "\N{ARABIC-INDIC DIGIT ZERO}"])
@pytest.mark.parametrize("written", ["20190619", "19/06/2019", "3 mars 2019", "2019年6月19日"])
def test_the_digits_of_other_scripts_are_digits(written: str, zero: str) -> None:
    digits = {ord(str(digit)): ord(zero) + digit for digit in range(10)}
    written = written.translate(digits)
    assert found(f"CT, {written}, CT") == [written]


def test_every_date_of_a_text_is_found_in_its_place() -> None:
    text = "20190619: compared with Jun 3, 2018 and 1.2.2017; series 3 June 19, 2019 İ 2016-01-02"
    assert found(text) == ["20190619", "Jun 3, 2018", "1.2.2017", "June 19, 2019", "2016-01-02"]


def test_a_number_before_a_date_does_not_hide_it() -> None:
    assert found("12 19.06.2019") == ["19.06.2019"]
    assert found("3 3 19 June 2019") == ["19 June 2019"]
    assert found("CT20190619") == ["20190619"]
    assert found("IMG_20190619_1.dcm") == ["20190619"]


@given(
    st.dates(date(1880, 1, 1), date(2100, 12, 31)),
    st.sampled_from(["%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d-%b-%Y", "%B %d, %Y", "%c"]),
    st.sampled_from(["", "seen ", "(", "x 12 ", "CT, "]),
    st.sampled_from(["", " today", ")", ".", ", 3 mm"]),
)
def test_no_part_of_a_date_is_left(day: date, form: str, before: str, after: str) -> None:
    written = day.strftime(form)
    text = before + written + after
    for begin, end in reversed(find_dates(text)):
        text = text[:begin] + text[end:]
    weekday = day.strftime("%a ") if form == "%c" else ""
    assert text == before + weekday + after


PIECES = st.sampled_from(
    ["2019", "06", "19", "1", "-", "/", ".", ":", " ", "T", "Jun", "june", "mai", "de ", "年", "月",
     "日", "am", "+01", "th", "'", "İ", "\0", "\n", "٣", "ß"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join)))
def test_places_ascend_do_not_overlap_and_lie_in_the_text(text: str) -> None:
    spans = find_dates(text)
    for begin, end in spans:
        assert 0 <= begin < end <= len(text)
        assert text[begin:end] == text[begin:end].strip()
    for (_, end), (begin, _) in itertools.pairwise(spans):
        assert end <= begin


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    ["1/", "1-1-", "2019", "10:11 ", "1 ", "19 june ", "2019-06-", "1er de ", "年6月", "\u0661 "],
)
def test_a_long_hostile_text_takes_no_longer_than_its_length(piece: str) -> None:
    # Some 300,000 characters: quadratic work on them would outlast the time limit by far.
    text = piece * (300_000 // len(piece))
    assert all(begin < end for begin, end in find_dates(text))
