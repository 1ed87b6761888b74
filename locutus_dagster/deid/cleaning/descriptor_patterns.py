"""What identifies somebody by its form alone: dates, numbers behind a label, addresses, titles.

What belongs here: patterns that need no knowledge of the study. What does not: the study's own
identifiers (`known_identifiers.py`), and the words that may stay (`lexicon.py`).

The kinds are those of 45 CFR 164.514(b)(2)(i), as far as they have a form. Every repetition in a
pattern has an upper limit, so that the time grows with the text alone.

Software versions look like addresses and dates. So there are two measures: the plain one for text
that is not judged by words, and the strict one for descriptions. An address of four numbers
counts where the plain measure applies only with a label, a first number from 100 up, or eight
digits and more ("192.168.1.20"; not "4.3.2.1" and not "10.6.1.0"); the strict one takes it always.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from locutus_dagster.deid.cleaning.descriptor_titles import TITLE_WORDS, title_spans
from locutus_dagster.deid.cleaning.descriptor_titles_scripts import script_title_spans
from locutus_dagster.deid.cleaning.folding import fold
from locutus_dagster.deid.cleaning.lexicon import Lexicon
from locutus_dagster.deid.cleaning.unspaced import UNSPACED
from locutus_dagster.deid.identities.dates import find_dates

__all__ = ["pattern_spans"]

_WORDS = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d")
_FREE = r"(?<![^\W_])"

_NET = re.compile(
    r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,6}"
    r"|(?<![^\W_])(?:https?|s?ftps?|file)://\S{1,2000}|(?<![^\W_])www\.\S{1,2000}"
    r"|(?:/|\\)(?:home|users|benutzer|utilisateurs|usuarios|utenti)(?:/|\\)[^\s/\\]{1,64}"
    r"|(?<![^\W_]|[.-])[\w-]{1,63}(?:\.[\w-]{1,63}){0,4}\.(?:com|org|net|edu|gov|mil|info|biz)\b"
    r"(?:[/:]\S{0,2000})?"
    r"|(?<![\w:-])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![\w:-])"
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}(?![\w:])",
    re.IGNORECASE,
)
_QUAD = re.compile(
    r"(?P<label>(?<![^\W_])(?:ip|host|addr(?:ess)?|server|gateway)\s?[:=]?\s?)?"
    r"(?<![^\W_]|[.])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?!\.?[^\W_])",
    re.IGNORECASE | re.ASCII,
)

_PHONE_LABELS = (
    "tel telephone phone fax telefon telefono telefone telefoon telefax mobil mobile handy cell "
    "pager beeper portable ph fon ext extension durchwahl"
)
_NUMBER_WORD = r"(?![^\W\d_])(?:\s?(?:no|nr|num|number|nummer|numero|id)\b)?"
_JOINT = r"[\s.:#=_-]{0,4}"
_PHONE = re.compile(
    rf"{_FREE}(?:{'|'.join(_PHONE_LABELS.split())}){_NUMBER_WORD}{_JOINT}"
    r"\+?\(?\d(?:[\s()./-]{0,2}\d){4,18}(?![^\W_])"
    r"|\+\d{1,3}[\s./(-]{0,2}\d(?:[\s./()-]{0,2}\d){5,13}"
    r"|(?<![^\W_]|[.])\(\d{2,5}\)\s?\d{3,4}[\s./-]?\d{2,5}(?:[\s-]\d{2,4})?"
    r"|(?<![^\W_]|[.])(?:1[-.\s])?\d{3}[-.\s]\d{3}[-.\s]\d{4}(?!\.?[^\W_])"
    r"|(?<![^\W_]|[.])0\d(?:[\s.-]\d{2}){4}(?!\d)"
    r"|(?<![^\W_]|[.])0\d{1,4}\s?[/-]\s?\d{3,10}[\d\s-]{0,10}"
    r"|(?<![^\W_]|[.])\d{3}-\d{2}-\d{4}(?![^\W_])",
    re.IGNORECASE,
)

#: A number behind one of these is the record of a person, whatever its length.
_RECORDS = (
    r"mrn|m\.r\.n|mr#|pid|ssn|s\.s\.n|social\ssecurity|nhs|bsn|accession|"
    r"acc(?:ess?)?(?=\s?(?:#|no\b|nr\b|num))|acsn|"
    r"pat(?:ient(?:en)?|ienten)?[\s._-]{0,2}(?:id|nr|no|num|number|nummer|kennung)|"
    r"fall-?(?:nr|nummer|no)|aufnahme-?(?:nr|nummer)|versicherten-?(?:nr|nummer)|kv-?nr|"
    r"num[eé]ro\sde\s(?:s[eé]curit[eé]\ssociale|dossier)|historia\scl[ií]nica|cartella|"
    r"medical\srecord|med\s?rec|health\s?(?:plan|card)|licen[cs]e|passport|vin|hospital\sno"
)
#: Behind one of these it is one if it has four digits or more.
_LISTS = (
    "id|case|order|req|request|exam|visit|episode|encounter|chart|record|file|dossier|account|acct|"
    "policy|member|insurance|fall|pat|patient|ref|serial|sn|s/n|number|no|nr|nip|ipp|nhc|dni|hn|"
    "control|plan|badge|employee|versicherung|kasse"
)
_VALUE = r"(?!\d{2,4}\s?[x\xd7*]\s?\d)(?=[^\W\d_]{0,6}[-./#\s]{0,2}\d)(?:[^\W_]|[./-](?=\d)){1,41}"
_RECORD = re.compile(rf"{_FREE}(?:{_RECORDS}){_NUMBER_WORD}{_JOINT}{_VALUE}", re.IGNORECASE)
_LIST = re.compile(
    rf"(?:{_FREE}(?:{_LISTS}){_NUMBER_WORD}{_JOINT}|(?<!\S)#\s?)"
    r"(?!\d{2,4}\s?[x\xd7*]\s?\d)(?P<value>[^\W\d_]{0,4}[-./]?\d(?:[^\W_]|[./-](?=\d)){0,40})",
    re.IGNORECASE,
)
_BIRTH = re.compile(
    rf"{_FREE}(?:d\.?o\.?b\.?|birth\s?date|date\sof\sbirth|born(?:\son)?|"
    r"geb(?:oren)?\.?(?:\sam)?|geb(?:urts|\.?-?)?dat(?:um|\.)?|n[ée]e?\(?e?\)?\sle|ddn|"
    r"date\sde\snaissance|nacid[oa](?:\sel)?|f(?:echa|\.)\s?(?:de\s)?nac(?:imiento)?\.?|fnac|"
    r"nat[oa]\sil|data\sdi\snascita|geboren\sop|geboortedatum|nascid[oa]\sem|"
    r"data\sde\snasc(?:imento)?\.?)\s{0,2}[:=]?\s{0,2}\d[\d./ -]{0,12}",
    re.IGNORECASE,
)
_OVER_89 = r"(?:9\d|1[0-4]\d)"
_AGE = re.compile(
    rf"{_FREE}(?:aged?|alter|âge|edad|età|eta|leeftijd|idade|"
    rf"wiek|v[eě]k|ya[sş]|[åa]lder|ikä)\s?[:=]?\s?(?:of\s)?0?{_OVER_89}"
    r"(?:\s?(?:y(?:rs?|ears?|/?o)?|jahre|ans|años|anni|jaar|anos|let|år))?(?![^\W_]|[.,]\d)"
    rf"|(?<![^\W_]|[.,])0?{_OVER_89}(?:[\s-]{{0,2}}(?:y/o|yo|yrs?|years?|ans|años|anni|jahre?|"
    r"jährige?r?|jaar|anos|yr\sold)|\s(?:y\.?\s?o\.?))(?:[\s-]old)?(?![^\W_])"
    rf"|(?<![^\W_]|[.])(?:0{_OVER_89}|9[1-9]|1[0-4]\d)y(?![^\W_])",
    re.IGNORECASE,
)
#: The same outside of Latin letters.
_MORE_AGES = re.compile(
    rf"{_FREE}(?:возраст|вік|ηλικία|גיל|العمر)\s?[:=]?\s?{_OVER_89}(?![^\W_])"
    rf"|(?<!\d)(?<!\d[.,]){_OVER_89}\s?-?(?:лет(?:н\w{{1,3}})?|года?|р(?:оків|ік)|ετών|שנים|שנה|"
    r"سنة|عاما?|ปี|歳|才|岁|歲|세)",
    re.IGNORECASE,
)
#: A number behind one of these is a record or a telephone; `_RECORDS` has those in Latin letters.
_MORE_RECORDS = re.compile(
    rf"(?:№|{_FREE}(?:полис\w?|снилс|инн|карта|карты|история\sболезни|и/?б|номер|паспорт|договор|"
    r"поліс|картка|тел|رقم|هاتف|מספר|ת\.?ז|טלפון|αριθμός|τηλ)|เลขที่|โทร|"
    r"(?:患者|病歴|病历|病案|住院|门诊|門診|检查|檢查|登记|登記|カルテ|受付|検査|受診|診察券|保険証?|保险|保險)\s?"
    r"(?:ID|番号|号码?|號碼?|No\.?)|(?:身份证|身分證|医保卡|电话|電話|手机|手機)(?:号码?|號碼?|番号)?|"
    r"(?:환자|등록|병록|차트|주민|주민등록|보험|전화)번호|전화)"
    r"[\s.:\uff1a\u2116#=-]{0,4}(?!\d{2,4}\s?[x\xd7*]\s?\d)"
    r"(?:[^\W\d_]{0,4}[-./]?\d(?:[\dA-Za-z]|[./ -](?=\d)){3,40})",
    re.IGNORECASE,
)
_STATES = (
    "A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|P[AR]|RI|S[CD]|"
    "T[NX]|UT|V[AT]|W[AIVY]"
)
_ADDRESS = re.compile(
    # 12 Main Street
    r"(?<![^\W_]|[.])\d{1,5}[a-z]?\s(?P<street>(?:[A-Z][\w.'-]{1,30}\s){1,3})"
    r"(?:(?i:street|road|rd|avenue|ave|lane|boulevard|blvd|highway|hwy|parkway|pkwy|terrace)"
    r"|(?P<doubtful>(?i:st|drive|dr|way|court|ct|place|pl|square|sq|ln)))(?![^\W_])\.?"
    # Hauptstraße 5
    r"|(?<![^\W_]|[.-])[^\W\d_][^\W\d_-]{2,30}"
    r"(?i:stra(?:ß|ss)e|str\.|gasse|allee|straat|laan|plein|weg)\s\d{1,4}\s?[a-z]?(?![^\W_])"
    # 5, rue de la Paix
    r"|(?<![^\W_]|[.])\d{1,4}(?:,|\sbis|\ster)?\s(?i:rue|avenue|boulevard|impasse|chemin)\s"
    r"(?i:(?:de|du|des|la|le|les|sainte?)\s|[dl]['\u2019])(?:(?i:la|le|les)\s)?"
    r"[^\W\d_]{2,30}(?:[\s-][A-Z][^\W\d_]{2,30})?"
    # D-26121 Oldenburg, NY 10001, 10001-1234
    r"|(?<![^\W_])(?:[A-Z]{1,2}-\d{4,5}\s[A-Z][^\W\d_]{2,30}"
    rf"|(?:{_STATES})\s\d{{5}}(?:-\d{{4}})?|\d{{5}}-\d{{4}})(?![^\W_])"
)
#: A description has no use for these, other text may.
_STRICT = re.compile(
    r"(?<![^\W_]|[.=])\d{3}-\d{4}(?![^\W_])"
    r"|(?<![^\W_]|[.])(?:0?[1-9]|[12]\d|3[01])\.(?:0?[1-9]|1[0-2])\.\d\d(?![^\W_]|\.\d)"
    r"|(?<![^\W_])(?:\d[-.]){6,40}\d(?![^\W_])",
    re.ASCII,
)
#: UIDs, the registered ones excepted (PS3.6 Annex A).
_UID = re.compile(
    r"(?<![^\W_]|[.])(?!1\.2\.840\.10008\.)[0-2](?:\.\d{1,39}){5,40}(?!\.?[^\W_])", re.ASCII
)
_SHORTEST_UID = 28
_GROUPS = re.compile(r"(?<![^\W_]|[.])\d{2,4}(?:[-./ ]\d{2,4}){2,5}(?![^\W_])", re.ASCII)

#: Signs one of which is in every match of `_NET`.
_NET_SIGNS = frozenset("@./\\:-")
#: How the names of months begin that dates are written with.
_MONTHS = frozenset(
    """
    jan feb fev mar mae maa mrz apr avr abr may mai mag maj mei jun jui giu jul lug aug aou ago sep
    set oct okt ott out nov dec dez dic gen ene sty lut kwi cze lip sie wrz paz lis gru
    """.split()  # noqa: SIM905 - a list of words reads better than a list of quotes
)
#: Words of which a text has at least one, folded, if it has a number behind a label.
_LABEL_WORDS = frozenset(
    f"""
    {_PHONE_LABELS} {_LISTS.replace("|", " ")} mrn m mr pid ssn s social nhs bsn accession acc acces
    access acsn aufnahme numero historia cartella medical med health license licence passport vin
    hospital versicherten kv patienten fallnr fallnummer aufnahmenr aufnahmenummer versichertennr
    patnr patientennr patientid patid
    d dob birth birthdate date born geb geboren geburtsdatum gebdatum ne nee ddn nacido nacida f
    fecha fnac nato nata data geboortedatum nascido nascida
    """.split()
)


def pattern_spans(text: str, lexicon: Lexicon, *, strict: bool) -> Iterator[tuple[int, int]]:
    """Yield begin and end of everything in a text that identifies somebody by its form.

    Args:
        text: any text.
        lexicon: tells the words of a description from the names behind a title.
        strict: take numbers, too, that may be a version or a measurement.
    """
    if not text.isascii():
        yield from _script_spans(text, lexicon)
        # A letter of a script without spaces is no part of the number or name beside it.
        whole, text = text, UNSPACED.sub(" ", text)
    else:
        whole = text
    words = set(map(fold, _WORDS.findall(text)))
    if not words.isdisjoint(TITLE_WORDS):
        yield from title_spans(whole, lexicon)
    if not _NET_SIGNS.isdisjoint(text):
        yield from _spans(_NET, text)
    digits = len(_DIGITS.findall(text))
    if not digits:
        return
    if digits >= 2:
        yield from _spans(_AGE, text)
        if not words.isdisjoint(_LABEL_WORDS) or "#" in text:
            yield from _label_spans(text)
    if digits >= 3 or not text.isascii() or any(word[:3] in _MONTHS for word in words):
        yield from find_dates(whole)
    yield from _address_spans(text, lexicon)
    if digits >= 4:
        yield from _number_spans(text, strict=strict)


def _script_spans(text: str, lexicon: Lexicon) -> Iterator[tuple[int, int]]:
    """Yield what only text outside of ASCII can have."""
    yield from script_title_spans(text, lexicon)
    yield from _spans(_MORE_AGES, text)
    yield from _spans(_MORE_RECORDS, text)


def _spans(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    for match in pattern.finditer(text):
        yield match.span()


def _label_spans(text: str) -> Iterator[tuple[int, int]]:
    yield from _spans(_RECORD, text)
    yield from _spans(_BIRTH, text)
    for match in _LIST.finditer(text):
        if len(_DIGITS.findall(match["value"])) >= 4:
            yield match.span()


def _address_spans(text: str, lexicon: Lexicon) -> Iterator[tuple[int, int]]:
    for match in _ADDRESS.finditer(text):
        # "3 Phase Abdomen CT" is no court.
        known = match["doubtful"] and all(word in lexicon for word in match["street"].split())
        if not known:
            yield match.span()


def _number_spans(text: str, *, strict: bool) -> Iterator[tuple[int, int]]:
    yield from _spans(_PHONE, text)
    for match in _QUAD.finditer(text):
        numbers = match.groups()[1:]
        # Versions of software have numbers with leading zeros, addresses have not.
        padded = any(len(number) > 1 and number[0] == "0" for number in numbers)
        far = not padded and (int(numbers[0]) >= 100 or sum(map(len, numbers)) >= 8)
        if all(int(number) <= 255 for number in numbers) and (strict or match["label"] or far):
            yield match.span()
    for match in _UID.finditer(text):
        if len(match[0]) >= _SHORTEST_UID:
            yield match.span()
    if strict:
        yield from _spans(_STRICT, text)
        for match in _GROUPS.finditer(text):
            groups = [int(group) for group in re.findall(r"\d+", match[0])]
            length = len(_DIGITS.findall(match[0]))
            # Several b-values rise, the parts of a telephone number seldom do.
            spoken = length >= 9 and groups != sorted(groups)
            if spoken or (length >= 7 and " " not in match[0]):
                yield match.span()
