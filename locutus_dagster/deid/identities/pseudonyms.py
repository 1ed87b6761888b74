"""Keyed identities: the same original gives the same pseudonym, with the same key, for ever.

What belongs here: deriving pseudonyms and date shifts from a secret. What does not: deciding what
gets one (`policies/`), keeping several secrets apart (`keys.py`), storing or resolving them (the
caller's), moving a date (`dates.py`), any lookup table of originals.

Each purpose has its own domain, so that a pseudonym of one kind tells nothing about another.
"""

from __future__ import annotations

import hmac
import secrets
import unicodedata

from locutus_dagster.deid.faults import DeidError

__all__ = ["MIN_SECRET_BYTES", "Pseudonyms"]

#: The shortest secret that is accepted, in bytes.
MIN_SECRET_BYTES = 16

_UID = b"locutus-dagster/1/uid\0"
_STUDY = b"locutus-dagster/1/study-token\0"
_KEY = b"locutus-dagster/1/key-id\0"
_SUBJECT = b"locutus-dagster/1/subject\0"
_SHIFT = b"locutus-dagster/1/shift-days\0"

#: Digits and capitals without I, L, O and U: nothing in it looks like 0, 1 or V.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: 12 characters of 5 bits: among a million patients, two share an ID with odds of 1 to 2,000,000.
_SUBJECT_LENGTH = 12
#: The version of a key that is kept nowhere; no key of a ring has it.
_FRESH = 0


class Pseudonyms:
    """Pseudonyms derived from one secret by HMAC-SHA256.

    Args:
        secret: the workspace's secret, at least `MIN_SECRET_BYTES` bytes.
        version: the key's number in its key ring. It names the key and changes no pseudonym.

    Raises:
        ValueError: the secret is too short, or the version negative.
    """

    __slots__ = ("_secret", "key_id", "version")

    def __init__(self, secret: bytes, version: int = 1) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret must have at least {MIN_SECRET_BYTES} bytes")
        if version < 0:
            raise ValueError("the version of a key cannot be negative")
        self._secret = bytes(secret)
        #: The key's number in its key ring; 0 for a key that is kept nowhere.
        self.version = version
        #: Public name of the key, such as "1-0a1b2c3d": its version, and 8 hexadecimal digits that
        #: tell two keys apart and reveal nothing about either.
        self.key_id: str = f"{version}-{self._digest(_KEY, '')[:4].hex()}"

    @classmethod
    def fresh(cls) -> Pseudonyms:
        """Return pseudonyms of a random secret that is kept nowhere.

        Nobody can link what is made with them to any other delivery. Their version is 0.
        """
        return cls(secrets.token_bytes(32), _FRESH)

    def __repr__(self) -> str:
        return f"Pseudonyms(key_id={self.key_id!r})"

    def _digest(self, purpose: bytes, original: str) -> bytes:
        message = purpose + original.encode("utf-8", "surrogateescape")
        return hmac.digest(self._secret, message, "sha256")

    def uid(self, original: str) -> str:
        """Return the pseudonymous UID of a UID, at most 44 characters, under the root 2.25.

        Padding (spaces, NUL) around the original does not count. The number is a UUID of version
        8, because 2.25 is the arc of UUIDs (PS3.5 B.2).
        """
        number = int.from_bytes(self._digest(_UID, original.strip(" \0"))[:16], "big")
        number = number & ~(0xF << 76) | 0x8 << 76  # version 8: made by its own rule
        number = number & ~(0x3 << 62) | 0x2 << 62  # variant of RFC 9562
        return f"2.25.{number}"

    def study_token(self, study_uid: str) -> str:
        """Return 32 hexadecimal digits that stand for the study in delivered file names."""
        return self._digest(_STUDY, study_uid.strip(" \0"))[:16].hex()

    def subject(self, patient_id: str, issuer: str = "") -> str:
        """Return a research identity for a patient to whom nobody gave one.

        What different systems of one hospital write differently does not count: padding (spaces,
        NUL), runs of spaces, upper and lower case, the Unicode form of an accent. Everything else
        counts: "0010" and "10" are two patients, and so are an ID with an issuer and the same ID
        without one.

        Args:
            patient_id: Patient ID (0010,0020).
            issuer: Issuer of Patient ID (0010,0021), where IDs of several issuers come together.

        Returns:
            "S" and 12 characters out of digits and capitals that cannot be mistaken for one
            another.

        Raises:
            DeidError: the patient ID is empty. All patients without an ID would become one.
        """
        patient = _written_alike(patient_id)
        if not patient:
            raise DeidError(
                "No subject can be derived for a study without a Patient ID.",
                "Give its subject in the manifest.",
            )
        issuer = _written_alike(issuer)
        # With its length in front, no issuer can run over into the patient ID.
        digest = self._digest(_SUBJECT, f"{len(issuer)}\0{issuer}{patient}")
        number = int.from_bytes(digest, "big")
        letters = (_ALPHABET[number >> 5 * place & 31] for place in range(_SUBJECT_LENGTH))
        return "S" + "".join(letters)

    def shift_days(self, subject_id: str, smallest: int, largest: int) -> int:
        """Return by how many whole days the dates of a subject move back.

        The number follows from the research identity, because that is what all studies of a
        person have in common, whatever Patient ID or Study UID they came with: the intervals
        between a person's studies stay as they are. A number of each study's own would destroy
        them, and where one interval is known from elsewhere it would not hide more.

        Every number in the range is equally likely. Another range is another draw: a shift that
        became known in one project says nothing about the same person's shift in another one.

        Args:
            subject_id: the research identity as delivered; padding (spaces, NUL) does not count.
            smallest: the smallest number of days that may come out.
            largest: the largest number of days that may come out.

        Raises:
            ValueError: `smallest` is greater than `largest`.
        """
        if smallest > largest:
            raise ValueError("the smallest shift is greater than the largest")
        message = f"{smallest}\0{largest}\0" + subject_id.strip(" \0")
        # 256 bits over some thousand days: the modulo prefers no number by more than 2**-240.
        number = int.from_bytes(self._digest(_SHIFT, message), "big")
        return smallest + number % (largest - smallest + 1)


def _written_alike(text: str) -> str:
    """Return an identifier without the differences that `Pseudonyms.subject` overlooks."""
    text = unicodedata.normalize("NFC", text.replace("\0", " ")).casefold()
    return " ".join(unicodedata.normalize("NFC", text).split())
