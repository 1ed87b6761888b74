"""The de-identification engine: DICOM in, DICOM without identifiers out.

A library that knows DICOM (PS3.5, PS3.10, PS3.15 Annex E) and nothing of Dagster, Orthanc or the
ledger. What belongs here is re-exported below; everything else is the engine's own business.

Its rooms, from the ground up: `standard` is what the standard says, as data; `encoding` gets from a
zip to walked elements and back; `policies` say what happens to which attribute; `identities` are
keyed, and know what identifies; `cleaning` carries a policy out; `verification` searches what was
written. `bouncers` turn instances away, and `foresight` says of whom that is known beforehand;
`patients` looks whether a study is about one; `study` is the order of it all, and `disposition` the
report. `collections` runs it over files, folders and zips of several studies, and `explaining` says
what would happen to each element, and why.
"""

from locutus_dagster.deid.disposition import (
    RESIDUE,
    Disposition,
    InstanceDisposition,
    ResidueHit,
    StudyDisposition,
)
from locutus_dagster.deid.faults import DeidError
from locutus_dagster.deid.foresight import foreseen
from locutus_dagster.deid.identities.pseudonyms import Pseudonyms
from locutus_dagster.deid.policies.compiling import basic_policy, compile_policy
from locutus_dagster.deid.policies.loading import load_policy
from locutus_dagster.deid.policies.model import DEFAULT_MODALITIES, Action, Option, Policy
from locutus_dagster.deid.study import Delivered, Members, StudyWork, deidentify_study
from locutus_dagster.deid.version import ENGINE_VERSION

__all__ = [
    "DEFAULT_MODALITIES",
    "ENGINE_VERSION",
    "RESIDUE",
    "Action",
    "DeidError",
    "Delivered",
    "Disposition",
    "InstanceDisposition",
    "Members",
    "Option",
    "Policy",
    "Pseudonyms",
    "ResidueHit",
    "StudyDisposition",
    "StudyWork",
    "basic_policy",
    "compile_policy",
    "deidentify_study",
    "foreseen",
    "load_policy",
]
