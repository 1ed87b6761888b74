"""Names beside a title or a label in scripts other than Latin: "佐藤先生", "김철수 씨".

What belongs here: titles before a name (Cyrillic, Greek, Arabic, Hebrew, Thai), titles behind a
name (Chinese, Japanese, Korean), Russian initials. What does not: titles in Latin letters
(`descriptor_titles.py`), names that the study itself gives away (`known_identifiers.py`).

Where there is a capital letter, a name has one. Where there is none, what is no word of the
lexicon behind a title is a name; in front of a title, in a script without spaces, it is what stands
behind the last word of the lexicon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from locutus_dagster.deid.cleaning.lexicon import Lexicon
from locutus_dagster.deid.cleaning.unspaced import known_runs

__all__ = ["script_title_spans"]

_FREE, _FREE_END = r"(?<![^\W_])", r"(?![^\W_])"
#: Forms of address in scripts with capital letters, in any case: the next word is a name.
_ADDRESS = (
    r"г-н[ау]?|г-ж[аеуи]|г-ом|гр-н|гр-ка|господин\w{0,2}|госпож\w{1,2}|д-р\w?|пан[аіу]?|пані|"
    r"κος|κα|κύριο[ςυ]|κυρία[ςν]?|δρ"
)
#: Titles and labels that may have another word behind them: "пациент без контраста".
_ROLES = (
    r"доктор\w{0,2}|профессор\w{0,2}|врач\w{0,2}|пациент\w{0,3}|больн(?:ой|ая|ого|ому|ую)|ф\.?и\.?о|"
    r"фамилия|имя|лікар\w{0,2}|пацієнт\w{0,2}|хвор(?:ий|а|ого|ої)|прізвище|"
    r"ιατρός|γιατρός|ασθενής?|καθηγητής|(?:др|проф|пац|гр|акад|доц|б-н[аяой]{0,2}|κ)(?=\.)"
)
_CASED = re.compile(
    rf"{_FREE}(?:(?P<sure>{_ADDRESS})|{_ROLES}){_FREE_END}\.?[\s:_]{{0,3}}", re.IGNORECASE
)
#: An initial, or a word with a capital letter.
_CASED_NAME = re.compile(r"(?:[А-ЯЁІЇЄҐΑ-ΩΆΈΉΊΌΎΏA-Z])(?:\.|[^\W\d_]{1,40}(?:-[^\W\d_]{1,40})?)?")
_CYRILLIC_INITIALS = re.compile(
    rf"{_FREE}(?:[А-ЯЁІЇЄҐ][а-яёіїєґ'-]{{1,40}},?\s(?:[А-ЯЁІЇЄҐ]\.\s?){{1,2}}"
    rf"|[А-ЯЁІЇЄҐ]\.\s?[А-ЯЁІЇЄҐ]\.\s?[А-ЯЁІЇЄҐ][а-яёіїєґ'-]{{1,40}})"
)
#: Titles and labels of scripts without capital letters.
_ARABIC = (
    "(?:ال)?(?:سيدة|سيد|دكتورة|دكتور|استاذة|استاذ|أستاذ|طبيبة|طبيب|مريضة|مريض|آنسة|اسم)|اسم المريض"
)
_HEBREW = (
    "מר|גב['\u05f3]|גברת|ד[\"\u05f4]ר|ד['\u05f3]ר|דר['\u05f3]|פרופ['\u05f3]|פרופסור|שם|מטופלת|"
    "מטופל|החולה|חולה|רופאה|רופא"
)
_UNCASED = re.compile(rf"{_FREE}(?:(?:{_ARABIC}|{_HEBREW}){_FREE_END}|د)[.\s:]{{1,3}}")
_UNCASED_NAME = re.compile(
    r"[\u0590-\u06ff](?:[\u0590-\u06ff]|['\u2019-](?=[\u0590-\u06ff])){1,40}"
)
_THAI = re.compile(
    r"(?:(?<![\u0e01-\u0e7f])|(?<=ชื่อ))(?:นางสาว|นาย(?!แพทย์)|นาง|น\.ส\.|ด\.ช\.|ด\.ญ\.|นพ\.|พญ\.|นายแพทย์|แพทย์หญิง|"
    r"คุณ(?!ภาพ|สมบัติ)|ชื่อ)[\s:]{0,2}[\u0e01-\u0e7f]{1,30}(?:\s[\u0e01-\u0e7f]{1,30})?"
)

_EAST = "\u3005-\u3007\u3041-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
#: Titles behind a name; what follows would make another word of some of them.
_BEHIND = re.compile(
    r"(?:先生|女士|小姐|医生|醫生|大夫|主任|教授|医師|醫師|医师|护士|護士|看護師|技師|技师|さん|さま|ちゃん|くん|"
    r"様(?![式々相子])|氏(?![\u4e00-\u9fff])|殿(?!部)|君|선생님?|교수님?|박사님?|원장님?|의사|간호사|환자분?|님|씨)"
)
_IN_FRONT = re.compile(rf"(?:[{_EAST}]{{1,8}}[ \u3000])?[{_EAST}]{{1,10}}[ \u3000]?\Z")
_KOREAN_IN_FRONT = re.compile(r"[\uac00-\ud7a3]{1,10}[ ]?\Z")
_LONGEST_IN_FRONT = 20
_BLANK = re.compile("[ \u3000]")
#: The longest name without spaces that is taken where the lexicon does not tell where it begins.
_LONGEST_NAME = 4
_LONGEST_IN_RUN = 6
#: Words that end like a title.
_NO_TITLE = re.compile(r"(?:[同多仕模一異有各文今]様|たくさん|皆さん|みなさん|摂氏|華氏|注意)\Z")
_EAST_LABEL = re.compile(
    r"(?:(?:患者|受診者|被験者|病人)?(?:氏名|姓名|名前|名字|の名)|患者名?|主治医|担当医|依頼医|読影医|技師名?|"
    r"申请医师|报告医师|审核医师|诊断医师|환자명?|성명|성함|이름|판독의|의뢰의|주치의)"
    rf"\s?[:\uff1a]\s?(?P<name>[{_EAST}\u30fb]{{1,10}}(?:[ \u3000][{_EAST}]{{1,8}})?)"
)


def script_title_spans(text: str, lexicon: Lexicon) -> Iterator[tuple[int, int]]:
    """Yield begin and end of titles with the names beside them.

    Args:
        text: any text; ASCII text has none of these titles.
        lexicon: tells words of a description from names.
    """
    for title in _CASED.finditer(text):
        end = _names_end(text, title.end(), lexicon, _CASED_NAME, most=3, sure=bool(title["sure"]))
        if end > title.end():
            yield title.start(), end
    for match in _CYRILLIC_INITIALS.finditer(text):
        yield match.span()
    for title in _UNCASED.finditer(text):
        end = _names_end(text, title.end(), lexicon, _UNCASED_NAME, most=2, sure=False)
        if end > title.end():
            yield title.start(), end
    for match in _THAI.finditer(text):
        if not known_runs(match[0], lexicon):
            yield match.span()
    for title in _BEHIND.finditer(text):
        begin = _name_begin(text, title, lexicon)
        if begin < title.start():
            yield begin, title.end()
    for match in _EAST_LABEL.finditer(text):
        runs = _BLANK.split(match["name"])
        if not known_runs(runs[0], lexicon):
            # Of "氏名:高橋 一郎 胸部" the last word is none of the name.
            known = len(runs) > 1 and known_runs(runs[-1], lexicon)
            yield match.start(), match.end() - (len(runs[-1]) if known else 0)


def _names_end(
    text: str, start: int, lexicon: Lexicon, name: re.Pattern[str], *, most: int, sure: bool
) -> int:
    """Return where the names behind a title end; `start` if there is none.

    Args:
        name: what a name looks like.
        most: how many words of a name there may be, with initials.
        sure: the first word is a name even if it is in the lexicon.
    """
    end = place = start
    for number in range(most):
        match = name.match(text, place)
        if match is None:
            break
        if len(match[0]) > 2 and match[0] in lexicon and (number or not sure):
            break
        end = place = match.end()
        while place < len(text) and text[place] in " \t\xa0" and place < end + 2:
            place += 1
    return end


def _name_begin(text: str, title: re.Match[str], lexicon: Lexicon) -> int:
    """Return where the name in front of a title begins; the begin of the title if there is none."""
    begin = max(0, title.start() - _LONGEST_IN_FRONT)
    if _NO_TITLE.search(text, begin, title.end()):
        return title.start()
    front = _IN_FRONT.search(text[begin : title.start()])
    if front is None:
        return title.start()
    if title[0] >= "\uac00":
        # Korean names have no blank in them.
        front = _KOREAN_IN_FRONT.search(text[begin : title.start()]) or front
    # Of "放射線科 佐藤 先生" the name is the last part, or the last two.
    for part in re.finditer(rf"[{_EAST}]+", front[0]):
        if not known_runs(part[0], lexicon):
            words = _length_of_words(part[0], lexicon)
            return begin + front.start() + part.start() + words
    return title.start()


def _length_of_words(run: str, lexicon: Lexicon) -> int:
    """Return how much of a run in front of a name is words.

    A word of one character is none here: "中村" is a name.
    """
    for begin in range(2, len(run)):
        if len(run) - begin <= _LONGEST_NAME and known_runs(run[:begin], lexicon):
            return begin
    return max(0, len(run) - _LONGEST_IN_RUN)
