"""Names that nobody told us, found by what stands beside them: "Dr. Young", "Frau Schmidt".

What belongs here: titles, forms of address and labels such as "Patient:", with the words behind
them. What does not: the names that the study itself gives away (`known_identifiers.py`).

"MR", "MRS" and "DR" are kinds of examination, so in capitals they are titles only with a dot and
before a word that is not in the lexicon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from locutus_dagster.deid.cleaning.folding import fold
from locutus_dagster.deid.cleaning.lexicon import Lexicon
from locutus_dagster.deid.identities.tokens import GENERIC

__all__ = ["PARTICLES", "TITLE_WORDS", "title_spans"]

#: Parts of names that are written small and identify nobody.
PARTICLES = frozenset(
    """
    von van der den del de la le les du des da di do dos das della delle el al bin ibn ben abu
    ter ten te zu zum zur vom af av mc mac st
    """.split()  # noqa: SIM905 - a list of words reads better than a list of quotes
)

#: Names end after so many words, initials and particles among them; so the time for a text that
#: has nothing but titles grows with the text alone.
_MOST_WORDS = 8

#: Words between a label and a name: "Performed by: Nurse Ratched".
_ROLES = frozenset(("nurse", "sister", "tech", "technologist", "radiographer", "doctor", "dr"))

_FREE, _FREE_END = r"(?<![^\W_])", r"(?![^\W_])"
# Titles in any case, whatever follows.
_SURE = (
    r"frau|herrn?|monsieur|madame|mademoiselle|mme|mlle|signora|signore|signorina|se[ñn]ora?|"
    r"se[ñn]orita|srta|senhora?|mevrouw|meneer|mevr|dhr|dott|dottore(?:ssa)?|doktor|docteur|"
    r"professeur|professor|fräulein"
)
# Abbreviations in any case, with a dot.
_DOTTED = r"prof|sra|sig\.ra|sig\.na|dott\.ssa|dres|priv\.-doz|mw"
# Words that mean something else in capitals or without a dot.
_MIXED = r"Dr|Dres|Mr|Mrs|Ms|Miss|Mx|Prof|Dra|PD\s(?=Dr)"
_DOUBTFUL = (
    rf"(?:DR|MRS?|MS|Hr|Fr|Sr|Sig|M|Pr|Pat|PAT|Pt|dr|mrs?|ms|geb)\.|(?:PROF|Pr|née){_FREE_END}"
)
# Words that are also others; before a capital letter, and a word that is not in the lexicon.
_POLITE = (
    r"[Pp]an(?:[aiíu]|ią|em|ie)?|PAN[IÍ]?|Bay(?:an)?|Sayın|SAYIN|Sn|Bn|Fru|Fröken|Frøken|Hasta|Dhr|"
    r"Paciente|Paziente|Patiënte?|Pacjent(?:a|ka|ki)?|Pacient(?:a|ka|ky)?|Patienten|MUDr|Mgr|lek"
)
_TITLE = re.compile(
    rf"{_FREE}(?:(?P<sure>(?i:{_SURE}){_FREE_END}\.?|(?i:{_DOTTED})\.)"
    rf"|(?P<polite>(?:{_POLITE}){_FREE_END}\.?)"
    rf"|(?P<mixed>(?:{_MIXED}){_FREE_END}\.?)|(?P<doubtful>{_DOUBTFUL}))[\s_]{{0,2}}"
)
_LABEL = re.compile(
    rf"{_FREE}(?:(?:patient(?:in|e)?|pat|name|nom|nombre|nome|naam|nachname|vorname|surname|"
    r"physician|doctor|arzt|ärztin|médecin|medico|médico|tech(?:nologist|nician)?|mtra|mta|mtr|operator|"
    r"radiologist|radiologe|radiologue|ref(?:erring)?(?:\s(?:phys(?:ician)?|dr|md))?|attending|"
    r"consultant|contact|reader|zuweiser|überweiser)\s?[:=]"
    r"|(?:requested|ordered|performed|read|reported|signed|dictated|referred|examined|scanned|"
    r"reviewed|verified|interpreted|approved)\sby\s?:?)\s{0,2}",
    re.IGNORECASE,
)
_NAME = re.compile(r"[^\W\d_](?:[^\W\d_]|['\u2019-](?=[^\W\d_])){0,60}")
_BETWEEN = re.compile(r"\.?[ \t_^]{1,2}|\.?,[ \t]{0,2}|\.")
_DEGREE = re.compile(
    r"(?<![^\W_])(?P<name>[A-Z][\w'\u2019-]{1,40})(?:,?\s[A-Z][\w'\u2019.-]{0,40})?,\s?"
    r"(?:M\.?D|Ph\.?D|D\.?O|R\.?N|FRCR|MBBS)(?![^\W_])\.?"
)

#: Words of which a text has at least one, folded, if it has a title or a label.
TITLE_WORDS = frozenset(
    """
    frau herr herrn monsieur madame mademoiselle mme mlle mrs signora signore signorina senor
    senora senorita srta senhor senhora mevrouw meneer mevr dhr dott dottore dottoressa doktor
    docteur professeur professor fraulein prof sra sig dres priv mw dr mr ms miss mx dra pd hr fr
    sr m pr pat pt geb nee
    pan pana pani panu panem panie bay bayan sayin sn bn fru froken hasta paciente paziente
    patient patiente patienten pacjent pacjenta pacjentka pacjentki pacient pacienta pacientka
    pacientky mudr mgr lek
    patient patientin patiente name nom nombre nome naam nachname vorname surname physician doctor
    arzt arztin medecin medico tech technologist technician mtra mta mtr operator radiologist
    radiologe radiologue ref referring attending consultant contact reader zuweiser uberweiser by
    d md ph phd do rn r n frcr mbbs
    """.split()  # noqa: SIM905
)


def title_spans(text: str, lexicon: Lexicon) -> Iterator[tuple[int, int]]:
    """Yield begin and end of titles with the one or two names behind them."""
    for match in _TITLE.finditer(text):
        first = _NAME.match(text, match.end())
        if first is None or _is_no_name(match, first[0], lexicon):
            continue
        end = _end_of_names(text, match.end(), lexicon, sure=True)
        if end > match.end():
            yield match.start(), end
    for match in _LABEL.finditer(text):
        end = _end_of_names(text, match.end(), lexicon, sure=False)
        if end > match.end():
            yield match.start(), end
    for match in _DEGREE.finditer(text):
        if match["name"] not in lexicon:
            yield match.span()


def _is_no_name(title: re.Match[str], word: str, lexicon: Lexicon) -> bool:
    """Tell whether a word behind a title shows that it was none."""
    if title["sure"]:
        return False
    if title["polite"] and not word[0].isupper():
        return True
    if title["mixed"]:
        return not word[0].isupper() or word.casefold() in GENERIC
    return word in lexicon or word.casefold() in GENERIC


def _end_of_names(text: str, start: int, lexicon: Lexicon, *, sure: bool) -> int:
    """Return where the names that begin at a place end: two at most; `start` if there is none.

    Args:
        sure: the first word is a name even if it is in the lexicon; a second one never is.
    """
    end = place = start
    names = 0
    for _ in range(_MOST_WORDS):
        match = _NAME.match(text, place)
        if names == 2 or match is None:
            break
        word = match[0]
        if len(word) > 1 and fold(word) not in PARTICLES and fold(word) not in _ROLES:
            known = word in lexicon or word.casefold() in GENERIC
            if (known and not (sure and names == 0)) or (names and not word[0].isupper()):
                break
            names += 1
            end = match.end()
        between = _BETWEEN.match(text, match.end())
        if between is None:
            break
        place = between.end()
    return end
