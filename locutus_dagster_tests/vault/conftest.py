"""One OpenBao for the tests of a file, and what Locutus sees of it.

What belongs here: fixtures of this room. What does not: how the server is started
(`parts/openbao.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.vault import VaultSettings
from locutus_dagster_tests.parts.openbao import OpenBaoServer

MakeSecrets = Callable[..., Secrets]


@pytest.fixture(autouse=True)
def _no_vault_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("VAULT_", "BAO_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[OpenBaoServer]:
    folder: Path = tmp_path_factory.mktemp("bao")
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = folder / "server.pem", folder / "server.key"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    with OpenBaoServer(folder, certificate=(certificate, key)) as server:
        server.call("POST", "sys/mounts/transit", {"type": "transit"})
        yield server


@pytest.fixture
def secrets_of(bao: OpenBaoServer) -> MakeSecrets:
    """Make `Secrets` for the server: as root, quick to give up, unless told otherwise."""

    def make(**settings: object) -> Secrets:
        given = {"address": bao.url, "token": bao.root_token, "attempts": 2, "timeout": 5.0}
        return Secrets(VaultSettings(**{**given, **settings}))  # type: ignore[arg-type]

    return make
