"""Which tokens of a description may stay: words of the lexicon, and numbers by their form.

What belongs here: taking a text apart into tokens and judging each. What does not: the words
(`lexicon.py`), identifiers (`known_identifiers.py`, `descriptor_patterns.py`).

A number of up to three digits identifies nobody. A longer one stays only as a measurement, with a
unit ("1000 ms"), in a size ("256x1024"), or behind a name of a parameter ("TR 2000", "b1000").
A word with digits stays if it has one of the forms of the field ("T2w", "L4", "Br40d", "F18"), or
if it is made of words of the lexicon and up to three digits ("fl3d", "DWI3scan"). A word that is
not understood as a whole goes as a whole: "SmithT1" does not leave "T1". A script without spaces
between words has rules of its own (`unspaced.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from locutus_dagster.deid.cleaning.cutting import SEPARATORS
from locutus_dagster.deid.cleaning.descriptor_titles import PARTICLES
from locutus_dagster.deid.cleaning.folding import fold
from locutus_dagster.deid.cleaning.lexicon import Lexicon
from locutus_dagster.deid.cleaning.unspaced import UNSPACED, unknown_runs

__all__ = ["has_words", "unknown_tokens"]

_MOST_DIGITS = 3
_SHORTEST_BEHIND = 3
_FREE, _FREE_END = r"(?<![^\W_])", r"(?![^\W_])"
_DECIMAL = r"[0-9]{1,4}(?:[.,][0-9]{1,3})?"

# Units that make even a long number a measurement.
_SURE_UNITS = "ms|msec|mm|hz|khz|mhz|mbq|kbq|ml|µm|um|nm|mas|mgy|mgycm|hu"
_UNITS = (
    rf"{_SURE_UNITS}|cm|m|km|s|sec|secs|min|mins|h|hr|hrs|d|day|days|wk|wks|w|mo|yr|yrs|y|deg|grad|"
    r"t|tesla|kv|kvp|kev|mev|mv|ma|gy|cgy|msv|usv|µsv|cc|l|dl|mg|g|kg|ug|µg|mcg|mci|gbq|bq|iu|mmol|"
    r"sl|slc|slices|ch|channel|vol|vols|dyn|dyns|dir|dirs|x|nex|nsa|avg|bpm|pct|px|in|ft|mm2|mm3|"
    r"cm2|cm3|fps|fr|frames|img|images|views|phases|ph|p|pl|plane|planes|lvl|level|levels|rep|reps|"
    r"it|iter|i|e|echo|shot|shots|seg|bit|bits|st|nd|rd|th|er|do|sec|steps|beats|hb|bh|pm|am|uhr"
)
_MEASURE = (
    # TR 2000, TR/TE 2000/30, b1000, b=0,50,800, FOV 2048
    r"(?:(?:tr|te|ti)(?:/(?:tr|te|ti)){0,2}|b(?:[- ]?val(?:ue)?s?)?|fov|rfov|matrix|mtx|bw|ww|wl|"
    r"venc|hu)[ ]?[=:]?[ ]?-?[0-9]{1,4}(?:\.[0-9]{1,3})?(?:[/,x+-][0-9]{1,4}){0,15}"
    r"(?:[ ]?(?:ms|mm|hz))?"
    r"|tr[ ]?[=:]?[ ]?[0-9]{5}"
    # 256x1024, 0.8 x 0.8 x 1.2 mm
    rf"|{_DECIMAL}(?:[ ]?[x\xd7*][ ]?{_DECIMAL}){{1,3}}(?:[ ]?(?:mm|cm|px))?"
    # 1000 ms
    rf"|[0-9]{{4,5}}(?:[.,][0-9]{{1,3}})?[ ]?(?:{_SURE_UNITS})"
    # 100 mA, 250 HU: a number and a unit that would not stay on its own
    r"|[0-9]{1,3}[ ](?:ma|ng|hu)"
)
_TOKEN, _ASCII_TOKEN = (
    re.compile(rf"{_FREE}(?:{_MEASURE}){_FREE_END}|(?P<word>[^{letters}]+)", re.IGNORECASE)
    for letters in (
        re.escape(SEPARATORS),
        re.escape("".join(filter(str.isascii, SEPARATORS))),
    )
)

_NUCLIDES = (
    "1h|2h|3he|7li|13c|19f|23na|31p|129xe|11c|13n|15o|18f|64cu|67ga|68ga|81mkr|82rb|89zr|90y|99mtc|"
    "99tc|111in|123i|124i|125i|131i|133xe|153sm|166ho|177lu|201tl|223ra|225ac"
)
_NUCLIDES_AFTER = re.sub(r"(\d+m?)([a-z]+)", r"\2\1", _NUCLIDES)
_FORMS = re.compile(
    rf"[0-9]{{1,3}}(?:{_UNITS})?"
    r"|x[0-9]{1,2}|[0-9]{1,2}[a-h]"
    r"|(?:b[0-9]{1,4}){1,3}"
    # vertebral levels
    r"|(?:c[1-8]|th?(?:1[0-2]|[1-9])|d(?:1[0-2]|[1-9])|l[1-6]|s[1-5]){1,2}"
    # reconstruction kernels
    r"|[bdhijtu][0-9]{2}[dfhmnsv]?|(?:b[flmrsv]|h[cnprv]|qr|u[bhr]|s[adf]|t[fr])[0-9]{2}[a-z]{0,2}[0-9]?"
    r"|fc[0-9]{2,3}[a-z]?|(?:ss|ar)[0-9]{2,3}"
    # parameters: GRAPPA p2, slices s2, echo e1, version v2, reduction r2, r1p5, r2mb2
    r"|[eknprsvx][0-9]{1,2}|m[01]|r[1-9](?:p[0-9]|mb[1-9])"
    rf"|{_NUCLIDES}|{_NUCLIDES_AFTER}",
    re.IGNORECASE | re.ASCII,
)
#: What is written together with the next word: the article, "and", "in", "for".
_PREFIXES = (
    # Arabic: "and" before the article, which "in", "like" and "for" join; "and" alone
    re.compile("\u0648?(?:\u0628\u0627\u0644|\u0643\u0627\u0644|\u0644\u0644|\u0627\u0644)|\u0648"),
    # Hebrew: one letter, or "and" and another
    re.compile("[\u05d5\u05d4\u05d1\u05dc\u05de\u05e9\u05db]"),
    re.compile("\u05d5[\u05d4\u05d1\u05dc\u05de\u05e9\u05db]"),
)
_ARTICLE = "\u0627\u0644"
#: The same where a keyboard writes Cyrillic, folded: units, ordinals, vertebrae, T1 and T2.
_CYRILLIC_FORMS = re.compile(
    r"[0-9]{1,3}(?:мм|см|м|мкм|мл|л|мг|мкг|кг|г|гр|сек|с|мс|мин|ч|т|тл|кв|ма|мас|мзв|мкзв|мгр|"
    r"гц|мгц|мбк|гбк|кбк|х|д|лет|года?|раз|рокив|я|и|а|е|ая|ыи|ои|ое|ого|го|му|ти|ми|х)"
    r"|(?:с[1-7]|т(?:h|х)?(?:1[0-2]|[1-9])|д(?:1[0-2]|[1-9])|л[1-6])(?:ви|вi|w)?",
)
_PIECES = re.compile(
    r"[Tt][12](?![0-9])(?:[wW](?![a-z]))?|[rR]?[2-5][dD](?![a-z])(?:[0-9]{1,2}r?(?![a-z0-9]))?"
    r"|[0-9]{1,3}(?:mm|ms|s|T)(?![A-Za-z])|[0-9]+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+"
)
_DIGIT = re.compile(r"\d")


def unknown_tokens(text: str, lexicon: Lexicon) -> Iterator[tuple[int, int]]:
    """Yield begin and end of every token that is neither a known word nor a measurement."""
    tokens = _ASCII_TOKEN if text.isascii() else _TOKEN
    for match in tokens.finditer(text):
        word = match["word"]
        if word is None or _is_known(word, lexicon):
            continue
        if not word.isascii() and UNSPACED.search(word):
            start = match.start()
            for first, last in unknown_runs(word, lexicon, lambda part: _is_known(part, lexicon)):
                yield start + first, start + last
        else:
            yield match.span()


def has_words(text: str) -> bool:
    """Tell whether a text is more than separators."""
    return bool(text.strip(SEPARATORS))


def _is_known(word: str, lexicon: Lexicon) -> bool:
    if lexicon.has_folded(fold(word)):
        return True
    if not word.isascii():
        folded = fold(word)
        return bool(
            _FORMS.fullmatch(folded)
            or _CYRILLIC_FORMS.fullmatch(folded)
            or _has_prefix(folded, lexicon)
        )
    return bool(_FORMS.fullmatch(word)) or _is_compound(word, lexicon)


def _has_prefix(word: str, lexicon: Lexicon) -> bool:
    """Tell whether a folded word is one of the lexicon behind an Arabic or Hebrew prefix."""
    for pattern in _PREFIXES:
        match = pattern.match(word)
        if match:
            rest = word[match.end() :]
            if len(rest) >= _SHORTEST_BEHIND and (
                lexicon.has_folded(rest) or lexicon.has_folded(_ARTICLE + rest)
            ):
                return True
    return False


def _is_compound(word: str, lexicon: Lexicon) -> bool:
    """Tell whether a word is made of words of the lexicon: "AxT2Flair", "ep2d", "DWI3scan"."""
    pieces = _PIECES.findall(word)
    if len(pieces) < 2 or pieces[0].lower() in PARTICLES:
        return False  # "DeLong" is a name
    digits = 0
    for piece in pieces:
        if piece[0].isdigit() and piece[1:2] not in ("d", "D"):
            digits += sum(map(str.isdigit, piece))
        elif piece.isalpha() and (len(piece) == 1 or not lexicon.has_folded(piece.lower())):
            return False
    return digits <= _MOST_DIGITS
