"""The reference's configuration as a layer of our settings, or for being written down.

What belongs here: where the configuration is found, and its faults as one error. What does not:
reading and translating (`reading.py`, `translating.py`), and how layers are put on each other
(`settings/reading.py`).

`PATH_TO_CONFIG` names the file or its folder, or `vault:namespace:/rootpath/locutus` with one
configuration for each environment, of which `CURR_ENV` names one. Without it, `config.yaml` in the
working folder is read if it holds any of the reference's keys.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from locutus_dagster.errors import LocutusError
from locutus_dagster.reference_config.keys import REFERENCE_KEYS
from locutus_dagster.reference_config.reading import Config, read_config, tell
from locutus_dagster.reference_config.results import Fate, Result
from locutus_dagster.reference_config.translating import translate
from locutus_dagster.reference_config.vault_layout import VaultReader, app_config
from locutus_dagster.strict_model import SettingsError, expanded
from locutus_dagster.vault.options import VaultSettings

__all__ = [
    "ReferenceConfigError",
    "ReferenceLayer",
    "config_path",
    "imported",
    "layer",
]

PATH = "PATH_TO_CONFIG"
_FILE = "config.yaml"
_IN_VAULT = "vault:"
_LARGEST = 1_000_000  # bytes

OpenVault = Callable[[], VaultReader]


class ReferenceConfigError(SettingsError):
    """The reference's configuration cannot be used; the message lists every fault of it."""


@dataclass(frozen=True)
class ReferenceLayer:
    """What the reference's configuration says, in our words.

    Attributes:
        values: nested, in the shape of `locutus.yaml`.
        origins: the place of each value, by dotted key, such as
            `config.yaml:12 locutus_target_s3_bucket`.
        notes: what a person should know.
        fates: what became of each key that is set.
        unknown: the place of each key that the reference does not have either.
    """

    values: dict[str, Any]
    origins: dict[str, str]
    notes: tuple[str, ...] = ()
    fates: tuple[Fate, ...] = ()
    unknown: dict[str, str] = field(default_factory=dict)


def config_path(environment: Mapping[str, str] | None = None) -> str | None:
    """Where the reference's configuration is: a file's path or `vault:PATH`; None for nowhere.

    Raises:
        SettingsError: the variable names a home folder that nobody here has.
    """
    environment = os.environ if environment is None else environment
    if told := environment.get(PATH, "").strip():
        if told.startswith(_IN_VAULT):
            return told
        path = expanded(told, PATH)
        return str(path / _FILE if path.is_dir() else path)
    return _FILE if Path(_FILE).is_file() else None


def layer(
    environment: Mapping[str, str] | None = None, open_vault: OpenVault | None = None
) -> ReferenceLayer | None:
    """The reference's configuration that applies here and now; None where there is none.

    Args:
        environment: by default the process's own.
        open_vault: makes the client of Vault; by default as VAULT_ADDR and VAULT_TOKEN say.

    Raises:
        ReferenceConfigError: lists every fault, with file, line and key.
    """
    environment = os.environ if environment is None else environment
    where = config_path(environment)
    if where is None:
        return None
    vault = _Lazily(open_vault or _open_vault)
    config = _open_config(where, environment.get("CURR_ENV", "").strip(), vault)
    named = bool(environment.get(PATH, "").strip())
    if not named and not any(name in REFERENCE_KEYS for name in config.content):
        return None  # somebody else's config.yaml
    return _translated(config, environment, vault)


def imported(
    where: str,
    chosen: str | None,
    environment: Mapping[str, str],
    *,
    file_only: bool = False,
    open_vault: OpenVault | None = None,
) -> ReferenceLayer:
    """A configuration of the reference's that is to be written down in our words.

    Args:
        where: its file, or `vault:PATH`.
        chosen: the environment's name, where Vault holds several; None for `CURR_ENV`.
        file_only: leave out what the variables of the environment say.

    Raises:
        ReferenceConfigError: lists every fault, with file, line and key.
    """
    vault = _Lazily(open_vault or _open_vault)
    curr_env = environment.get("CURR_ENV", "").strip()
    config = _open_config(where, curr_env if chosen is None else chosen, vault)
    return _translated(config, {} if file_only else environment, vault)


def _open_config(where: str, chosen: str, vault: Callable[[], VaultReader]) -> Config:
    """Read a configuration from its file, or from Vault (`vault:PATH`).

    Args:
        chosen: the environment's name, where Vault holds several configurations.

    Raises:
        ReferenceConfigError: it cannot be read.
    """
    if where.startswith(_IN_VAULT):
        try:
            return app_config(vault(), where.removeprefix(_IN_VAULT), chosen)
        except LocutusError as error:
            raise ReferenceConfigError(error.message, error.hint) from None
    path = Path(where)
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ReferenceConfigError(
            f"{path} cannot be read ({error.strerror}).",
            f"Set {PATH} to the reference's config.yaml, or unset it.",
        ) from None
    except UnicodeDecodeError:
        raise ReferenceConfigError(f"{path}: not UTF-8 text.", "Save the file as UTF-8.") from None
    if len(content) > _LARGEST:
        raise ReferenceConfigError(f"{path}: too large for a configuration.")
    return read_config(text, str(path))


def _translated(
    config: Config, environment: Mapping[str, str], vault: Callable[[], VaultReader]
) -> ReferenceLayer:
    """Tell a configuration, and what the environment says beside it, in our words.

    Raises:
        ReferenceConfigError: lists every fault, with file, line and key.
    """
    result: Result = translate(tell(config, environment), vault)
    if result.faults:
        faults = list(dict.fromkeys(result.faults))
        raise ReferenceConfigError(
            f"The reference's configuration has {len(faults)} fault(s):\n"
            + "\n".join(f"  {fault}" for fault in faults),
            "Mend them there. 'locutus config import' says what becomes of each key.",
        )
    return ReferenceLayer(
        values=result.values,
        origins=result.origins,
        notes=tuple(dict.fromkeys(result.notes)),
        fates=tuple(result.fates),
        unknown=dict(result.told.unknown),
    )


class _Lazily:
    """Opens Vault when something leads there, and once."""

    def __init__(self, opening: OpenVault) -> None:
        self._opening = opening
        self._opened: VaultReader | None = None

    def __call__(self) -> VaultReader:
        if self._opened is None:
            self._opened = self._opening()
        return self._opened


def _open_vault() -> VaultReader:
    # Imported late: most configurations that are read never lead there.
    from locutus_dagster.secret_refs import secrets_for

    return secrets_for(VaultSettings()).vault
