"""What the reference's paths into Vault lead to, in our words.

What belongs here: the ledger's database, an Orthanc, Google's credentials. What does not: the forms
in which an entry may lie in Vault (`vault_layout.py`).

Whatever is secret stays in Vault: a value here is a reference to it. Of an Orthanc only address and
user are read, which no reference could be put together from.
"""

from __future__ import annotations

from collections.abc import Callable

from locutus_dagster.errors import LocutusError
from locutus_dagster.reference_config.keys import REFERENCE_KEYS
from locutus_dagster.reference_config.results import Result
from locutus_dagster.reference_config.vault_layout import Entry, VaultReader, open_entry

__all__ = ["ledger_values", "only_reference", "orthanc_values"]

_DATABASE = {"db_host": "host", "db_name": "name", "user": "user", "password": "password"}
_ADDRESS = {
    "orthanc_hostname": "url",
    "orthanc_portnum": "url",
    "orthanc_user": "username",
    "orthanc_password": "password",
}
_STAGER = tuple(name for name in REFERENCE_KEYS if name.startswith("dicom_stage_DB_"))
_PORTS = range(1, 65536)

Vault = Callable[[], VaultReader]


def ledger_values(result: Result, vault: Vault) -> None:
    """Put the ledger's database together from references."""
    name = "locutus_DB_vault_path"
    entry = _entry(result, vault, name, tuple(_DATABASE))
    if entry is None:
        return
    missing = [key for key in _DATABASE if not entry.text(key)]
    if missing:
        result.fault(name, f"there is no {', '.join(missing)} at that path")
        return
    for key, field in _DATABASE.items():
        if reference := _leading(result, vault, name, entry.references[key]):
            result.put(name, f"ledger.{field}", reference, shown="ledger")
        result.in_vault(key, "", f"vault:{result.told.text(name)}", f"ledger.{field}")
    use, suffix = "locutus_DB_use_dev_suffix", "locutus_DB_dev_suffix"
    if result.told.on(use):
        result.take(suffix, "ledger.name_suffix")
        result.became(use, "ledger.name_suffix")
        if not result.told.text(suffix):
            result.notes.append(f"{result.told.said[use].origin}: {suffix} is empty")
    else:
        result.unused(use, "the database is called as Vault says")
        result.unused(suffix, f"{use} is not on")


def orthanc_values(result: Result, vault: Vault, name: str, root: str) -> None:
    """Put an Orthanc's settings together: address and user as they are, the password referred to.

    Args:
        name: the key that holds the path.
        root: our dotted key of the source.
    """
    entry = _entry(result, vault, name, tuple(_ADDRESS))
    if entry is None:
        return
    host, port = entry.text("orthanc_hostname"), entry.text("orthanc_portnum")
    missing = [key for key in tuple(_ADDRESS)[:2] if not entry.text(key)]
    if missing:
        result.fault(name, f"there is no {', '.join(missing)} at that path")
        return
    if not port.isascii() or not port.isdigit() or int(port) not in _PORTS:
        result.fault(name, "orthanc_portnum at that path is not a port's number")
        return
    scheme, _, rest = host.rpartition("://")
    if not rest or any(sign in rest for sign in " /@#?") or scheme not in ("", "http", "https"):
        result.fault(name, "orthanc_hostname at that path is not a host's name")
        return
    result.put(name, f"{root}.kind", "orthanc", shown=root)
    result.put(name, f"{root}.url", f"{scheme or 'http'}://{rest}:{port}", shown="")
    for key, field in [*_ADDRESS.items(), *((key, "") for key in _STAGER)]:
        if entry.text(key):
            became = f"{root}.{field}" if field else ""
            result.in_vault(key, entry.text(key), f"vault:{result.told.text(name)}", became)
    if entry.text("orthanc_user"):
        result.put(name, f"{root}.username", entry.text("orthanc_user"), shown="")
        if entry.text("orthanc_password") and (
            reference := _leading(result, vault, name, entry.references["orthanc_password"])
        ):
            result.put(name, f"{root}.password", reference, shown="")


def only_reference(result: Result, vault: Vault, name: str) -> str | None:
    """A reference to the one key of an entry; None, with a note, where it has several."""
    entry = _entry(result, vault, name, ())
    if entry is None:
        return None
    if len(entry.references) == 1:
        return _leading(result, vault, name, next(iter(entry.references.values())))
    result.unused(name, "the entry has several keys")
    result.notes.append(
        f"{result.told.said[name].origin}: the entry has several keys; put the account's whole "
        "JSON into one, and set targets.gcs.credentials to it"
    )
    return None


def _entry(result: Result, vault: Vault, name: str, keys: tuple[str, ...]) -> Entry | None:
    try:
        return open_entry(vault(), result.told.text(name), keys)
    except LocutusError as error:
        result.fault(name, str(error))
        return None


def _leading(result: Result, vault: Vault, name: str, reference: str) -> str | None:
    """The reference, if it leads to something when it will be resolved."""
    try:
        vault().value(reference.removeprefix("vault:"))
    except LocutusError as error:
        result.fault(name, str(error))
        return None
    return reference
