"""What Locutus wants from Vault: entries, single values, and key rings.

What belongs here: the key-value engines, the transit engine, what is remembered and for how long,
and messages that name the path. What does not: login, retries and the network (`connection.py`),
and the language of references (`references.py`).
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import yaml

from locutus_dagster.vault.answers import Refused, data_of, unlike_vault
from locutus_dagster.vault.connection import Connection
from locutus_dagster.vault.faults import (
    VaultDeniedError,
    VaultError,
    VaultMissingError,
    VaultUnavailableError,
)
from locutus_dagster.vault.options import VaultSettings
from locutus_dagster.vault.references import Place, parse_named, parse_place

__all__ = ["VaultClient"]

#: What a ring's secrets are the HMAC of, before the ring's name. Another text, other pseudonyms.
_RING = "locutus-dagster/key-ring/"


@dataclass(frozen=True)
class _Known:
    value: Any
    asked_at: float


@dataclass(frozen=True)
class _Mount:
    path: str
    version: int


class VaultClient:
    """Reads secrets. Safe to use from several threads, and in a forked process.

    What has been read is remembered for `settings.refresh` seconds.

    Args:
        settings: how Vault is reached; VAULT_ADDR and its like fill in what they leave open.
        own_secret: fetches what opens Vault by its reference (`env:`, `file:`).

    Raises:
        VaultError: VAULT_ADDR is no address.
    """

    def __init__(self, settings: VaultSettings, own_secret: Callable[[str], str]) -> None:
        self._settings = settings.with_environment()
        self._connection = Connection(self._settings, own_secret)
        self._known: dict[object, _Known] = {}
        self._mounts: dict[Place, _Mount] = {}
        self._failure: tuple[float, VaultUnavailableError] | None = None

    def __repr__(self) -> str:
        return f"VaultClient({self._settings.host})"

    def entry(
        self, path: str, *, namespace: str | None = None, fresh: bool = False
    ) -> dict[str, Any]:
        """All keys of an entry of a key-value engine, version 1 or 2.

        Args:
            path: mount and path, such as `secret/locutus/db`, without the `data/` of version 2; or
                the reference system's `namespace:/rootpath/databases/locutus`.
            namespace: takes the place of the one in `path`, and of that of the settings.
            fresh: ask Vault, however recently that has been done.

        Raises:
            VaultMissingError: there is no such engine or entry.
            VaultDeniedError: Vault does not allow it.
            VaultUnavailableError: Vault does not answer, after bounded retries.
            VaultError: the path cannot be read, or Vault cannot be asked as it is set up.
        """
        place = parse_place(path)
        if namespace is not None:
            place = Place(namespace.strip("/"), place.path)
        return dict(self._remembered(place, lambda: self._read(place), fresh=fresh))

    def value(self, reference: str, *, fresh: bool = False) -> str:
        """One key of an entry, as text: what `vault:mount/path#key` stands for.

        `#outer.inner` leads into a key that holds a whole configuration as JSON, YAML or a mapping,
        as the reference system keeps them.

        What is no text in Vault is given as JSON.

        Raises:
            VaultError: see `entry`; also where the entry has no such key, or nothing under it.
        """
        place, key = parse_named(reference)
        entry = self._remembered(place, lambda: self._read(place), fresh=fresh)
        if key not in entry:
            entry, key = _inside(entry, key)
        if key not in entry:
            raise VaultMissingError(
                f"The entry {place} in Vault at {self._settings.host} has no key '{key}'.",
                "Correct the reference, or add the key to the entry.",
            )
        value = entry[key]
        if value is None or value == "":
            raise VaultMissingError(
                f"The key '{key}' of the entry {place} in Vault at {self._settings.host} is empty.",
                "Write the secret to it.",
            )
        return value if isinstance(value, str) else json.dumps(value)

    def key_ring(self, reference: str, *, fresh: bool = False) -> str:
        """The text of a key ring made by the transit engine: what `transit:mount/key#name` is.

        Each version of the transit key gives the secret of the same version: the HMAC-SHA-256, by
        Vault, of a constant text and the ring's name. The transit key itself stays in Vault.

        Raises:
            VaultError: see `entry`; there is no such key, or none of its versions may be used.
        """
        place, name = parse_named(reference)
        ring: str = self._remembered((place, name), lambda: self._derive(place, name), fresh=fresh)
        return ring

    def _remembered(self, what: object, fetch: Callable[[], Any], *, fresh: bool) -> Any:
        """The answer at hand if it is young enough, or a new one, for all who wait for it."""
        now = time.monotonic()
        # Whoever wants it fresh takes nothing that was asked for before.
        oldest = now if fresh else now - self._settings.refresh

        def at_hand() -> bool:
            return what in self._known and self._known[what].asked_at >= oldest

        if not at_hand():
            with self._connection.lock:
                # While this thread waited, another may have asked the same, or met a closed door.
                if not at_hand():
                    if self._failure and self._failure[0] >= now:
                        raise VaultUnavailableError(self._failure[1].message, self._failure[1].hint)
                    self._fetch(what, fetch)
        return self._known[what].value

    def _fetch(self, what: object, fetch: Callable[[], Any]) -> None:
        asked_at = time.monotonic()
        try:
            self._known[what] = _Known(fetch(), asked_at)
        except VaultUnavailableError as error:
            self._failure = (time.monotonic(), error)
            raise

    def _read(self, place: Place) -> dict[str, Any]:
        mount = self._mount_of(place)
        path = place.path[len(mount.path) :].strip("/")
        if not path:
            raise VaultMissingError(
                f"{place} is an engine in Vault at {self._settings.host}, and no entry.",
                "Add the entry's path.",
            )

        def question(client: Any) -> Any:
            if mount.version == 1:
                return client.secrets.kv.v1.read_secret(path, mount_point=mount.path)
            return client.secrets.kv.v2.read_secret_version(
                path, mount_point=mount.path, raise_on_deleted_version=False
            )

        hint = "Correct the path, or write the entry."
        within = path if mount.version == 1 else f"data/{path}"
        try:
            data = data_of(self._ask(question, place, f"read on {mount.path}/{within}"))
        except VaultMissingError:
            self._mounts.pop(place, None)  # the engine may have been moved
            if mount.version != 1 and path.startswith("data/"):
                hint = "Leave out data/ behind the mount: it is added by itself."
            data = {}
        else:
            if mount.version == 1:
                return data
            if "data" in data and data["data"] is None:
                hint = "Its latest version has been deleted: undelete it, or write it anew."
        if isinstance(data.get("data"), dict):
            entry: dict[str, Any] = data["data"]
            return entry
        raise VaultMissingError(
            f"There is no entry {place} in Vault at {self._settings.host}.", hint
        )

    def _mount_of(self, place: Place) -> _Mount:
        """The engine that serves a path; of several that fit, Vault takes the longest."""
        if place in self._mounts:
            return self._mounts[place]
        # Where Vault will not tell, the settings may know the version; then the mount is one word.
        version = self._settings.kv_version
        url = f"/v1/sys/internal/ui/mounts/{quote(place.path)}"
        try:
            told = data_of(
                self._ask(
                    lambda client: client.adapter.get(url),
                    place,
                    "something there; or there is no such engine",
                )
            )
        except (VaultDeniedError, VaultMissingError) as error:
            if version is None or (isinstance(error, VaultDeniedError) and error.of_token):
                raise
            found = _Mount(place.path.partition("/")[0], version)
        else:
            path = str(told.get("path", "")).strip("/")
            if not f"{place.path}/".startswith(f"{path}/"):
                raise unlike_vault()
            if told.get("type") not in ("kv", "generic"):
                raise VaultError(
                    f"The engine of {place} in Vault at {self._settings.host} keeps no entries.",
                    "A vault: reference leads to a key-value engine; see transit: for the other.",
                )
            options = told.get("options") or {}
            found = _Mount(path, version or (2 if options.get("version") == "2" else 1))
        self._mounts[place] = found
        return found

    def _derive(self, place: Place, name: str) -> str:
        mount, _, key = place.path.rpartition("/")
        text = base64.b64encode(f"{_RING}{name}".encode()).decode("ascii")
        told = data_of(
            self._ask(
                lambda client: client.secrets.transit.read_key(key, mount_point=mount),
                place,
                f"read on {mount}/keys/{key}",
            )
        )
        first = max(
            1,
            *(
                int(told.get(f"min_{what}_version") or 0)
                for what in ("available", "decryption", "encryption")
            ),
        )

        def digest(version: int) -> str:
            answer = self._ask(
                lambda client: client.secrets.transit.generate_hmac(
                    key, text, key_version=version, algorithm="sha2-256", mount_point=mount
                ),
                place,
                f"update on {mount}/hmac/{key}",
            )
            return _digest(data_of(answer).get("hmac"), version)

        latest = int(told.get("latest_version") or 0)
        lines = [f"{version} {digest(version)}\n" for version in range(first, latest + 1)]
        if not lines:
            raise VaultMissingError(
                f"No version of the transit key {place} in Vault at {self._settings.host} may be "
                "used.",
                "Lower its min_decryption_version and min_encryption_version.",
            )
        return "".join(lines)

    def _ask(self, question: Callable[[Any], Any], place: Place, wanted: str) -> Any:
        """Ask Vault; a no becomes an error that names the path and what a policy would need."""
        host = self._settings.host
        try:
            return self._connection.ask(question, namespace=place.namespace)
        except Refused as refusal:
            why = refusal.why
        if why == "token":
            raise VaultDeniedError(
                f"Vault at {host} refuses the token that vault.token leads to, asked for {place}: "
                "it has expired, has been revoked, or never was one.",
                "Issue a new one, with a period so that it can be renewed for ever.",
                of_token=True,
            )
        if why == "denied":
            raise VaultDeniedError(
                f"Vault at {host} does not allow {place} to be read.",
                f"Its policy for Locutus has to grant {wanted}.",
            )
        raise VaultMissingError(
            f"There is no {place} in Vault at {host}.",
            "Correct the reference; check the namespace, the mount and the spelling.",
        )


def _inside(entry: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """Where `outer.inner` leads; what was given, where `outer` holds no keys."""
    for at, sign in enumerate(key):
        if sign != "." or key[:at] not in entry:
            continue
        content = entry[key[:at]]
        if isinstance(content, str):
            try:
                content = yaml.safe_load(content)  # JSON is YAML, too
            except (yaml.YAMLError, RecursionError, ValueError):
                continue
        if isinstance(content, dict) and key[at + 1 :] in content:
            return content, key[at + 1 :]
    return entry, key


def _digest(answer: Any, version: int) -> str:
    """The hexadecimal digits of Vault's `vault:v1:<base64>`."""
    prefix = f"vault:v{version}:"
    if isinstance(answer, str) and answer.startswith(prefix):
        try:
            digest = base64.b64decode(answer[len(prefix) :], validate=True)
        except binascii.Error:
            digest = b""
        if len(digest) == 32:
            return digest.hex()
    raise unlike_vault()
