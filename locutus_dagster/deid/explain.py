"""What would happen to each element of one file, and why; without a single value.

What belongs here: walking an instance the way the transformation does, asking the same decisions,
and saying for each element what comes of it. What does not: taking decisions (`policies/`), carrying
them out (`cleaning/`), printing.

Nothing is decided here a second time: decisions come from the transformation's own `Context` and
new values are made by it, so an explanation says what the transformation does.

An explanation holds no value of the file: tags, names out of the dictionary, VRs, Types, actions and
the texts of rules. A private creator could be any text, so it is named only where the standard's
list, pydicom's dictionary or the policy knows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from pydicom._private_dict import private_dictionaries
from pydicom.datadict import dictionary_description, private_dictionary_description

from locutus_dagster.deid.cleaning.content import ContentTree
from locutus_dagster.deid.cleaning.decisions import Decision, Kind
from locutus_dagster.deid.cleaning.private import walk_unknown_sequence
from locutus_dagster.deid.cleaning.statement import Statement
from locutus_dagster.deid.cleaning.transform import Context
from locutus_dagster.deid.cleaning.values import Values
from locutus_dagster.deid.encoding.codec import Buffer, Element, Walker
from locutus_dagster.deid.encoding.encode import Encoder
from locutus_dagster.deid.encoding.part10 import Instance, open_instance
from locutus_dagster.deid.faults import UnreadableError
from locutus_dagster.deid.identities.identifiers import Identifiers
from locutus_dagster.deid.identities.pseudonyms import Pseudonyms
from locutus_dagster.deid.policies.model import Action, Policy
from locutus_dagster.deid.policies.rulebook import Place, Rulebook, Ruling
from locutus_dagster.deid.standard.safe_private import safe_private
from locutus_dagster.deid.standard.table import load_table
from locutus_dagster.deid.study import StudyWork

__all__ = ["Explained", "Explanation", "Result", "explain"]
