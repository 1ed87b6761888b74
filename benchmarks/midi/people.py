"""Patients who do not exist, with an identifier of every kind that can be written down.

What belongs here: word lists, and making a person from them. What does not: where the values are
planted, and in which sentences (`phrases.py`).

Numbers are of ranges that nobody is given: telephone numbers with 555-01, social security numbers
that start with 9, domains of RFC 2606, addresses of RFC 5737.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

__all__ = ["LANGUAGES", "Person", "Value", "make_person"]

#: Language -> the Specific Character Sets that its studies are written in, in turn.
LANGUAGES: Mapping[str, tuple[str | list[str], ...]] = {
    "en": ("ISO_IR 6", "ISO_IR 100", "ISO_IR 192"),
    "de": ("ISO_IR 100", "ISO_IR 192"),
    "fr": ("ISO_IR 100", "ISO_IR 192"),
    "es": ("ISO_IR 100", "ISO_IR 192"),
    "pt": ("ISO_IR 192", "ISO_IR 100"),
    "ja": (["", "ISO 2022 IR 87"], "ISO_IR 192"),
    "ru": ("ISO_IR 144", "ISO_IR 192"),
}

_FAMILIES = {
    "en": "Smith Whitcombe Hargreaves O'Connor Pemberton McAllister Fitzgerald Okonkwo Thackeray",
    "de": "Müller Schmidt Hoffmann Grünwald Weißhaupt Oberhauser Krämer Zimmermann Schröter",
    "fr": "Dupont Lefèvre Beauchêne Thibault Desjardins Rousseau Guérin Delacroix Vasseur",
    "es": "Ibáñez Rodríguez Villanueva Echeverría Gutiérrez Peñalosa Carrasco Quintanilla",
    "pt": "Conceição Magalhães Guimarães Figueiredo Albuquerque Vasconcelos Nogueira Bragança",
    "ja": "Yamaguchi=山口=やまぐち Watanabe=渡辺=わたなべ Matsumoto=松本=まつもと",
    "ru": "Соколовский Кузнецова Лебедев Воробьёва Голубев Виноградова",
}
_GIVEN = {
    "en": "Jonathan Margaret Winifred Terrence Beatrice Clifford Rosalind Desmond",
    "de": "Jürgen Brigitte Wolfgang Liselotte Günther Roswitha Dietrich Annegret",
    "fr": "Geneviève François Bernadette Thierry Mathilde Étienne Solange",
    "es": "Guadalupe Fernando Concepción Leopoldo Mercedes Ignacio Remedios",
    "pt": "Gonçalo Filipa Joaquim Custódia Leonor Anselmo Benedita",
    "ja": "Hanako=花子=はなこ Takeshi=健史=たけし Yoshiko=良子=よしこ Kenichi=健一=けんいち",
    "ru": "Дмитрий Екатерина Владислав Людмила Анатолий Светлана",
}
_CITIES = {
    "en": "Thornbury Wexcombe Marlowdale Ashkirk",
    "de": "Krähenfurt Oberlindau Steinwalden Hülsrode",
    "fr": "Montrevault Saint-Aubrac Villecresnes Chênebourg",
    "es": "Valdemorillo Peñarrubia Torrelaguna Almadraba",
    "pt": "Figueiró Alcobertas Penalvão Montelavar",
    "ja": "Kitayama Aobadai Shinozaki Moriguchi",
    "ru": "Зеленодольск Краснокамск Лесозаводск Белоречье",
}
_STREETS = {
    "en": "Ashgrove Pennyfield Larchmont",
    "de": "Lerchenweg Ginstergasse Erlengrund",
    "fr": "Tourterelles Mirabelliers Charmilles",
    "es": "Golondrinas Jacarandas Azucenas",
    "pt": "Andorinhas Laranjeiras Madressilva",
    "ja": "Sakuragaoka Hinodecho Wakabadai",
    "ru": "Ореховая Берёзовая Ручейная",
}
#: Physicians, operators, relatives: family and given name. The first go with every character set.
_STAFF = (
    ("Hargreaves", "Clifford"),
    ("Oberhauser", "Wolfgang"),
    ("Carrasco", "Mercedes"),
    ("Delacroix", "Solange"),
    ("Vasconcelos", "Leonor"),
    ("Lindqvist", "Torsten"),
)
_ACCENTED_STAFF = (
    ("Schröter", "Jürgen"),
    ("Beauchêne", "François"),
    ("Echeverría", "Remedios"),
    ("Magalhães", "Gonçalo"),
)


@dataclass(frozen=True)
class Value:
    """One identifier.

    Attributes:
        kind: letter of `checks.KINDS`.
        text: as it is written.
        tokens: what must not survive of it; the words of the text unless given.
        waived_by: as in `checks.Check`.
    """

    kind: str
    text: str = field(repr=False)
    tokens: tuple[str, ...] = field(default=(), repr=False)
    waived_by: str = ""

    @property
    def removed(self) -> str:
        """What must not survive, as the text of a check."""
        return " ".join(self.tokens) if self.tokens else self.text


@dataclass(frozen=True)
class Person:
    """A patient, with the people and things around.

    Attributes:
        language: key of `LANGUAGES`.
        charset: the Specific Character Set of the study.
        values: name of a form, such as "family" or "birth_dots" -> the identifier so written.
        exam: the day of the examination. No date planted in a header is later, and none planted
            in a text is earlier, but for the birth date: a date that moved back cannot be taken
            for one that stayed.
        birth: the day of birth.
        sex: "F", "M" or "O".
    """

    language: str
    charset: str | list[str]
    values: Mapping[str, Value] = field(repr=False)
    exam: date = field(repr=False)
    birth: date = field(repr=False)
    sex: str = "O"

    @property
    def age(self) -> int:
        """Years of age at the examination."""
        had_birthday = (self.exam.month, self.exam.day) >= (self.birth.month, self.birth.day)
        return self.exam.year - self.birth.year - (not had_birthday)

    @property
    def subject(self) -> str:
        """What the harness calls the person: the record number as planted."""
        return self.values["mrn"].text


def make_person(rng: Random, number: int, language: str = "") -> Person:
    """Make the person of a number; no two numbers have a record number in common."""
    names = list(LANGUAGES)
    language = language or names[number % len(names)]
    charsets = LANGUAGES[language]
    exam = date(2006, 1, 2) + timedelta(days=rng.randrange(15 * 365))
    years = rng.randrange(91, 97) if number % 6 == 5 else rng.randrange(19, 88)
    birth = exam - timedelta(days=years * 365 + 40 + rng.randrange(300))
    values = _names(rng, language)
    values |= _dates(exam, birth)
    values |= _numbers(rng, number, language)
    person = Person(
        language, charsets[number // len(names) % len(charsets)], values, exam, birth,
        rng.choice("FMO"),
    )  # fmt: skip
    if person.age > 89:
        values["age"] = Value("C", str(person.age))
    return person


def _names(rng: Random, language: str) -> dict[str, Value]:
    family, given = _pick(rng, _FAMILIES[language]), _pick(rng, _GIVEN[language])
    staff = _STAFF + _ACCENTED_STAFF if language in ("de", "fr", "es", "pt") else _STAFF
    people = rng.sample([pair for pair in staff if pair[0] != family], 3)
    romaji, given_romaji = family.split("=")[0], given.split("=")[0]
    values = {
        "family": Value("A", romaji),
        "FAMILY": Value("A", romaji.upper()),
        "family_lower": Value("A", romaji.lower()),
        "given": Value("A", given_romaji),
        "full": Value("A", f"{given_romaji} {romaji}", (given_romaji, romaji)),
        "comma": Value("A", f"{romaji}, {given_romaji}", (romaji, given_romaji)),
        "initial": Value("A", f"{given_romaji[0]}. {romaji}", (romaji,)),
        "dicom": Value("A", f"{romaji.upper()}^{given_romaji.upper()}", (romaji, given_romaji)),
    }
    forms = list(zip(family.split("="), given.split("="), strict=True))
    values["pn"] = Value(
        "A",
        "=".join(f"{one}^{other}" for one, other in forms),
        tuple(part for form in forms for part in form),
    )
    native = forms[1] if len(forms) > 1 else forms[0]
    values["native"] = Value("A", " ".join(native), native)
    for role, (one, other) in zip(("doctor", "operator", "relative"), people, strict=True):
        values[role] = Value("A", f"{other} {one}", (other, one))
        values[f"{role}_family"] = Value("A", one)
        values[f"{role}_pn"] = Value("A", f"{one}^{other}", (one, other))
    return values


def _dates(exam: date, birth: date) -> dict[str, Value]:
    report = exam + timedelta(days=3)
    values = {}
    for name, day in (("birth", birth), ("exam", exam), ("report", report)):
        waived = "" if name == "birth" else "retain_longitudinal_full_dates"
        for form, text in (
            ("8", f"{day:%Y%m%d}"),
            ("_iso", f"{day:%Y-%m-%d}"),
            ("_dots", f"{day:%d.%m.%Y}"),
            ("_slash", f"{day:%d/%m/%Y}"),
            ("_us", f"{day:%m/%d/%Y}"),
            ("_month", f"{day:%d-%b-%Y}"),
            ("_kanji", f"{day.year}年{day.month}月{day.day}日"),
        ):
            values[name + form] = Value("C", text, waived_by=waived)
    return values


def _numbers(rng: Random, number: int, language: str) -> dict[str, Value]:
    def digits(count: int) -> str:
        return "".join(rng.choice("123456789") for _ in range(count))

    street = _pick(rng, _STREETS[language])
    house, postcode = rng.randrange(11, 98), digits(5)
    city = _pick(rng, _CITIES[language])
    login = f"{rng.choice('abcdefgh')}{digits(4)}.private{number:03d}"
    phone, fax = (f"({digits(3)}) 555-01{digits(2)}" for _ in range(2))
    mrn = f"7{number + 101:04d}{digits(3)}"
    ssn = f"9{digits(2)}-{digits(2)}-{digits(4)}"
    return {
        "street": Value("B", f"{house} {street}", (street,)),
        "city": Value("B", city),
        "postcode": Value("B", postcode),
        "address": Value("B", f"{house} {street}, {postcode} {city}", (street, postcode, city)),
        "hospital": Value("B", f"Klinikum {city}", (city,), "retain_institution_identity"),
        "hospital_address": Value(
            "B", f"{street} 1, {postcode} {city}", (street, postcode, city),
            "retain_institution_identity",
        ),
        "room": Value("B", f"Ward {street} 4", (street,)),
        "phone": Value("D", phone, (phone[-8:],)),
        "fax": Value("E", fax, (fax[-8:],)),
        "email": Value("F", f"{login}@mail.example", (f"{login}@mail.example", login)),
        "ssn": Value("G", ssn),
        "mrn": Value("H", mrn),
        "plan": Value("I", f"HPB{digits(7)}"),
        "account": Value("J", f"ACCT-{digits(6)}"),
        "licence": Value("K", f"LIC{digits(6)}"),
        "plate": Value("L", f"{rng.choice('KMTX')}{rng.choice('BCDZ')}-{digits(4)}"),
        "vin": Value("L", f"WVZ{digits(4)}ZX{digits(8)}"),
        "implant": Value("M", f"PMK{digits(6)}S"),
        "scanner": Value("M", f"SN{digits(8)}", (), "retain_device_identity"),
        "station": Value("M", f"STN{digits(6)}", (), "retain_device_identity"),
        "url": Value("N", f"https://portal.example.org/p/{mrn}", ("portal.example.org", mrn)),
        "ip": Value("O", f"{rng.choice(['192.0.2', '198.51.100', '203.0.113'])}.{digits(2)}"),
        "biometric": Value("P", f"FPT-{digits(8)}-Q"),
        "accession": Value("R", f"ACC{digits(8)}"),
        "order": Value("R", f"ORD{digits(9)}"),
        "study_id": Value("R", f"ST{digits(7)}"),
        "passport": Value("R", f"{rng.choice('CFGH')}{digits(8)}"),
    }  # fmt: skip


def _pick(rng: Random, words: str) -> str:
    return rng.choice(words.split())
