"""Text in the character sets of DICOM (PS3.3 C.12.1.1.2, PS3.5 chapter 6).

What belongs here: decoding and encoding values by Specific Character Set, also where it lies. What
does not: what the text means.

A declaration is a hint, not a promise: what cannot be decoded as declared is decoded as UTF-8 if it
is that, and as Latin-1 if not, where every byte stands for a character. So nothing is unreadable,
and who looks for a name sees it as it was written or as mojibake that no lexicon knows.
"""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from functools import lru_cache

from pydicom.charset import decode_bytes, encode_string, python_encoding

__all__ = ["codecs_of", "decode", "encode"]

#: What separates parts that start over with the first character set (PS3.5 6.1.2.5.3).
_DELIMITERS = set(b"\n\r\t\f\\^=")
#: Delimiters, and what stands between them.
_PARTS = re.compile(r"[\n\r\t\f\\^=]+|[^\n\r\t\f\\^=]+")
#: The time for a part whose letters take turns between character sets grows with its square.
_LONGEST_PART = 1 << 14
_ESCAPE = 0x1B
#: The default repertoire is ASCII; pydicom reads it as Latin-1, which would hide undeclared UTF-8.
_DEFAULT = frozenset(("", "ISO_IR 6", "ISO 2022 IR 6"))


@lru_cache(maxsize=256)
def codecs_of(charset: bytes) -> tuple[str, ...]:
    """Return the Python codecs of a Specific Character Set value, unknown terms left out.

    An empty first term stands for the default repertoire.
    """
    codecs: list[str] = []
    for term in charset.split(b"\\"):
        name = term.strip(b" \0").decode("ascii", "replace")
        codec = "ascii" if name in _DEFAULT else python_encoding.get(name)
        if codec and codec not in codecs:
            codecs.append(codec)
    return tuple(codecs)


def decode(raw: bytes, charset: bytes) -> tuple[str, bool]:
    """Return the text of a value, and whether it reads as declared or as UTF-8; never raises.

    Args:
        raw: the value as encoded.
        charset: value of Specific Character Set, b"" where there is none.
    """
    if raw.isascii() and _ESCAPE not in raw:
        return raw.decode("ascii"), True
    codecs = codecs_of(charset)
    if _ESCAPE in raw:
        with warnings.catch_warnings(), suppress(Exception):
            warnings.simplefilter("error")
            return str(decode_bytes(raw, _for_pydicom(codecs), _DELIMITERS)), True
    for codec in (*codecs[:1], "utf-8", *codecs[1:]):
        with suppress(UnicodeDecodeError, LookupError):
            return raw.decode(codec), True
    return raw.decode("latin-1"), False


def encode(text: str, charset: bytes) -> bytes:
    """Return text encoded as declared; characters that this cannot say are left out."""
    if text.isascii():
        return text.encode("ascii")
    codecs = codecs_of(charset)
    for codec in codecs[:1]:
        with suppress(UnicodeEncodeError, LookupError):
            return text.encode(codec)
    if len(codecs) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return b"".join(_encode_part(part, codecs) for part in _PARTS.findall(text))
    return text.encode(codecs[0] if codecs else "ascii", "ignore")


def _encode_part(part: str, codecs: tuple[str, ...]) -> bytes:
    """Return text between two delimiters, with escape sequences of its own where it needs them."""
    with suppress(UnicodeEncodeError, LookupError):
        return part.encode(codecs[0])
    if len(part) <= _LONGEST_PART or any(_can_say(codec, part) for codec in codecs):
        with suppress(Exception):
            return bytes(encode_string(part, _for_pydicom(codecs)))
    return part.encode(codecs[0], "ignore")


def _can_say(codec: str, text: str) -> bool:
    try:
        text.encode(codec)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _for_pydicom(codecs: tuple[str, ...]) -> list[str]:
    """Return codecs under the names by which pydicom knows their escape sequences."""
    return ["iso8859" if codec == "ascii" else codec for codec in codecs] or ["iso8859"]
