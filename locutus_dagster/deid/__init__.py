"""The de-identification engine: DICOM in, DICOM without identifiers out.

A library that knows DICOM (PS3.5, PS3.10, PS3.15 Annex E) and nothing of Dagster, Orthanc or the
ledger. What belongs here is re-exported below; everything else is the engine's own business:

`policy` says what happens to which attribute, from the standard's `table`; `pseudonyms` are keyed;
`archive`, `inflate`, `part10` and `codec` get from a zip to walked elements; `bouncers` turn
instances away; `transform` and `encode` write; `identifiers`, `tokens` and `residue` verify what
was written; `study` is the order of it all, and `disposition` the report.
"""

from locutus_dagster.deid.disposition import (
    Disposition,
    InstanceDisposition,
    ResidueHit,
    StudyDisposition,
)
from locutus_dagster.deid.faults import DeidError
from locutus_dagster.deid.policy import (
    DEFAULT_MODALITIES,
    ENGINE_VERSION,
    Action,
    Policy,
    basic_policy,
)
from locutus_dagster.deid.pseudonyms import Pseudonyms
from locutus_dagster.deid.study import deidentify_study

__all__ = [
    "DEFAULT_MODALITIES",
    "ENGINE_VERSION",
    "Action",
    "DeidError",
    "Disposition",
    "InstanceDisposition",
    "Policy",
    "Pseudonyms",
    "ResidueHit",
    "StudyDisposition",
    "basic_policy",
    "deidentify_study",
]
