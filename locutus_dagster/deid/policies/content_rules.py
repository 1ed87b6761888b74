"""What happens to one content item of a structured report, and why.

What belongs here: the decision, from PS3.15 Table E.3.4-1 (edition 2026d), the policy's options and
the value type (PS3.3 C.17.3.2.1). What does not: bytes (`cleaning/content.py`).
"""

from __future__ import annotations

from locutus_dagster.deid.policies.compiling import table_actions
from locutus_dagster.deid.policies.model import Action, Option, Policy
from locutus_dagster.deid.policies.rulebook import Ruling
from locutus_dagster.deid.standard.content_items import ContentItem, content_item

__all__ = ["ContentRules"]

#: Value type -> VR of the attribute that holds the value; "" where it is a sequence.
VALUE_VRS = {
    "TEXT": "UT",
    "PNAME": "PN",
    "DATE": "DA",
    "TIME": "TM",
    "DATETIME": "DT",
    "UIDREF": "UI",
}
_TEMPORAL = ("DATE", "TIME", "DATETIME")
_REFERENCES = frozenset(("COMPOSITE", "IMAGE", "WAVEFORM"))


class ContentRules:
    """The policy, for content items.

    Args:
        policy: the policy; Clean Structured Content is on.
    """

    def __init__(self, policy: Policy) -> None:
        self._options = policy.options
        self._known: dict[tuple[str, str, str], Ruling] = {}

    def ruling(self, code: str, scheme: str, value_type: str) -> Ruling:
        """Return what happens to an item: to the whole of it (REMOVE) or to its value.

        The tables of templates are not consulted, hence X/D is a dummy: it is valid in any.

        Args:
            code, scheme: of the item's concept name, "" where it has none.
            value_type: of the item.
        """
        key = (code, scheme, value_type)
        if key not in self._known:
            row = content_item(code, scheme, value_type) if code else None
            # A listed concept with a value of another kind is not what the table speaks of.
            fits = row is not None and (
                row.value_type == value_type or {row.value_type, value_type} <= _REFERENCES
            )
            self._known[key] = (
                self._listed(row) if row and fits else self._by_value_type(value_type)
            )
        return self._known[key]

    def _listed(self, row: ContentItem) -> Ruling:
        cells = {
            option: row.options[option.value]
            for option in self._options
            if option.value in row.options
        }
        modified = Option.RETAIN_LONGITUDINAL_MODIFIED_DATES in cells
        for option in sorted(cells, key=lambda option: (cells[option] != "K", option.value)):
            source = f"PS3.15 E.3.4-1, {option.label}"
            if modified:
                return Ruling(Action.SHIFT, source, otherwise=Action.DUMMY)
            if cells[option] == "K":
                temporal = row.value_type in _TEMPORAL
                action = Action.DATE if temporal else Action.KEEP
                return Ruling(action, source, otherwise=Action.DUMMY)
            return Ruling(Action.CLEAN, source, otherwise=Action.DUMMY)
        action = table_actions(row.basic)[-1]
        return Ruling(action, "PS3.15 E.3.4-1, Basic", otherwise=Action.DUMMY)

    def _by_value_type(self, value_type: str) -> Ruling:
        """Return the ruling for a concept that the table does not name."""
        source = f"PS3.15 E.3.4: {value_type} of a concept that Table E.3.4-1 does not name"
        if value_type == "TEXT":
            return Ruling(Action.CLEAN, source, otherwise=Action.DUMMY)
        if value_type == "UIDREF" and Option.RETAIN_UIDS not in self._options:
            return Ruling(Action.UID, source)
        if value_type == "PNAME":
            return Ruling(Action.DUMMY, source)
        if value_type in _TEMPORAL:
            action = Action.DUMMY
            if Option.RETAIN_LONGITUDINAL_MODIFIED_DATES in self._options:
                action = Action.SHIFT
            elif Option.RETAIN_LONGITUDINAL_FULL_DATES in self._options:
                action = Action.DATE
            return Ruling(action, source, otherwise=Action.DUMMY)
        return Ruling(Action.KEEP, source)
