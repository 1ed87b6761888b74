"""Dagster's own resource for S3, set up as a workspace's target is.

What belongs here: `dagster-aws`' resource for assets that work on what was delivered. What does
not: the target itself (`targets/s3.py`), which works without Dagster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import S3TargetSettings
from locutus_dagster.targets.base import TargetError
from locutus_dagster.targets.s3_client import client_for

if TYPE_CHECKING:
    from dagster_aws.s3 import S3Resource

__all__ = ["s3_resource"]


def s3_resource(settings: S3TargetSettings, secrets: Secrets) -> S3Resource:
    """A `dagster_aws.s3.S3Resource` that reaches what the target reaches.

    Assets ask for it as they ask for any other: `def my_asset(s3: S3Resource)`. Its client honours
    the target's authorities, addressing and time limit, which `S3Resource` alone does not.

    Args:
        settings: of the target.
        secrets: resolves the keys inside the run; neither they nor the references to them are part
            of the resource's configuration, which Dagster shows.

    Raises:
        TargetError: `dagster-aws` is not installed.
    """
    try:
        from dagster_aws.s3 import S3Resource
    except ImportError as missing:
        raise TargetError(
            f"A package for S3 is not installed ({missing.name}).",
            "Install it with: pip install 'locutus-dagster[s3]'",
        ) from None

    # Dagster makes a resource anew from its public fields for each run, so what must not be shown
    # is held by the class rather than by the object.
    class DeliveriesS3Resource(S3Resource):
        """`S3Resource` with the keys and the connection of a target."""

        def get_client(self) -> Any:
            """A boto3 client such as the target's own."""
            return client_for(settings, secrets)

    return DeliveriesS3Resource(
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        profile_name=settings.profile,
        max_attempts=settings.attempts - 1,
    )
