"""The settings of each kind of target.

What belongs here: one class for each kind that comes with Locutus, the one that stands for any
other kind. What does not: key templates (`key_templates.py`), and what a target does with its
settings (`targets/`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from locutus_dagster.settings.clash import clash
from locutus_dagster.settings.key_templates import DEFAULT_KEY_TEMPLATE, KeyTemplate
from locutus_dagster.strict_model import HttpAddress, Location, Secret, Size, Strict, http_address

__all__ = [
    "AnyTargetSettings",
    "GcsTargetSettings",
    "OtherTargetSettings",
    "S3TargetSettings",
    "ShareTargetSettings",
    "TargetSettings",
]


class TargetSettings(Strict):
    """What every target is told, whatever its kind."""

    required: bool = Field(
        default=True,
        description="an accession counts as delivered only when this target has confirmed it",
    )
    key_template: KeyTemplate = Field(
        default=DEFAULT_KEY_TEMPLATE, description="a template, or a preset's name: bucket, share"
    )
    top: str = Field(default=".TopLevel", description="what {top} in the template stands for")


class ShareTargetSettings(TargetSettings):
    """A mounted share (the reference's isilon) or any local directory."""

    kind: Literal["share"] = Field(default="share", description="what it is")
    path: Location = Field(description="where it is mounted; it must be there")


class S3TargetSettings(TargetSettings):
    """A bucket of Amazon S3, or of a store that speaks its protocol.

    Without keys of its own the client finds credentials as boto3 does: environment, profile, role.
    """

    kind: Literal["s3"] = Field(default="s3", description="what it is")
    bucket: str = Field(min_length=3, max_length=63, description="its name")
    region: str | None = Field(default=None, description="as AWS_REGION by default")
    endpoint_url: HttpAddress | None = Field(
        default=None, description="of a store that is not Amazon's"
    )
    profile: str | None = Field(default=None, description="of the AWS configuration's files")
    access_key_id: Secret | None = Field(default=None, description="a reference, as a rule")
    secret_access_key: Secret | None = Field(default=None, description="a reference, as a rule")
    session_token: Secret | None = Field(default=None, description="of temporary credentials")
    verify: bool | Location = Field(
        default=True, description="check the TLS certificate; or a file of authorities to trust"
    )
    addressing_style: Literal["auto", "path", "virtual"] = Field(
        default="auto", description="the bucket in the path or in the host's name"
    )
    checksum: Literal["SHA256", "CRC64NVME"] = Field(
        default="SHA256", description="what the store verifies of each part"
    )
    encryption: Literal["AES256", "aws:kms"] | None = Field(
        default="AES256", description="at rest, by the store; null for the bucket's own default"
    )
    kms_key_id: str | None = Field(default=None, description="the key, for encryption: aws:kms")
    part_size: Size = Field(
        default=16 * 1024**2, ge=5 * 1024**2, le=5 * 1024**3, description="of an upload"
    )
    connections: int = Field(default=4, ge=1, le=32, description="parts uploaded at a time")
    timeout: float = Field(default=60.0, gt=0, description="seconds without a byte")
    attempts: int = Field(default=5, ge=1, description="how often a request is made")


class GcsTargetSettings(TargetSettings):
    """A bucket of Google Cloud Storage.

    Without credentials of its own the client finds them as Google's libraries do.
    """

    kind: Literal["gcs"] = Field(default="gcs", description="what it is")
    bucket: str = Field(
        min_length=3,
        max_length=222,
        pattern=r"^[a-z0-9][a-z0-9._-]*[a-z0-9]$",
        description="its name",
    )
    project: str | None = Field(
        default=None, description="that the bucket belongs to, where it has to be said"
    )
    endpoint_url: str | None = Field(
        default=None, pattern=r"^https?://[^/@\s]+/?$", description="of an emulator or a gateway"
    )
    credentials: Secret | None = Field(
        default=None, description="a service account's key (JSON), or a reference to it"
    )
    anonymous: bool = Field(default=False, description="ask without credentials")
    kms_key_name: str | None = Field(
        default=None,
        pattern=r"^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$",
        description="of Cloud KMS; without it the bucket's own default",
    )
    part_size: Size = Field(default=16 * 1024**2, ge=256 * 1024, description="of an upload")
    timeout: float = Field(default=60.0, gt=0, description="seconds without a byte")
    attempts: int = Field(default=5, ge=1, description="how often a request is made")

    @field_validator("endpoint_url")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        return value if value is None else http_address(value)

    @model_validator(mode="after")
    def _one_kind_of_credentials(self) -> GcsTargetSettings:
        if self.anonymous and self.credentials is not None:
            raise clash(
                "stands beside anonymous: true; leave one of the two out",
                ("credentials",),
                ("anonymous",),
            )
        return self


class OtherTargetSettings(TargetSettings):
    """A target of a kind that another package brings along, under its entry point's name."""

    kind: str = Field(description="the name of its entry point")
    options: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="what that package asks for"
    )


_KINDS = ("share", "s3", "gcs")


def _kind(value: Any) -> str:
    kind = value.get("kind", "share") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if kind in _KINDS else "other"


AnyTargetSettings = Annotated[
    Annotated[ShareTargetSettings, Tag("share")]
    | Annotated[S3TargetSettings, Tag("s3")]
    | Annotated[GcsTargetSettings, Tag("gcs")]
    | Annotated[OtherTargetSettings, Tag("other")],
    Discriminator(_kind),
]
