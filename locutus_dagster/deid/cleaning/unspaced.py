"""Judging text in scripts that put no spaces between words: Japanese, Chinese, Korean, Thai.

What belongs here: taking such a text apart into runs of one script, and finding the words of the
lexicon in them. What does not: the words (`lexicon.py`), text with spaces (`descriptor_tokens.py`).

A run may stay if it can be cut completely into words of the lexicon. A word of one character is
also a part of many names, so two of them may not stand side by side; a particle beside one may.
Of a longer run in Chinese characters and hiragana that cannot be cut, the words of two characters
and more stay, of one in Thai those of four and more. A run of up to three characters goes as a
whole, because it may be a name ("李健康" does not leave the word for health), and so do katakana,
which spell foreign names, and Korean, which has spaces between phrases.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from locutus_dagster.deid.cleaning.folding import fold_with_places
from locutus_dagster.deid.cleaning.lexicon import Lexicon

__all__ = ["UNSPACED", "known_runs", "unknown_runs"]

_KATAKANA = r"\u30a1-\u30f5\u30f7-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
#: With hiragana, the marks of repetition, and the small ke between numbers and months.
_HAN = (
    r"\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303c\u3041-\u309f\u30f6"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
_HANGUL = r"\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7fb\uffa0-\uffdc"
_THAI = r"\u0e01-\u0e7f"

#: Any character of a script without spaces.
UNSPACED = re.compile(f"[{_KATAKANA}{_HAN}{_HANGUL}{_THAI}]")
_RUN = re.compile(
    f"(?P<katakana>[{_KATAKANA}][{_KATAKANA}\u3099\u309a]*)|(?P<han>[{_HAN}]+)"
    f"|(?P<hangul>[{_HANGUL}]+)|(?P<thai>[{_THAI}]+)"
    f"|(?P<other>[^{_KATAKANA}{_HAN}{_HANGUL}{_THAI}]+)"
)
#: Particles of one character, which may stand beside another word of one character. Those of Korean
#: are also surnames, so they are in no lexicon, and count behind a word only.
_PARTICLES = frozenset("のとにをはがでもやへな的及和与與或并")
_KOREAN_PARTICLES = frozenset(
    unicodedata.normalize("NFKD", syllable) for syllable in "은는이가을를의에로와과도만"
)
#: The commonest Chinese surnames. A short word behind one of them, alone in a gap, may be
#: the given name.
_SURNAMES = frozenset(
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜"
    "戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
    "張劉陳楊趙黃吳孫馬羅鄭謝韓馮蕭鄧許呂蘇盧蔣賈葉閻鍾範譚鄒陸顧龍萬錢湯喬賀賴龔"
)
_LONGEST_GIVEN_NAME = 2
#: Shorter words of Thai are syllables of names, too.
_SHORTEST_THAI = 4
#: A run that is not understood and has no more characters than this may be a name.
_LONGEST_NAME = 3
#: What the last word was, as bits: the begin of the run or a word of several characters, a word of
#: one character, a particle.
_LONG, _SINGLE, _PARTICLE = 1, 2, 4


def unknown_runs(
    token: str, lexicon: Lexicon, is_known: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    """Yield begin and end of what may not stay of a token.

    Args:
        token: text without separators, in which a script without spaces occurs.
        lexicon: the words that may stay.
        is_known: tells whether a part of the token in another script may stay ("MRI", "10mm").
    """
    for match in _RUN.finditer(token):
        if match["other"]:
            if not is_known(match["other"]):
                yield match.span()
            continue
        run = _Run(match[0], lexicon, korean=bool(match["hangul"]))
        if run.is_known():
            continue
        if (match["han"] or match["thai"]) and run.characters > _LONGEST_NAME:
            for first, last in run.gaps(shortest=2 if match["han"] else _SHORTEST_THAI):
                yield match.start() + first, match.start() + last
        else:
            yield match.span()


def known_runs(text: str, lexicon: Lexicon) -> bool:
    """Tell whether every run of a text without separators is made of words of the lexicon."""
    return not any(True for _ in unknown_runs(text, lexicon, lexicon.__contains__))


class _Run:
    """A run of one script, folded, and where its characters begin."""

    def __init__(self, text: str, lexicon: Lexicon, *, korean: bool) -> None:
        self._lexicon = lexicon
        self._particles = _KOREAN_PARTICLES if korean else _PARTICLES
        self._behind = _KOREAN_PARTICLES if korean else frozenset()
        folded, places = fold_with_places(text)
        self._folded = folded
        self._places = places or list(range(len(folded) + 1))
        #: How many characters, as people count them, begin before a place; None inside of one.
        self._before: list[int | None] = []
        count = 0
        for place, character in enumerate(folded):
            inside = place and (
                self._places[place] == self._places[place - 1] or _continues(character)
            )
            self._before.append(None if inside else count)
            count += not inside
        self._before.append(count)
        self.characters = count

    def is_known(self) -> bool:
        """Tell whether the run can be cut completely into words."""
        reached = [0] * (len(self._folded) + 1)
        reached[0] = _LONG
        for start in range(len(self._folded)):
            if not reached[start]:
                continue
            for end, length in self._words_at(start):
                kind = self._kind(start, end, length)
                if kind == _LONG or reached[start] & ~kind:
                    reached[end] |= kind
        return bool(reached[-1])

    def gaps(self, shortest: int) -> Iterator[tuple[int, int]]:
        """Yield begin and end, in the original text, of what no word covers.

        Args:
            shortest: how many characters a word has at least.
        """
        size = len(self._folded)
        # From each place on: characters that are not covered, words, end of the word that begins.
        best: list[tuple[int, int, int]] = [(0, 0, size)] * (size + 1)
        for start in range(size - 1, -1, -1):
            missing, words, _ = best[start + 1]
            choice = (missing + (self._before[start] is not None), words, -1)
            for end, length in self._words_at(start):
                if length >= shortest:
                    choice = min(choice, (best[end][0], best[end][1] + 1, end))
            best[start] = choice
        start = gap = 0
        while start < size:
            end = best[start][2]
            if end < 0:
                start += 1
                continue
            if self._folded[gap:start] in _SURNAMES:
                length = (self._before[end] or 0) - (self._before[start] or 0)
                if length <= _LONGEST_GIVEN_NAME:
                    start = end
                    continue
            if gap < start:
                yield self._places[gap], self._places[start]
            start = gap = end
        if gap < size:
            yield self._places[gap], self._places[size]

    def _words_at(self, start: int) -> Iterator[tuple[int, int]]:
        """Yield end and number of characters of the words that begin at a place."""
        first = self._before[start]
        if first is None:
            return
        for length in self._lexicon.lengths(self._folded[start]):
            end = start + length
            if end < len(self._before):
                stop = self._before[end]
                if stop is not None and self._lexicon.has_folded(self._folded[start:end]):
                    yield end, stop - first
        for length in (2, 3) if self._behind and start else ():
            end = start + length
            if end < len(self._before) and self._folded[start:end] in self._behind:
                yield end, 1

    def _kind(self, start: int, end: int, length: int) -> int:
        if length > 1:
            return _LONG
        return _PARTICLE if self._folded[start:end] in self._particles else _SINGLE


def _continues(character: str) -> bool:
    """Tell whether a character belongs to the one before: vowels of Hangul and Thai, voicing."""
    return "\u1160" <= character <= "\u11ff" or unicodedata.category(character) == "Mn"
