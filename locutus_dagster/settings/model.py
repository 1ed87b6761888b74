"""Everything the system is told: the top of the model.

What belongs here: what holds for the whole installation. What does not: one workspace's settings
(`workspace.py`, `sources.py`, `targets.py`), where values are read from (`reading.py`), and
anything that acts on a setting.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from urllib.parse import quote

from pydantic import Field, PrivateAttr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from locutus_dagster.secret_refs import Secrets, secrets_for
from locutus_dagster.settings.clash import clash
from locutus_dagster.settings.origins import Origin
from locutus_dagster.settings.workspace import RunSettings, WorkspaceSettings
from locutus_dagster.strict_model import (
    Discreet,
    Location,
    Secret,
    SettingsError,
    Size,
    Strict,
    expanded,
)
from locutus_dagster.vault.options import VaultSettings

__all__ = ["LedgerSettings", "Settings", "config_file"]

#: Where it is unless LOCUTUS_HOME says otherwise, and what it is then called in an error.
_DEFAULT_HOME = ("~/.locutus", "LOCUTUS_HOME is not set, and ~/.locutus")
_WORKSPACE_NAME = re.compile(r"^[a-z][a-z0-9_]{0,40}$")


class LedgerSettings(Strict):
    """The ledger's PostgreSQL, part by part; each part may be a reference (`vault:…#db_host`)."""

    host: str = Field(description="of the server")
    port: int = Field(default=5432, description="of the server")
    name: str = Field(description="of the database")
    name_suffix: str = Field(default="", description="put behind the name, such as _dev")
    user: str = Field(description="who logs in")
    password: Secret | None = Field(default=None, description="a reference, as a rule")


class Settings(Discreet, BaseSettings):
    """Everything the system is told. Sizes are bytes, times are seconds.

    `load_settings` reads what is said where; the class itself asks nobody.
    """

    model_config = SettingsConfigDict(
        env_prefix="LOCUTUS_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    home: Location = Field(
        default_factory=lambda: expanded(*_DEFAULT_HOME),
        description="where the system keeps what is its own: the private folder, Dagster's files, "
        "and the scratch space unless told otherwise; said by LOCUTUS_HOME, as the file lies there",
    )
    ledger_url: Secret | None = Field(
        default=None,
        description="SQLAlchemy URL, or a reference to it; default: SQLite in the home",
    )
    ledger: LedgerSettings | None = Field(default=None, description="instead of a ledger_url")
    vault: VaultSettings = Field(
        default_factory=VaultSettings, description="where `vault:` references lead"
    )
    scratch: Location | None = Field(
        default=None,
        description="where interim files live for seconds: a fast local disk (mode 0700); by "
        "default `scratch` in the home",
    )
    scratch_limit: Size = Field(
        default=20 * 1024**3,
        ge=1,
        description="bytes, or 20GiB; accessions wait for each other rather than exceed it",
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=0,
        description="processes; 0 works in the process of the run; by default one for each core",
    )
    batch_size: int = Field(default=50, ge=1, description="accessions in a Dagster run")
    keep_interim_files: bool = Field(
        default=False, description="for debugging: IDENTIFIED files stay in the scratch space"
    )
    run: RunSettings = Field(default_factory=RunSettings, description="how a run goes about it")
    workspaces: dict[str, WorkspaceSettings] = Field(
        default_factory=dict, description="the projects, by name"
    )

    _origins: dict[str, Origin] = PrivateAttr(default_factory=dict)
    _notes: tuple[str, ...] = PrivateAttr(default=())

    @field_validator("workspaces")
    @classmethod
    def _legal_names(cls, value: dict[str, WorkspaceSettings]) -> dict[str, WorkspaceSettings]:
        if wrong := [(name,) for name in value if not _WORKSPACE_NAME.fullmatch(name)]:
            raise clash(
                "no name for a workspace: use a lower-case letter, then up to 40 lower-case "
                "letters, digits or _",
                *wrong,
            )
        return value

    @model_validator(mode="after")
    def _absolute(self) -> Settings:
        object.__setattr__(self, "home", self.home.expanduser().absolute())
        return self

    @model_validator(mode="after")
    def _one_ledger(self) -> Settings:
        if self.ledger_url and self.ledger:
            raise clash(
                "both 'ledger_url' and 'ledger' are given: keep one of them",
                ("ledger_url",),
                ("ledger",),
            )
        return self

    @property
    def origins(self) -> dict[str, Origin]:
        """Where each value that is no default was said, by its key."""
        return dict(self._origins)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about how the settings were read."""
        return self._notes

    def with_origins(self, origins: dict[str, Origin], notes: tuple[str, ...]) -> Settings:
        """These settings, and where they were said."""
        told = self.model_copy()
        told._origins, told._notes = origins, notes
        return told

    @property
    def secrets(self) -> Secrets:
        """Fetches what references lead to; one for each process."""
        return secrets_for(self.vault)

    @property
    def ledger_address(self) -> str:
        """The ledger's SQLAlchemy URL at this moment; see `find_ledger`."""
        return self.find_ledger()

    def find_ledger(self, *, fresh: bool = False) -> str:
        """The ledger's SQLAlchemy URL; SQLite in the home folder unless told otherwise.

        `postgresql://` is read as psycopg2, the driver that dagster-postgres brings along;
        SQLAlchemy 2.1 alone would ask for psycopg 3.

        A ledger is opened with this very method, which it calls for each connection: the login may
        be rotated meanwhile.

        Args:
            fresh: ask Vault again, because the login at hand has just been refused.

        Raises:
            SecretMissingError: a part of it is a reference that leads nowhere.
            VaultError: Vault cannot be asked, or refuses.
        """
        get = partial(self.secrets.resolve, fresh=fresh)
        if self.ledger_url:
            return re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", get(self.ledger_url))
        if self.ledger:
            told = self.ledger
            user, password = quote(get(told.user), safe=""), ""
            if told.password:
                password = ":" + quote(get(told.password), safe="")
            name = quote(get(told.name) + told.name_suffix, safe="")
            host = f"{get(told.host)}:{told.port}"
            return f"postgresql+psycopg2://{user}{password}@{host}/{name}"
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
        """Nothing but what it is given: `load_settings` reads the layers and keeps the origins."""
        return (init_settings,)


def config_file(home: Path | None = None) -> Path:
    """The settings file that applies: `$LOCUTUS_CONFIG`, or `locutus.yaml` in the home folder.

    Raises:
        SettingsError: a variable names a home folder that nobody here has.
    """
    if explicit := os.environ.get("LOCUTUS_CONFIG"):
        return expanded(explicit, "LOCUTUS_CONFIG")
    if home is None:
        said = os.environ.get("LOCUTUS_HOME")
        home = expanded(said, "LOCUTUS_HOME") if said else expanded(*_DEFAULT_HOME)
    return home.expanduser() / "locutus.yaml"
