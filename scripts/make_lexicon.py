"""Make the shipped lexicon of descriptions from the standard's own words and a list by hand.

What belongs here: collecting words and leaving names out. What does not: the words by hand, which
are in `locutus_dagster/deid/cleaning/data/vocabulary*.txt`, and reading the lexicon, which is
`locutus_dagster/deid/cleaning/lexicon.py`'s.

It is run by hand after a change of the vocabulary, and what it writes is shipped:

    python -m venv /tmp/lexicon
    /tmp/lexicon/bin/pip install pydicom==3.0.2 faker==40.54.0 names==0.3.0
    /tmp/lexicon/bin/python scripts/make_lexicon.py

pydicom carries the standard's words: names of data elements and UIDs, meanings of codes. faker
(name lists of all its locales) and names (surnames by frequency and first names of the US census
of 1990) say what is a name. Neither of the two is needed, or shipped, at run time.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["main"]

CLEANING = Path(__file__).parents[1] / "locutus_dagster" / "deid" / "cleaning"
DATA = CLEANING / "data"
#: The topic of the vocabulary that names are taken from on purpose.
ALSO_A_NAME = "also a name"
#: The commonest surnames of the census are names wherever they stand. Rarer ones ("arm", "dose",
#: "vessel") are names only if the standard never writes them with a small letter.
COMMON_SURNAMES = 10_000
#: Context groups that are no descriptions of images: taxa, breeds and registries of animals.
NO_DESCRIPTIONS = frozenset({7454, 7480, 7481, 7486})
#: Eponyms and places that begin a meaning, so that their capital letter tells nothing, and that
#: are in no list of names.
EPONYMS = frozenset(
    """
    andalusian angora appaloosa arcelin barbados beclere beltsville bouin brewerton broselow
    camarron cardigan carnoy causton chassard chesapeake clumber clun clydesdale corriedale
    cotswold couinaud duroc feulgen galiceno gloucester gorlin haflinger hanoverian helly holmblad
    holsteiner hormel hunterian ischerwood judet karakul kasabach kentucky kuchendorf kurzbauer
    laquerriere lauenstein leicester lilienfeld lipizzaner lysholm marfan minnesota montdale
    murgese navajo nolke nomarski ottonello palouse panama paso pawlow percheron perendale pietrain
    prinzmetal rafer rafert rambouillet rheinberg rhese romanowsky rombo romedale romnelet saanen
    settegast shetland southdown staffordshire staunig stenver stenvers suffolk tamworth targhee
    toggenburg trakehner tuarine valdini waldeyer wigby yorkshire zanelli ziehl
    """.split()  # noqa: SIM905 - a list of words reads better than a list of quotes
)
#: From here on one character can be a name.
FIRST_IDEOGRAPH = "\u2e80"
#: A word from the standard has at least this many letters; shorter ones are chosen by hand.
SHORTEST = 3

_WORD = re.compile(r"[^\W\d_]+")
#: Vowels of Thai are marks of their own.
_NAME = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0e31-\u0e4e])*")
_QUALIFIER = re.compile(r"\s*\([^)]*\)$")
_NAME_LISTS = re.compile(r"first_name|last_name|middle_name|romanized|unisex")


def engines_folding() -> Callable[[str], str]:
    """Return `folding.fold`, read from its file: the package needs more than this script has."""
    spec = importlib.util.spec_from_file_location("folding", CLEANING / "folding.py")
    if spec is None or spec.loader is None:
        raise ImportError("cleaning/folding.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folding: Callable[[str], str] = module.fold
    return folding


fold = engines_folding()


def vocabulary() -> dict[str, set[str]]:
    """Return the words by hand, by topic."""
    topics: dict[str, set[str]] = {}
    topic = ""
    texts = [file.read_text(encoding="utf-8") for file in sorted(DATA.glob("vocabulary*.txt"))]
    for line in "\n".join(texts).splitlines():
        if line.startswith("["):
            topic = line.strip("[] \n")
        elif line.strip() and not line.startswith("#"):
            topics.setdefault(topic, set()).update(line.split())
    return topics


def standard_words() -> tuple[set[str], set[str]]:
    """Return the standard's words in lower case, and those that it writes with a small letter."""
    from pydicom.datadict import DicomDictionary
    from pydicom.sr._concepts_dict import concepts
    from pydicom.uid import UID_dictionary

    titles = [entry[2] for entry in DicomDictionary.values()]
    titles += [entry[0] for entry in UID_dictionary.values()]
    words = {word.lower() for title in titles for word in _WORD.findall(title)}
    small: set[str] = set()
    proper: set[str] = set()
    for codes in concepts.values():
        for entries in codes.values():
            for meaning, groups in entries.values():
                if NO_DESCRIPTIONS.isdisjoint(groups) and "breed" not in meaning:
                    for place, word in enumerate(_WORD.findall(_QUALIFIER.sub("", meaning))):
                        if word.islower():
                            small.add(word)
                        elif place and word.istitle():
                            proper.add(word.lower())
                        else:
                            words.add(word.lower())
    # A word that is only ever capitalised in the middle of a meaning is somebody's or a place.
    return (words | small) - (proper - words - small) - EPONYMS, small


def names() -> tuple[set[str], set[str]]:
    """Return the names that always count, and the rare surnames, all folded."""
    package = importlib.import_module("names")
    folder = Path(str(package.__file__)).parent

    def census(kind: str) -> list[str]:
        text = (folder / f"dist.{kind}").read_text(encoding="ascii")
        return [line.split()[0].lower() for line in text.splitlines()]

    surnames = census("all.last")
    common = {*surnames[:COMMON_SURNAMES], *census("male.first"), *census("female.first")}
    person = importlib.import_module("faker.providers.person")
    for module in pkgutil.iter_modules(person.__path__):
        provider = importlib.import_module(f"{person.__name__}.{module.name}").Provider
        for attribute in dir(provider):
            if _NAME_LISTS.search(attribute):
                for text in _texts(getattr(provider, attribute)):
                    common.update(_NAME.findall(fold(text)))
    return common, set(surnames[COMMON_SURNAMES:])


def _texts(value: object) -> Iterator[str]:
    """Yield the texts of a list, a tuple or a table with weights, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list, tuple, set, frozenset)):
        for part in value:
            yield from _texts(part)


def main() -> int:
    """Write the lexicon and say what was left out; exit code 1 if a word by hand was."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    check = parser.parse_args().check

    topics = vocabulary()
    common, rare = names()
    allowed = set(map(fold, topics.pop(ALSO_A_NAME)))
    by_hand = set().union(*topics.values())
    # A letter is no name; a character of Chinese may be one.
    named = common - allowed
    refused = {w for w in by_hand if (len(w) > 1 or w >= FIRST_IDEOGRAPH) and fold(w) in named}
    unused = allowed - set(map(fold, by_hand))

    found, small = standard_words()
    standard = {word for word in found if len(word) >= SHORTEST}
    standard = {word for word in standard if fold(word) not in common}
    standard = {word for word in standard if fold(word) not in rare or word in small}
    words = sorted((by_hand - refused) | standard)
    header = f"# {len(words)} words, made by scripts/make_lexicon.py; do not edit by hand."
    text = "\n".join([header, *words]) + "\n"

    print(f"{len(words)} words: {len(by_hand - refused)} by hand, {len(standard)} the standard's")
    print(f"names allowed on purpose: {len(allowed)}")
    for kind, these in (("names, left out", refused), ("allowed but in no topic", unused)):
        if these:
            print(f"{kind}: {' '.join(sorted(these))}")
    target = DATA / "lexicon.txt"
    if check:
        same = target.is_file() and target.read_text(encoding="utf-8") == text
        print("up to date" if same else "lexicon.txt is not what this would write")
        return 0 if same else 1
    target.write_text(text, encoding="utf-8")
    return 1 if refused or unused else 0


if __name__ == "__main__":
    sys.exit(main())
