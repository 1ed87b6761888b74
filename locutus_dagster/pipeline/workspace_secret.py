"""The workspace's pseudonymisation secret: made once, kept privately, never replaced unnoticed.

What belongs here: finding or creating the secret and holding it against the key identifier in the
ledger. What does not: what is derived from it (`deid/pseudonyms.py`).
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from locutus_dagster.deid import Pseudonyms
from locutus_dagster.durable_files import sync_folder
from locutus_dagster.ledger import Ledger
from locutus_dagster.secret_refs import SecretMissingError, resolve_secret
from locutus_dagster.settings import Settings

__all__ = ["keep_it", "load_pseudonyms", "secret_path"]

_BYTES = 32


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


def load_pseudonyms(settings: Settings, workspace: str, ledger: Ledger) -> tuple[Pseudonyms, bool]:
    """The workspace's pseudonyms, and whether their secret was created just now.

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
            created = _create(path)
        reference = f"file:{path}"
    try:
        pseudonyms = Pseudonyms(resolve_secret(reference).encode())
    except ValueError:
        raise SecretMissingError(
            f"The secret of workspace '{workspace}' is too short to protect anybody.",
            "Use at least 32 random characters: openssl rand -hex 32",
        ) from None
    if known is None:
        ledger.ensure_workspace(workspace)
        ledger.set_workspace_key_id(workspace, pseudonyms.key_id)
        known = ledger.workspace_key_id(workspace)
    if known != pseudonyms.key_id:
        raise SecretMissingError(
            f"The secret of workspace '{workspace}' is not the one that its studies have been "
            "pseudonymised with.",
            f"Restore the secret with the key identifier {known}; this one is {pseudonyms.key_id}.",
        )
    return pseudonyms, created


def _create(path: Path) -> bool:
    """Write a fresh secret, unless another process does so at the same moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(secrets.token_hex(_BYTES) + "\n")
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
