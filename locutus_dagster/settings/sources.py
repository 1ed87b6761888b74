"""The settings of each kind of source.

What belongs here: one class for each kind that comes with Locutus, and the one that stands for any
other kind. What does not: what a source does with them (`sources/`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, Tag, field_validator

from locutus_dagster.strict_model import HttpAddress, Location, Secret, Size, Strict

__all__ = [
    "DicomWebSourceSettings",
    "FolderSourceSettings",
    "OrthancSourceSettings",
    "OtherSourceSettings",
    "SourceSettings",
]


class FolderSourceSettings(Strict):
    """A directory tree of DICOM files as the research PACS."""

    kind: Literal["folder"] = Field(default="folder", description="what it is")
    path: Location = Field(description="the directory that is searched, with all below it")


class OrthancSourceSettings(Strict):
    """An Orthanc server as the research PACS."""

    kind: Literal["orthanc"] = Field(default="orthanc", description="what it is")
    url: HttpAddress = Field(description="of its REST interface, e.g. https://pacs.example:8042")
    username: str | None = Field(default=None, description="for basic authentication")
    password: Secret | None = Field(default=None, description="a reference, as a rule")
    token: Secret | None = Field(default=None, description="bearer token, instead of a password")
    verify: bool | Location = Field(
        default=True, description="check the TLS certificate; or a file of authorities to trust"
    )
    timeout: float = Field(default=30.0, gt=0, description="seconds without a byte")
    slowest: Size = Field(
        default=10_000,
        gt=0,
        description="bytes a second; an answer that comes more slowly is asked for again",
    )
    attempts: int = Field(default=4, ge=1, description="how often a question is asked")
    connections: int = Field(default=4, ge=1, le=32, description="downloads at a time")
    verify_md5: bool = Field(
        default=True, description="compare each instance with the MD5 that Orthanc keeps of it"
    )
    issuer: str | None = Field(
        default=None,
        min_length=1,
        description="only studies whose accession number was issued by this entity (0008,0051)",
    )


class DicomWebSourceSettings(Strict):
    """A DICOMweb server (QIDO-RS and WADO-RS) as the research PACS."""

    kind: Literal["dicomweb"] = Field(default="dicomweb", description="what it is")
    url: HttpAddress = Field(description="the DICOMweb root, e.g. https://pacs.example/dicom-web")
    qido_prefix: str | None = Field(default=None, description="path of QIDO-RS below the root")
    wado_prefix: str | None = Field(default=None, description="path of WADO-RS below the root")
    username: str | None = Field(default=None, description="for basic authentication")
    password: Secret | None = Field(default=None, description="a reference, as a rule")
    token: Secret | None = Field(default=None, description="bearer token, instead of a password")
    verify: bool | Location = Field(
        default=True, description="check the TLS certificate; or a file of authorities to trust"
    )
    timeout: float = Field(default=30.0, gt=0, description="seconds without a byte")
    attempts: int = Field(default=4, ge=1, description="how often a question is asked")
    connections: int = Field(default=4, ge=1, le=32, description="downloads at a time")

    @field_validator("url")
    @classmethod
    def _without_a_user(cls, value: str) -> str:
        if urlsplit(value).username is not None:
            raise ValueError(
                "holds a user: write 'username' and 'password' beside it, the latter as a reference"
            )
        return value


class OtherSourceSettings(Strict):
    """A source of a kind that another package brings along, under its entry point's name."""

    kind: str = Field(description="the name of its entry point")
    options: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="what that package asks for"
    )


_KINDS = ("folder", "orthanc", "dicomweb")


def _kind(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if kind in _KINDS else "other"


SourceSettings = Annotated[
    Annotated[FolderSourceSettings, Tag("folder")]
    | Annotated[OrthancSourceSettings, Tag("orthanc")]
    | Annotated[DicomWebSourceSettings, Tag("dicomweb")]
    | Annotated[OtherSourceSettings, Tag("other")],
    Discriminator(_kind),
]
