"""dagster-aws' resource for a workspace's bucket, so that assets reach the store of its target.

What belongs here: making the resource out of a target's settings. What does not: the target itself
(`targets/s3.py`), and Google's (`gcs_resources.py`).
"""

from __future__ import annotations

from typing import Any

from dagster_aws.s3 import S3Resource
from pydantic import Field

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import S3TargetSettings
from locutus_dagster.targets.s3_client import client_values, new_client

__all__ = ["S3StoreResource", "s3_resource"]


class S3StoreResource(S3Resource):
    """dagster-aws' resource, with the two settings that it has no place for.

    Attributes:
        ca_file: the authorities to trust instead of the usual ones.
        addressing_style: auto, path or virtual.
    """

    ca_file: str | None = Field(default=None, description="certificate authorities to trust")
    addressing_style: str = Field(default="auto", description="auto, path or virtual")

    def get_client(self) -> Any:
        """A boto3 client such as the target's own."""
        return new_client(
            max_attempts=self.max_attempts,
            region_name=self.region_name,
            endpoint_url=self.endpoint_url,
            profile_name=self.profile_name,
            verify=self.ca_file or self.verify,
            aws_access_key_id=self.aws_access_key_id,
            aws_secret_access_key=self.aws_secret_access_key,
            aws_session_token=self.aws_session_token,
            addressing_style=self.addressing_style,
        )


def s3_resource(settings: S3TargetSettings, secrets: Secrets) -> S3Resource:
    """The resource that reaches the store of a target.

    Its fields hold the secrets that the settings' references lead to, and Dagster shows the fields
    of a resource that is part of definitions. Make it inside an asset or a resource's method, as
    `EngineResource` reads its settings there; do not put it into `Definitions(resources=…)`.

    Raises:
        LocutusError: a secret reference leads nowhere.
    """
    values = client_values(settings, secrets)
    verify = values.pop("verify")
    return S3StoreResource(
        **values,
        verify=None if isinstance(verify, str) else verify,
        ca_file=verify if isinstance(verify, str) else None,
        addressing_style=settings.addressing_style,
    )
