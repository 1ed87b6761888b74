"""What the system is told: one typed model, read from `locutus.yaml` and the environment.

What belongs here: names, types, defaults and validation of settings, and where they are read
from. What does not: secrets themselves (`secret_refs.py` resolves references at the moment of
use), and anything that acts on a setting.

Precedence, highest first: environment (`LOCUTUS_…`, nested with `__`), the reference's names in the
environment (`reference_settings.py`), `locutus.yaml`, the defaults. The file is `$LOCUTUS_CONFIG`,
or else `locutus.yaml` in the home folder `$LOCUTUS_HOME`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import (
    SettingsError as UnreadableVariableError,
)

from locutus_dagster.errors import LocutusError
from locutus_dagster.reference_settings import run_settings_from
from locutus_dagster.run_modes import Reprocess, Sweep

__all__ = [
    "DEFAULT_KEY_TEMPLATE",
    "FolderSourceSettings",
    "OrthancSourceSettings",
    "Reprocess",
    "RunSettings",
    "Settings",
    "SettingsError",
    "ShareTargetSettings",
    "Sweep",
    "WorkspaceSettings",
    "config_file",
    "load_settings",
    "parse_size",
]

# The reference's bucket key, with its placeholder names turned into ours.
DEFAULT_KEY_TEMPLATE = (
    "{top}/{subject_id}/{imaging_type}/{age}/{anatomical_position}/uuid_{study}.zip"
)
_WORKSPACE_NAME = re.compile(r"^[a-z][a-z0-9_]{0,40}$")
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*$", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class SettingsError(LocutusError):
    """The settings cannot be used; the message lists every fault with its file and key."""


def parse_size(value: object) -> int:
    """Turn `20GiB`, `500 MB` or a number into bytes (`GB` is 1000³, `GiB` is 1024³)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.match(str(value))
    if not match:
        raise ValueError("is not a size such as 20GiB, 500MB or a number of bytes")
    number, unit, binary = match.groups()
    base = 1024 if binary else 1000
    return int(float(number) * base ** _POWERS[unit.lower()])


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FolderSourceSettings(_Strict):
    """A directory tree of DICOM files as the research PACS."""

    kind: Literal["folder"] = "folder"
    path: Path


class OrthancSourceSettings(_Strict):
    """An Orthanc server as the research PACS."""

    kind: Literal["orthanc"] = "orthanc"
    url: str
    username: str | None = None
    password: str | None = Field(
        default=None, repr=False, description="a secret reference: env:NAME or file:/path"
    )
    verify: bool | Path = True
    timeout: float = Field(default=30.0, gt=0, description="seconds without a byte")
    attempts: int = Field(default=4, ge=1)
    connections: int = Field(default=4, ge=1, le=32, description="downloads at a time")


class ShareTargetSettings(_Strict):
    """A mounted share (the reference's isilon) or any local directory."""

    kind: Literal["share"] = "share"
    path: Path
    key_template: str = DEFAULT_KEY_TEMPLATE
    top: str = Field(default=".TopLevel", description="locutus_onprem_dicom_bucket_path_top_level")


SourceSettings = Annotated[
    FolderSourceSettings | OrthancSourceSettings, Field(discriminator="kind")
]


class WorkspaceSettings(_Strict):
    """One project: where its studies come from, what is done to them, where they go."""

    source: SourceSettings
    target: ShareTargetSettings
    policy: str = Field(
        default="basic", min_length=1, description="a shipped policy's name, or a policy file"
    )
    modalities: tuple[str, ...] | None = Field(
        default=None,
        description="what is let through, or 'any'; by default what the policy names, and where "
        "it names none, CR CT DX MR NM OT RF US XA XR",
    )
    several_patients: Literal["withhold", "allow"] | None = Field(
        default=None, description="takes the place of what the policy says"
    )
    owners: tuple[str, ...] = ()
    secret: str | None = Field(
        default=None,
        repr=False,
        description="reference to the pseudonymisation key ring; by default a file in the home",
    )

    @field_validator("modalities", mode="before")
    @classmethod
    def _upper_case(cls, value: object) -> object:
        if isinstance(value, str):
            value = value.split(",")
        if isinstance(value, list | tuple):
            return tuple(str(item).strip().upper() for item in value if str(item).strip())
        return value


class RunSettings(_Strict):
    """How a run goes about its accessions, unless it is told otherwise."""

    reprocess: Reprocess = Field(
        default=Reprocess.NONE, description="what becomes of finished accessions"
    )
    withdraw: bool = Field(
        default=False, description="remove superseded deliveries from their target"
    )
    sweep: Sweep = Field(
        default=Sweep.MANIFEST, description="what is resumed: of the manifest, of all, or nothing"
    )
    until_converged: bool = False
    max_passes: int = Field(default=11, ge=1)
    pass_wait: float = Field(default=45.0, ge=0, description="seconds between two passes")
    force_success: bool = Field(default=False, description="exit code 0 in the place of 2")
    allow_processing_of_duplicates: bool = False
    check_source: bool = Field(
        default=True, description="ask the source whether the study of a delivery has changed"
    )
    dry_run: bool = Field(default=False, description="say what would happen; change nothing")
    lease: float = Field(
        default=120.0, gt=1, description="seconds after which a silent worker's claim ends"
    )


class Settings(BaseSettings):
    """Everything the system is told. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(
        env_prefix="LOCUTUS_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    home: Path = Field(default_factory=lambda: Path("~/.locutus").expanduser())
    ledger_url: str | None = Field(default=None, repr=False)
    scratch: Path | None = None
    scratch_limit: int = Field(default=20 * 1024**3, ge=1)
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=0)
    batch_size: int = Field(default=50, ge=1, description="accessions a Dagster run")
    keep_interim_files: bool = False
    run: RunSettings = Field(default_factory=RunSettings)
    workspaces: dict[str, WorkspaceSettings] = Field(default_factory=dict)

    @field_validator("scratch_limit", mode="before")
    @classmethod
    def _size(cls, value: object) -> int:
        return parse_size(value)

    @field_validator("workspaces")
    @classmethod
    def _legal_names(cls, value: dict[str, WorkspaceSettings]) -> dict[str, WorkspaceSettings]:
        for name in value:
            if not _WORKSPACE_NAME.fullmatch(name):
                raise ValueError(
                    f"workspace name {name!r}: use a lower-case letter, then lower-case letters, "
                    "digits or _"
                )
        return value

    @model_validator(mode="after")
    def _absolute(self) -> Settings:
        object.__setattr__(self, "home", self.home.expanduser().absolute())
        return self

    @property
    def ledger_address(self) -> str:
        """The ledger's SQLAlchemy URL; SQLite in the home folder unless told otherwise.

        `postgresql://` is read as psycopg2, the driver that dagster-postgres brings along;
        SQLAlchemy 2.1 alone would ask for psycopg 3.
        """
        if self.ledger_url:
            return re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", self.ledger_url)
        return f"sqlite:///{self.private_dir / 'ledger.sqlite'}"

    @property
    def private_dir(self) -> Path:
        """Mode 0700: ledger, workspace secrets, source indexes. Identifiers live here."""
        return self.home / "private"

    @property
    def scratch_dir(self) -> Path:
        """Mode 0700: the interim store's root."""
        return (self.scratch or self.home / "scratch").expanduser().absolute()

    def workspace(self, name: str) -> WorkspaceSettings:
        """The settings of one workspace.

        Raises:
            SettingsError: no workspace has that name.
        """
        try:
            return self.workspaces[name]
        except KeyError:
            known = ", ".join(sorted(self.workspaces)) or "none"
            raise SettingsError(
                f"There is no workspace '{name}' (known: {known}).",
                f"Add it under 'workspaces:' in {config_file(self.home)}.",
            ) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file: `load_settings` passes the file's content as init values."""
        return env_settings, init_settings


def config_file(home: Path | None = None) -> Path:
    """The settings file that applies: `$LOCUTUS_CONFIG`, or `locutus.yaml` in the home folder."""
    if explicit := os.environ.get("LOCUTUS_CONFIG"):
        return Path(explicit).expanduser()
    base = home or Path(os.environ.get("LOCUTUS_HOME") or "~/.locutus")
    return base.expanduser() / "locutus.yaml"


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror}).", "Check its permissions."
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: not UTF-8 text.", "Save the file as UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(
            f"{path}{line}: not valid YAML.", "Mend the file at that place."
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise SettingsError(f"{path}: the file must hold keys and values.")
    return content


def load_settings(**overrides: Any) -> Settings:
    """Read the settings that apply here and now.

    Args:
        overrides: values that win over the file (not over the environment).

    Raises:
        SettingsError: lists every fault at once, each with its key.
    """
    path = config_file()
    content = {**_read_file(path), **overrides}
    said = run_settings_from(os.environ)
    if said and isinstance(content.get("run") or {}, dict):
        content["run"] = {**(content.get("run") or {}), **said}
    try:
        return Settings(**content)
    except UnreadableVariableError:
        # Only values that are not plain are read as JSON.
        raise SettingsError(
            "LOCUTUS_WORKSPACES: not valid JSON.", "Mend it, or use the file instead."
        ) from None
    except ValidationError as error:
        faults = []
        for fault in error.errors(include_url=False, include_input=False):
            key = ".".join(str(part) for part in fault["loc"])
            faults.append(f"  {key or '(top)'}: {fault['msg']}")
        raise SettingsError(
            f"{path} (or a LOCUTUS_… variable) has {len(faults)} fault(s):\n" + "\n".join(faults)
        ) from None
