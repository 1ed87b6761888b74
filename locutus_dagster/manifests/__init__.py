"""A manifest: read and judged row by row, then loaded into the ledger once and for all."""

from locutus_dagster.manifests.loading import load_manifest
from locutus_dagster.manifests.reading import (
    MANIFEST_COLUMNS,
    ManifestError,
    ManifestFile,
    RejectedRow,
    Row,
    read_manifest,
)
from locutus_dagster.manifests.report import Duplicate, LoadReport
from locutus_dagster.manifests.splitting import SplitPart, split_manifest

__all__ = [
    "MANIFEST_COLUMNS",
    "Duplicate",
    "LoadReport",
    "ManifestError",
    "ManifestFile",
    "RejectedRow",
    "Row",
    "SplitPart",
    "load_manifest",
    "read_manifest",
    "split_manifest",
]
