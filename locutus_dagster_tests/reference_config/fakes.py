"""A Vault out of a dictionary, and a configuration of the reference's that works.

What belongs here: what several tests of this room start from. What does not: a real Vault
(`test_with_openbao.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from locutus_dagster.reference_config.layer import ReferenceLayer, layer
from locutus_dagster.settings import Settings
from locutus_dagster.vault.faults import VaultMissingError

__all__ = ["BASE", "PLACES", "FakeVault", "at", "read", "settings_of", "write"]

STAGE = "namespace:/rootpath/trig-dicom-staging/production"
QC_STAGE = "namespace:/rootpath/locutus/manual_deid_qc_orthanc/production"
DATABASE = "namespace:/rootpath/databases/locutus"

#: What lies in Vault, by namespace and path.
PLACES: dict[tuple[str | None, str], dict[str, Any]] = {
    ("namespace", "rootpath/databases/locutus"): {
        "db_host": "db.example",
        "db_name": "locutus",
        "user": "locutus_rw",
        "password": "hush-database",
    },
    ("namespace", "rootpath/trig-dicom-staging/production"): {
        "orthanc_hostname": "pacs.example",
        "orthanc_portnum": 8042,
        "orthanc_user": "reader",
        "orthanc_password": "hush-orthanc",
        "dicom_stage_DB_vault_path": "namespace:/rootpath/databases/trig_dicom_staging",
        "dicom_stage_DB_use_dev_suffix": "False",
        "dicom_stage_DB_dev_suffix": "_dev",
    },
    ("namespace", "rootpath/locutus/manual_deid_qc_orthanc/production"): {
        "orthanc_hostname": "qc.example",
        "orthanc_portnum": "8043",
        "orthanc_user": "reviewer",
        "orthanc_password": "hush-qc",
    },
    ("namespace", "rootpath/google"): {"account": json.dumps({"type": "service_account"})},
}

#: The least that makes a workspace.
BASE: dict[str, Any] = {
    "locutus_target_use_isilon": True,
    "locutus_target_isilon_path": "/mnt/share",
    "onprem_dicom_stage_config_vault_path": STAGE,
}


class FakeVault:
    """Entries out of a dictionary; notes which paths it was asked for."""

    def __init__(self, places: Mapping[tuple[str | None, str], dict[str, Any]] = PLACES) -> None:
        self.places = places
        self.asked: list[str] = []

    def entry(self, path: str, *, namespace: str | None = None) -> dict[str, Any]:
        self.asked.append(path)
        try:
            return dict(self.places[namespace, path])
        except KeyError:
            raise VaultMissingError(f"There is no entry {path}.") from None

    def value(self, reference: str) -> str:
        place, _, key = reference.partition("#")
        namespace, _, path = place.rpartition(":/")
        content = self.entry(path, namespace=namespace or None)
        outer, dot, inner = key.partition(".")
        if dot and key not in content:
            content, key = yaml.safe_load(str(content[outer])), inner
        return str(content[key])


def write(folder: Path, content: Mapping[str, Any] | str) -> Path:
    """Write a `config.yaml`; a mapping as it is, without sorting."""
    path = folder / "config.yaml"
    text = content if isinstance(content, str) else yaml.safe_dump(dict(content), sort_keys=False)
    path.write_text(text, encoding="utf-8")
    return path


def read(
    folder: Path,
    content: Mapping[str, Any] | str,
    environment: Mapping[str, str] | None = None,
    vault: FakeVault | None = None,
) -> ReferenceLayer:
    """The layer of a configuration."""
    path = write(folder, content)
    variables = {"PATH_TO_CONFIG": str(path), **(environment or {})}
    found = layer(variables, lambda: vault or FakeVault())
    assert found is not None
    return found


def settings_of(found: ReferenceLayer) -> Settings:
    """The settings that a layer makes by itself."""
    return Settings(**found.values)


def at(settings: Settings, dotted: str) -> Any:
    """The effective value of a dotted key."""
    value: Any = settings
    for name in dotted.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    return value
