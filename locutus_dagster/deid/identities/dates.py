"""Dates, times and ages as text: moving them, checking them, finding them in sentences.

What belongs here: pure functions on one decoded value of a text VR. What does not: how many days a
subject's dates move (`pseudonyms.py`), which attributes move (`policies/`), backslashes, character
sets, sequences (`cleaning/`).

Whatever is no legal value of its VR comes back as None, for the caller to remove: a text that
cannot be read as a date cannot be moved either, and may hold anything. Source of the forms: PS3.5
6.2 and PS3.3 C.12.1.1.8 (Timezone Offset From UTC), edition 2026d.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from functools import lru_cache

__all__ = ["age", "find_dates", "keep", "shift"]

#: The longest value that the standard allows: a range of two DT.
_LONGEST = 54
#: From this age on, people are too few for the number to hide them.
_OLD = 90

_HMS = r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?"
_OLD_HMS = r"(?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d{1,6})?)?"
# From -1200 to +1400; -0000 is no offset.
_OFFSET = r"(?:\+(?:(?:0\d|1[0-3])[0-5]\d|1400)|-(?!0000)(?:(?:0\d|1[01])[0-5]\d|1200))"

_DA_FORM = re.compile(r"(\d{4})(\.?)(\d\d)\2(\d\d)", re.ASCII)
_TM_FORM = re.compile(rf"{_HMS}|{_OLD_HMS}", re.ASCII)
_DT_FORM = re.compile(rf"(\d{{4}})(?:(\d\d)(?:(\d\d)({_HMS})?)?)?({_OFFSET})?", re.ASCII)
_OFFSET_FORM = re.compile(_OFFSET, re.ASCII)
_AS_FORM = re.compile(r"(\d{3})([DWMY])", re.ASCII)


def shift(vr: str, text: str, days: int) -> str | None:
    """Return a value of a date or time with its day moved back.

    Times, fractions of seconds and UTC offsets stay as they are written. A date in the form of
    before DICOM, YYYY.MM.DD, comes out as YYYYMMDD. Both ends of a range move. Padding (spaces,
    NUL) around the value is dropped.

    Args:
        vr: "DA", "DT", "TM", or "SH" for Timezone Offset From UTC (0008,0201).
        text: one value, without backslash.
        days: how many days earlier; a negative number makes it later.

    Returns:
        None for what is no legal value of the VR, for a DT without a day, which no number of days
        can move, for a day that would fall before the year 1 or after 9999, and for any other VR.
        "" for an empty value.
    """
    return _value(vr, text, days)


def keep(vr: str, text: str) -> str | None:
    """Return a value of a date or time as it is, if it is one.

    The same checks as in `shift` and the same form as after a shift by no day, but a DT without
    a day or month is a value like another.
    """
    return _value(vr, text, None)


def age(text: str) -> str | None:
    """Return an age (VR AS), with "090Y" for every age over 89 years.

    Source: 45 CFR 164.514(b)(2)(i)(C), "Safe Harbor". Only years can be that many: the highest
    other value, 999 months, is 83 years.

    Returns:
        None for what is no age; "" for an empty value.
    """
    text = text.strip(" \0")
    match = _AS_FORM.fullmatch(text)
    if match is None:
        return None if text else ""
    return f"{_OLD:03}Y" if match[2] == "Y" and int(match[1]) >= _OLD else text


def _value(vr: str, text: str, days: int | None) -> str | None:
    """Do the work of `shift`, and of `keep` where `days` is None."""
    text = text.strip(" \0")
    if not text:
        return ""
    read = _READERS.get(vr)
    if read is None or len(text) > _LONGEST:
        return None
    whole = read(text, days)
    if whole is not None or vr == "SH":
        return whole
    # A range. Which hyphen divides a DT range and which begins an offset shows only when both
    # sides are read: four digits after a hyphen are an offset where they can be one.
    for place, sign in enumerate(text):
        first, last = text[:place], text[place + 1 :]
        if sign != "-" or not (first or last):
            continue
        begin = read(first, days) if first else ""
        end = read(last, days) if last else ""
        if begin is not None and end is not None:
            return f"{begin}-{end}"
    return None


def _moved(year: str, month: str, day: str, days: int | None) -> str | None:
    """Return YYYYMMDD, or None where there is no such day."""
    try:
        start = date(int(year), int(month), int(day))
        moved = date.fromordinal(start.toordinal() - (days or 0))
    except (ValueError, OverflowError):
        return None
    return f"{moved.year:04}{moved.month:02}{moved.day:02}"


def _da(text: str, days: int | None) -> str | None:
    match = _DA_FORM.fullmatch(text)
    return _moved(match[1], match[3], match[4], days) if match else None


def _dt(text: str, days: int | None) -> str | None:
    match = _DT_FORM.fullmatch(text)
    if match is None:
        return None
    year, month, day, time, offset = match.groups()
    moved = _moved(year, month or "01", day or "01", days)
    if moved is None or (day is None and days is not None):
        return None
    return text if day is None else f"{moved}{time or ''}{offset or ''}"


def _tm(text: str, days: int | None) -> str | None:
    return text if _TM_FORM.fullmatch(text) else None


def _sh(text: str, days: int | None) -> str | None:
    return text if _OFFSET_FORM.fullmatch(text) else None


_READERS: dict[str, Callable[[str, int | None], str | None]] = {
    "DA": _da,
    "DT": _dt,
    "TM": _tm,
    "SH": _sh,
}


# --- Dates in sentences ---------------------------------------------------------------------------

# Every name has its accents, and a form without them where people leave them out.
_ENGLISH = """
    january february march april may june july august september october november december
    jan feb mar apr jun jul aug sep sept oct nov dec
"""
_OTHERS = """
    januar jänner februar feber märz maerz mai juni juli oktober dezember jän mrz okt dez
    janvier février fevrier mars avril juin juillet août aout septembre octobre novembre décembre
    decembre janv févr fevr fév avr juil déc
    enero febrero marzo abril mayo junio julio agosto septiembre setiembre octubre noviembre
    diciembre ene abr ago dic
    gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre gen mag giu lug set ott
    janeiro fevereiro março marco maio junho julho setembro outubro novembro dezembro fev out
    januari februari maart mei augustus mrt
    marts maj augusti
    stycznia lutego marca kwietnia maja czerwca lipca sierpnia września wrzesnia października
    pazdziernika listopada grudnia
"""


def _unmistakable(names: str) -> str:
    """Return the names that mean a month even where no year stands beside them."""
    short = {"june", "july", "juni", "juli", "juin"}
    people = {"marco"}
    return " ".join(
        name for name in names.split() if name in short or (len(name) > 4 and name not in people)
    )


def _one_of(names: str) -> str:
    return f"(?:{'|'.join(dict.fromkeys(names.split()))})"


_ANY_MONTH = _one_of(_ENGLISH + _OTHERS)
_EN_MONTH = _one_of(_ENGLISH)
_LONG_MONTH = _one_of(_unmistakable(_ENGLISH + _OTHERS))
_EN_LONG_MONTH = _one_of(_unmistakable(_ENGLISH))
_DATED_MONTH = _one_of(f"{_ENGLISH} {_unmistakable(_OTHERS)}")

# Every repetition below has a small upper limit, so that the time grows with the text alone.
_Y = r"(?:18[89]\d|19\d\d|20\d\d|2100)"
_M, _MM = r"(?:0?[1-9]|1[0-2])", r"(?:0[1-9]|1[0-2])"
_D, _DD = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0[1-9]|[12]\d|3[01])"
_H, _HH, _60 = r"(?:[01]?\d|2[0-3])", r"(?:[01]\d|2[0-3])", r"[0-5]\d"

_NOON = r"\s?(?:[ap]m\b|[ap]\.m\b\.?)"
_ZONE = r"(?:\s?(?:z|utc|gmt)\b|\s?[+-](?:0\d|1[0-4]):?[0-5]\d(?!\d))"
_SECONDS = rf":{_60}(?:[.,]\d{{1,9}})?"
_TIME = rf"{_H}(?:[:h]{_60}(?:{_SECONDS})?(?:{_NOON})?{_ZONE}?|{_NOON})(?!\d)"
_BEFORE = rf"(?:(?<![\d:]){_TIME}[\s,;@_-]{{1,3}}(?:(?:on|am|le|el|il|op|den)\s)?)?"
_AFTER = rf"(?:(?:t|[\s,;@_()\[\]-]{{1,3}}(?:(?:at|um|om|kl\.?|à|a|alle|godz\.?)\s)?){_TIME})?"

_COMPACT = (
    rf"{_Y}{_MM}{_DD}(?:[t_ .-]?{_HH}{_60}{_60}(?:\.?\d{{1,6}})?(?:[+-]\d{{4}})?|[t_-]?{_HH}{_60})?"
    rf"(?!\d)|(?:{_DD}{_MM}|{_MM}{_DD}){_Y}(?!\d)"
)


def _divided(sign: str) -> str:
    """Return the pattern of dates in figures with one sign between them."""
    by = rf"\s?{sign}\s?"
    return rf"{_Y}{by}{_M}{by}{_D}(?!\d)|(?:{_D}{by}{_M}|{_M}{by}{_D}){by}{_Y}(?!\d)"


# Years of two digits only where little else looks like them: with slashes, or with two figures in
# each place, and not as a part of a longer number (UID, telephone, version).
_SHORT_YEAR = (
    rf"(?<!\d[-/.])(?:(?:{_D}/{_M}|{_M}/{_D})/\d\d|{_DD}\.{_MM}\.\d\d"
    rf"|(?:{_DD}-{_MM}|{_MM}-{_DD})-\d\d|\d\d-{_MM}-{_DD})(?![-/.]?\d)"
)

_GAP, _SPACE = r"[\s,./_-]{0,3}", r"[\s,./_'-]{1,3}"
_TH = r"(?:st|nd|rd|th|er|[oa°.])?"
_OF = r"(?:(?:of|del?|di)\s|[dl]')?"
_SHORT = r"\s?[-/.']\d\d(?!\d)"
_THROUGH = rf"(?:\s?-\s?{_D}{_TH})?"
_DAY_FIRST = (
    rf"{_D}{_TH}{_THROUGH}{_GAP}{_OF}{_ANY_MONTH}(?:{_GAP}{_OF}{_Y}(?!\d)|{_SHORT})"
    rf"|{_Y}{_GAP}{_DATED_MONTH}{_GAP}{_D}(?!\d)"
    # "3 June": but in "series 3 June 19, 2019" the 3 is no day, and 2.5 is none anywhere.
    rf"|(?<!\d[.,]){_D}{_TH}{_GAP}{_OF}{_LONG_MONTH}(?!\w)(?!{_GAP}{_D}{_TH}{_SPACE}{_Y})"
)
_MONTH_FIRST = (
    rf"{_EN_MONTH}{_GAP}{_D}{_TH}{_THROUGH}"
    rf"(?:{_SPACE}(?:{_TIME}(?:\s[a-z]{{3,4}})?{_SPACE})?{_Y}(?!\d)|{_SHORT})"
    rf"|{_DATED_MONTH}(?:{_SPACE}{_OF}{_Y}|[\s.]?'\d\d)(?!\d)"
    rf"|{_EN_LONG_MONTH}\.?\s{{1,2}}{_D}(?:st|nd|rd|th)?(?!\w)(?!\.\d)"
)

_CJK_YEAR = rf"(?:{_Y}|(?:明治|大正|昭和|平成|令和)(?:元|\d{{1,2}}))\s?[年년]\s?"
_CJK_TIME = rf"\s?{_H}\s?[時时시点]\s?{_60}\s?[分분](?:\s?{_60}\s?[秒초])?"
_CJK = (
    rf"(?:(?:{_CJK_YEAR})?{_M}\s?[月월]\s?{_D}\s?[日일号]|{_CJK_YEAR}{_M}\s?[月월])(?:{_CJK_TIME})?"
)

_FIGURES = "|".join(
    [_COMPACT, rf"{_Y}:{_MM}:{_DD}(?!\d)", *map(_divided, ("-", "/", r"\.", "_")), _SHORT_YEAR]
)
_DATE = re.compile(
    rf"{_BEFORE}(?:(?<!\d)(?:{_FIGURES}|{_DAY_FIRST}|{_CJK})|(?<![^\W\d_])(?:{_MONTH_FIRST}))"
    rf"{_AFTER}|(?<![\d:]){_H}:{_60}{_SECONDS}(?:{_NOON})?{_ZONE}?(?![\d:])"
)
_DIGIT = re.compile(r"\d")


def find_dates(text: str) -> list[tuple[int, int]]:
    """Return where in free text something stands that looks like a date.

    Found are dates in figures (with hyphens, slashes, dots, underscores, or eight digits in a
    row), with the month's name in English, German, French, Spanish, Italian, Portuguese, Dutch,
    Polish and the Scandinavian languages, and in Chinese, Japanese and Korean writing, from 1880
    to 2100; a time beside a date; and a time with seconds. The name of a month with a year or with
    a day is a date, too. Not found are a year alone, month and year in figures (TE and TR look
    alike), and six digits in a row (any number looks alike).

    Returns:
        Pairs of begin and end, as in a slice: ascending, not overlapping, none empty.
    """
    if not _DIGIT.search(text):
        return []
    plain = text.lower() if text.isascii() else "".join(map(_plain, text))
    return [match.span() for match in _DATE.finditer(plain)]


@lru_cache(maxsize=4096)
def _plain(char: str) -> str:
    """Return the one character that stands for this one in the patterns.

    Lower case, digits of every script as 0 to 9, every dash as "-", full-width forms as plain
    ones. One character stays one, so that a place in the outcome is the same place in the text.
    """
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    kind = unicodedata.category(char)
    if kind == "Pd" or char == "\N{MINUS SIGN}":
        return "-"
    if char in "\N{FRACTION SLASH}\N{DIVISION SLASH}":
        return "/"
    if char == "\N{RIGHT SINGLE QUOTATION MARK}":
        return "'"
    folded = unicodedata.normalize("NFKC", char).lower()
    return folded if len(folded) == 1 else char
