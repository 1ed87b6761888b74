"""Dagster's own resource for Google Cloud Storage, set up as a workspace's target is.

What belongs here: `dagster-gcp`'s resource for assets that work on what was delivered. What does
not: the target itself (`targets/gcs.py`), which works without Dagster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import GcsTargetSettings
from locutus_dagster.targets.base import TargetError

if TYPE_CHECKING:
    from dagster_gcp import GCSResource

__all__ = ["gcs_resource"]


def gcs_resource(settings: GcsTargetSettings, secrets: Secrets) -> GCSResource:
    """A `dagster_gcp.GCSResource` that reaches what the target reaches.

    Assets ask for it as they ask for any other: `def my_asset(gcs: GCSResource)`. Its client
    honours the target's project, endpoint and credentials, which `GCSResource` alone does not.

    Args:
        settings: of the target.
        secrets: resolves the credentials inside the run; neither they nor the reference to them
            are part of the resource's configuration, which Dagster shows.

    Raises:
        TargetError: `dagster-gcp` is not installed.
    """
    try:
        from dagster_gcp import GCSResource

        from locutus_dagster.targets.gcs_client import connect
    except ImportError as missing:
        raise TargetError(
            f"A package for Google Cloud Storage is not installed ({missing.name}).",
            "Install it with: pip install 'locutus-dagster[gcs]'",
        ) from None

    # Dagster makes a resource anew from its public fields for each run, so what must not be shown
    # is held by the class rather than by the object.
    class DeliveriesGCSResource(GCSResource):
        """`GCSResource` with the endpoint and the credentials of a target."""

        def get_client(self) -> Any:
            """A `google.cloud.storage.Client`."""
            return connect(settings, secrets).client

    return DeliveriesGCSResource(project=settings.project)
