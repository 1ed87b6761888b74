"""The workspace's pseudonymisation keys: made once, kept privately, never replaced unnoticed.

What belongs here: finding or creating the key ring and holding it against the key identifier in
the ledger. What does not: the text of a key ring (`deid/identities/keys.py`), what is derived from
a key (`deid/identities/pseudonyms.py`).

A key that stays in the ring while a newer one follows it has been rotated deliberately: the ledger
takes note of the newer one. A key that is no more in the ring has been lost or exchanged.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from locutus_dagster.deid import DeidError
from locutus_dagster.deid.identities.keys import KeyRing, new_secret
from locutus_dagster.durable_files import sync_folder
from locutus_dagster.ledger import Ledger
from locutus_dagster.secret_refs import SecretMissingError
from locutus_dagster.settings import Settings

__all__ = ["keep_it", "load_keys", "secret_path"]

_FIRST_VERSION = "1-"  # of a key ring that was a bare secret


def secret_path(settings: Settings, workspace: str) -> Path:
    """Where a workspace's secret is kept unless its settings name another place."""
    return settings.private_dir / f"{workspace}.secret"


def keep_it(settings: Settings, workspace: str) -> str:
    """What to tell a person when a secret has been made."""
    return (
        f"A pseudonymisation secret was created for workspace '{workspace}': "
        f"{secret_path(settings, workspace)} (mode 0600). Back it up and guard it: with it, "
        "pseudonyms can be traced to patients; without it, no later delivery can match this one."
    )


def load_keys(
    settings: Settings, workspace: str, ledger: Ledger, *, look_only: bool = False
) -> tuple[KeyRing, bool]:
    """The workspace's keys, and whether the first of them was created just now.

    Args:
        look_only: write nothing; where a secret would be created, one that is kept nowhere stands
            in for it.

    Raises:
        SecretMissingError: the secret that earlier pseudonyms were made with is gone, or another
            one lies in its place. A new one would break every link to what has been delivered.
    """
    reference = settings.workspace(workspace).secret
    path = secret_path(settings, workspace)
    known = ledger.workspace_key_id(workspace)
    created = False
    if reference is None:
        if not path.exists():
            if known is not None:
                raise SecretMissingError(
                    f"The secret of workspace '{workspace}' is missing: {path} is not there, and "
                    "studies have been pseudonymised with it.",
                    "Restore that file from your backup; a new secret would change every UID.",
                )
            if look_only:
                return KeyRing.parse(new_secret()), True
            created = _create(path)
        reference = f"file:{path}"
    try:
        keys = KeyRing.parse(settings.secrets.resolve(reference))
    except DeidError as error:
        raise SecretMissingError(
            f"The secret of workspace '{workspace}' cannot be used. {error.message}", error.hint
        ) from None
    if not (look_only and known is None):  # then there is nothing to hold it against
        _hold_against(keys, known, workspace, ledger, look_only=look_only)
    return keys, created


def _hold_against(
    keys: KeyRing, known: str | None, workspace: str, ledger: Ledger, *, look_only: bool
) -> None:
    """Note the current key in the ledger, unless the one that stands there is none of the ring."""
    current = keys.current.key_id
    if not look_only:
        if known is None:
            ledger.ensure_workspace(workspace)
        if known is None or (_versioned(known) in keys.key_ids and known != current):
            ledger.set_workspace_key_id(workspace, current, before=known)
            known = ledger.workspace_key_id(workspace)  # another process may have been quicker
    if known is not None and _versioned(known) in keys.key_ids:
        return
    raise SecretMissingError(
        f"The secret of workspace '{workspace}' is not the one that its studies have been "
        "pseudonymised with.",
        f"Restore the secret with the key identifier {known}; this one is {current}.",
    )


def _versioned(key_id: str) -> str:
    """Return a key's public name as it is written now; ledgers of old have it without version."""
    return key_id if "-" in key_id else _FIRST_VERSION + key_id


def _create(path: Path) -> bool:
    """Write a fresh secret, unless another process does so at the same moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(new_secret() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        # A hard link fails where a rename would silently replace the other process's secret.
        path.hardlink_to(part)
    except FileExistsError:
        return False
    finally:
        with suppress(OSError):
            part.unlink()
    sync_folder(path.parent)
    return True
