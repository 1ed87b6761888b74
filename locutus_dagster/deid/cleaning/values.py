"""New values for old ones, for one study: UIDs, dates, ages and free text.

What belongs here: from the raw bytes of a value to the bytes that take its place, by action and VR.
What does not: which action applies (`policies/`), elements and their headers (`transform.py`).

Most values repeat in every instance of a study, so each is worked out once.
"""

from __future__ import annotations

from collections.abc import Callable

from locutus_dagster.deid.cleaning.descriptors import TextCleaner
from locutus_dagster.deid.cleaning.identifying import identifying, is_term
from locutus_dagster.deid.cleaning.lexicon import Lexicon
from locutus_dagster.deid.encoding.charsets import decode, encode
from locutus_dagster.deid.encoding.codec import MAX_DEPTH
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.identities import dates
from locutus_dagster.deid.identities.identifiers import Identifiers
from locutus_dagster.deid.identities.pseudonyms import Pseudonyms
from locutus_dagster.deid.policies.model import Action, Policy
from locutus_dagster.deid.policies.white_lists import normalise
from locutus_dagster.deid.standard.dictionary import WELL_KNOWN_UIDS

__all__ = ["UNUSABLE", "Nesting", "New", "Values"]

#: Stands for a value of which nothing can be kept.
UNUSABLE = False
#: The new value without padding; None where the old one stays; `UNUSABLE`.
New = bytes | None | bool

_SINGLE = frozenset(("LT", "ST", "UT", "UR"))  # a backslash is a character in these
#: Results are remembered up to this many bytes of values; reports can be longer than that.
_REMEMBERED = 1024
#: And so many of them, at some 400 bytes each; then a study begins anew.
_MOST_REMEMBERED = 200_000
_LONGEST_UI = 0xFFFE


class Nesting:
    """Counts the sequences around the item at hand; a context manager.

    The walk bounds the depth of what it walks at once. A private sequence in UN is walked only when
    it turns out to be one, and nests by itself.
    """

    __slots__ = ("_depth",)

    def __init__(self) -> None:
        self._depth = 0

    def __enter__(self) -> None:
        if self._depth >= MAX_DEPTH:
            raise UnreadableError("nesting too deep")
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1


class Values:
    """Makes the values of one study's output.

    Args:
        policy: the policy.
        pseudonyms: the identities.
        subject: the research identity.
        identifiers: everything that identifies in the study, collected before.
    """

    def __init__(
        self, policy: Policy, pseudonyms: Pseudonyms, subject: str, identifiers: Identifiers
    ) -> None:
        self._pseudonyms = pseudonyms
        self._identifiers = identifiers
        self._words = policy.settings.words
        self._white_lists = policy.settings.white_lists
        self._days = pseudonyms.shift_days(subject, *policy.settings.shift_days)
        self._text: TextCleaner | None = None
        self._uids: dict[bytes, New] = {}
        self._known: dict[tuple[object, ...], New] = {}
        #: Specific Character Set of the data set or item at hand.
        self.charset = b""
        #: Is entered with every sequence.
        self.nesting = Nesting()
        #: UIDs that a rule about a content item keeps, such as a device's: no residue.
        self.kept_uids: set[bytes] = set()

    def __repr__(self) -> str:
        return "Values()"

    def method(self, action: Action, vr: str, tag: int) -> Callable[[bytes], New]:
        """Return the function that makes a new raw value of an old one.

        Args:
            action: UID, SHIFT, DATE, AGE, CLEAN or SCRUB.
            vr: the VR to read the value by.
            tag: the attribute, for white lists.
        """
        if action is Action.UID:
            return self.uid
        if action in (Action.CLEAN, Action.SCRUB) and vr in _BINARY:
            return _unusable
        work = getattr(self, f"_{action.name.lower()}")
        white = self._white_lists.get(tag)
        known = self._known
        # One string, whose hash is worked out once.
        kind = f"{action} {vr} {tag if white else ''}"

        def make(raw: bytes) -> New:
            key = (kind, self.charset, raw)
            if len(raw) > _REMEMBERED:
                return self._each(raw, vr, work, white)
            try:
                return known[key]
            except KeyError:
                new = self._each(raw, vr, work, white)
                if len(known) >= _MOST_REMEMBERED:
                    known.clear()
                known[key] = new
                return new

        return make

    def uid(self, raw: bytes) -> New:
        """Return new UIDs for old ones; several values are mapped one by one.

        Registered UIDs name concepts and stay, also where the profile says U: a well-known frame
        of reference such as the Talairach atlas is no patient's (PS3.6 Annex A).

        Raises:
            UnreadableError: the value is longer than explicit VR can say. Implicit VR can, and a
                pseudonym may be twenty times as long as a UID.
        """
        try:
            return self._uids[raw]
        except KeyError:
            if len(raw) > _LONGEST_UI:
                raise UnreadableError("value too long") from None
            bare = raw.strip(b" \0")
            mapped = b"\\".join(self._one_uid(uid) for uid in bare.split(b"\\"))
            if len(self._uids) >= _MOST_REMEMBERED:
                self._uids.clear()
            new = self._uids[raw] = None if mapped == bare else mapped
            return new

    def _one_uid(self, raw: bytes) -> bytes:
        uid = raw.strip(b" \0").decode("utf-8", "surrogateescape")
        if not uid or uid in WELL_KNOWN_UIDS:
            return raw.strip(b" \0")
        return self._pseudonyms.uid(uid).encode()

    def _each(
        self,
        raw: bytes,
        vr: str,
        work: Callable[[str, str], str | None],
        white: frozenset[str] | None,
    ) -> New:
        """Apply a function to each of the values; nothing usable in any makes it unusable."""
        text, readable = decode(raw, self.charset)
        text = text.rstrip("\0 ") if vr in _SINGLE else text.strip("\0 ")
        if not text:
            return None
        if not readable and work == self._scrub:
            work = self._clean  # nobody knows what this says: only words of the lexicon stay
        olds = [text] if vr in _SINGLE else text.split("\\")
        news = []
        for old in olds:
            kept = white is not None and normalise(old) in white
            news.append(old if kept else work(vr, old))
        if olds == news:
            return None
        if not any(news):
            return UNUSABLE
        return encode("\\".join(new or "" for new in news), self.charset)

    def _shift(self, vr: str, text: str) -> str | None:
        return dates.shift(vr, text, self._days)

    def _date(self, vr: str, text: str) -> str | None:
        return dates.keep(vr, text)

    def _age(self, vr: str, text: str) -> str | None:
        return dates.age(text)

    def _clean(self, vr: str, text: str) -> str:
        return self._cleaner().clean(text)

    def _scrub(self, vr: str, text: str) -> str:
        if vr == "CS" and is_term(text):
            return text
        return self._cleaner().scrub(text)

    def _cleaner(self) -> TextCleaner:
        """Return the study's text cleaner, made when the first text needs it."""
        if self._text is None:
            found = identifying(self._identifiers)
            self._text = TextCleaner(
                Lexicon.standard().with_words(self._words),
                known=[one.text for one in found if one.kind in ("id", "date")],
                names=[one.text for one in found if one.kind == "name"],
            )
        return self._text


_BINARY = frozenset(
    ("AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "UN", "US", "UV")
)


def _unusable(raw: bytes) -> New:
    return UNUSABLE
