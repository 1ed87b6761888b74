"""A manifest: read and judged row by row, then loaded into the ledger once and for all."""

from locutus_dagster.manifests.loading import LoadReport, load_manifest
from locutus_dagster.manifests.reading import (
    MANIFEST_COLUMNS,
    ManifestError,
    ManifestFile,
    RejectedRow,
    Row,
    read_manifest,
)

__all__ = [
    "MANIFEST_COLUMNS",
    "LoadReport",
    "ManifestError",
    "ManifestFile",
    "RejectedRow",
    "Row",
    "load_manifest",
    "read_manifest",
]
