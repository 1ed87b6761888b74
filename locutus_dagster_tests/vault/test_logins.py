"""Getting into a real OpenBao, and staying in: tokens, AppRole, Kubernetes, TLS."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from locutus_dagster.secret_refs import SecretMissingError, Secrets
from locutus_dagster.vault import VaultDeniedError, VaultError, VaultSettings, VaultUnavailableError
from locutus_dagster_tests.parts import free_port, wait_until
from locutus_dagster_tests.parts.openbao import OpenBaoServer
from locutus_dagster_tests.vault.answering import AnsweringServer
from locutus_dagster_tests.vault.conftest import MakeSecrets
from locutus_dagster_tests.vault.reviewing import (
    NAMESPACE,
    REVIEWER,
    SERVICE_ACCOUNT,
    review_server,
    service_account_token,
)

REFERENCE = "vault:secret/app/db#password"


@pytest.fixture(scope="module", autouse=True)
def _something_to_read(bao: OpenBaoServer) -> None:
    bao.put("secret/app/db", password="it")
    bao.allow("app", "secret/data/app/*")


class Role:
    """An AppRole: what an administrator does with it, and the files that Locutus reads."""

    def __init__(self, bao: OpenBaoServer, folder: Path, name: str, **how: object) -> None:
        self._bao = bao
        self._name = name
        self._folder = folder
        if "approle/" not in bao.call("GET", "sys/auth")["data"]:
            bao.call("POST", "sys/auth/approle", {"type": "approle"})
        bao.call("POST", f"auth/approle/role/{name}", {"token_policies": ["app"], **how})
        role_id = bao.call("GET", f"auth/approle/role/{name}/role-id")["data"]["role_id"]
        (folder / "role_id").write_text(role_id)
        self.new_secret()

    def new_secret(self) -> None:
        """Write another secret_id to the file, as a deployment does that rotates it."""
        answer = self._bao.call("POST", f"auth/approle/role/{self._name}/secret-id", {})
        (self._folder / "secret_id").write_text(answer["data"]["secret_id"])

    @property
    def settings(self) -> dict[str, object]:
        return {
            "auth": "approle",
            "role_id": f"file:{self._folder / 'role_id'}",
            "secret_id": f"file:{self._folder / 'secret_id'}",
            "refresh": 0,
        }

    def revoke_tokens(self) -> None:
        self._bao.call("PUT", "sys/leases/revoke-prefix/auth/approle/login", {})


def test_the_names_of_hashicorps_tools_are_enough(
    bao: OpenBaoServer, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("VAULT_ADDR", bao.tls_url)
    monkeypatch.setenv("VAULT_TOKEN", bao.root_token)
    monkeypatch.setenv("VAULT_CACERT", str(tmp_path / "ca.pem"))
    assert Secrets(VaultSettings()).resolve(REFERENCE) == "it"
    monkeypatch.setenv("VAULT_NAMESPACE", "nowhere")
    with pytest.raises(SecretMissingError, match="namespace"):
        Secrets(VaultSettings()).resolve(REFERENCE)


def test_a_certificate_of_an_unknown_authority_is_refused_at_once(
    bao: OpenBaoServer, secrets_of: MakeSecrets, tmp_path: Path
) -> None:
    began = time.monotonic()
    with pytest.raises(VaultError, match=r"not trusted.*vault\.verify"):
        secrets_of(address=bao.tls_url, attempts=9).resolve(REFERENCE)
    assert time.monotonic() - began < 10  # nine attempts would take longer
    with pytest.raises(VaultError, match=r"authorities.*cannot be read"):
        secrets_of(address=bao.tls_url, verify=tmp_path / "none.pem").resolve(REFERENCE)


def test_proxies_of_the_environment_are_passed_by_unless_the_settings_want_them(
    secrets_of: MakeSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert secrets_of().resolve(REFERENCE) == "it"
    with pytest.raises(VaultUnavailableError, match="cannot be reached"):
        secrets_of(use_proxies=True).resolve(REFERENCE)


def test_a_token_that_vault_does_not_know_is_told_from_a_policy_that_forbids(
    secrets_of: MakeSecrets, bao: OpenBaoServer
) -> None:
    with pytest.raises(VaultDeniedError, match=r"refuses the token that vault\.token leads to"):
        secrets_of(token="never-one").resolve(REFERENCE)
    with pytest.raises(VaultDeniedError, match="does not allow secret/other"):
        secrets_of(token=bao.issue("app")).resolve("vault:secret/other#k")


def test_a_token_that_may_not_ask_about_itself_reads_what_it_may(
    secrets_of: MakeSecrets, bao: OpenBaoServer
) -> None:
    token = bao.issue("app", no_default_policy=True, ttl="60s")
    assert secrets_of(token=token).resolve(REFERENCE) == "it"


def test_a_token_that_is_exchanged_in_its_file_is_taken_up(
    secrets_of: MakeSecrets, bao: OpenBaoServer, tmp_path: Path
) -> None:
    file, first = tmp_path / "token", bao.issue("app")
    file.write_text(first)
    secrets = secrets_of(token=f"file:{file}", refresh=0)
    assert secrets.resolve(REFERENCE) == "it"
    file.write_text(bao.issue("app"))
    bao.call("POST", "auth/token/revoke", {"token": first})
    assert secrets.resolve(REFERENCE) == "it"


def test_tokens_are_renewed_while_nobody_asks_for_anything(
    bao: OpenBaoServer, secrets_of: MakeSecrets, tmp_path: Path
) -> None:
    """A given one by its period, and that of a role whose secret_id was good for one login."""
    given = bao.issue("app", period="3s")
    role = Role(bao, tmp_path, "once", token_period="3s", secret_id_num_uses=1)
    periodic, once = secrets_of(token=given, refresh=0), secrets_of(**role.settings)
    assert (periodic.resolve(REFERENCE), once.resolve(REFERENCE)) == ("it", "it")
    time.sleep(4.0)
    bao.call("GET", "auth/token/lookup-self", token=given)  # it would raise
    assert (periodic.resolve(REFERENCE), once.resolve(REFERENCE)) == ("it", "it")


def test_a_token_at_its_final_end_is_followed_by_a_new_login(
    bao: OpenBaoServer, secrets_of: MakeSecrets, tmp_path: Path
) -> None:
    role = Role(bao, tmp_path, "short", token_ttl="1s", token_max_ttl="2s")
    secrets = secrets_of(**role.settings)
    ends = time.monotonic() + 3
    while time.monotonic() < ends:
        assert secrets.resolve(REFERENCE) == "it"
        time.sleep(0.1)


def test_a_renewal_that_grants_little_is_followed_by_a_login_before_anything_is_refused() -> None:
    def answer(path: str, _: Any) -> tuple[int, bytes]:
        if "renew-self" in path:
            return 200, b'{"auth": {"lease_duration": 0.5, "renewable": true}}'
        if "login" in path:
            return 200, b'{"auth": {"client_token": "a", "lease_duration": 2, "renewable": true}}'
        if "ui/mounts" in path:
            return 200, b'{"data": {"path": "kv/", "type": "kv", "options": null}}'
        return 200, b'{"data": {"password": "it"}}'

    with AnsweringServer(answer) as server:
        role: dict[str, Any] = {"auth": "approle", "role_id": "role"}
        secrets = Secrets(VaultSettings(address=server.url, **role))
        assert secrets.resolve("vault:kv/app#password") == "it"
        wait_until(lambda: len(server.asked) == 5, 10, "renewal and login")
    told = [path.rpartition("/")[2] for path in server.asked]
    assert told == ["login", "app", "app", "renew-self", "login"]


def test_a_given_token_at_its_final_end_says_that_a_new_one_is_needed(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    secrets = secrets_of(token=bao.issue("app", ttl="1s", renewable=False), refresh=0)
    assert secrets.resolve(REFERENCE) == "it"
    time.sleep(1.2)
    with pytest.raises(VaultDeniedError, match=r"expired.*Issue a new one"):
        secrets.resolve(REFERENCE)


def test_a_role_logs_in_again_with_its_exchanged_secret_when_its_token_is_revoked(
    bao: OpenBaoServer, secrets_of: MakeSecrets, tmp_path: Path
) -> None:
    role = Role(bao, tmp_path, "rotating", secret_id_num_uses=1)
    secrets = secrets_of(**role.settings)
    assert secrets.resolve(REFERENCE) == "it"
    role.new_secret()
    role.revoke_tokens()
    assert secrets.resolve(REFERENCE) == "it"
    role.revoke_tokens()
    with pytest.raises(VaultDeniedError, match=r"login at auth/approle.*secret_id") as refusal:
        secrets.resolve(REFERENCE)
    assert (tmp_path / "secret_id").read_text() not in str(refusal.value)


def test_a_role_may_ask_for_no_secret_and_the_method_may_be_mounted_elsewhere(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    bao.call("POST", "sys/auth/on-prem/roles", {"type": "approle"})
    how = {"token_policies": ["app"], "bind_secret_id": False, "secret_id_bound_cidrs": []}
    how["token_bound_cidrs"] = ["127.0.0.1/32"]
    bao.call("POST", "auth/on-prem/roles/role/open", how)
    role_id = bao.call("GET", "auth/on-prem/roles/role/open/role-id")["data"]["role_id"]
    settings: dict[str, object] = {"auth": "approle", "role_id": role_id}
    assert secrets_of(**settings, auth_mount="on-prem/roles").resolve(REFERENCE) == "it"
    with pytest.raises(VaultDeniedError, match="auth/nowhere"):
        secrets_of(**settings, auth_mount="nowhere").resolve(REFERENCE)


def test_a_pod_logs_in_with_the_service_account_token_that_its_file_holds_by_then(
    bao: OpenBaoServer, secrets_of: MakeSecrets, authority: trustme.CA, tmp_path: Path
) -> None:
    first, second = service_account_token(1), service_account_token(2)
    known, file = {first}, tmp_path / "jwt"
    file.write_text(first)
    with review_server(known) as kubernetes:
        bao.call("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
        config = {
            "kubernetes_host": kubernetes.url,
            "token_reviewer_jwt": REVIEWER,
            "disable_local_ca_jwt": True,
            "kubernetes_ca_cert": authority.cert_pem.bytes().decode(),
        }
        bao.call("POST", "auth/kubernetes/config", config)
        role = {
            "bound_service_account_names": [SERVICE_ACCOUNT],
            "bound_service_account_namespaces": [NAMESPACE],
            "token_policies": ["app"],
            "token_ttl": "1s",
            "token_max_ttl": "1s",
        }
        bao.call("POST", "auth/kubernetes/role/locutus", role)
        settings: dict[str, object] = {"auth": "kubernetes", "role": "locutus", "refresh": 0}
        secrets = secrets_of(**settings, jwt=f"file:{file}")
        assert secrets.resolve(REFERENCE) == "it"
        # As Kubernetes does it: the file holds a new token, and the older one is no more good.
        file.write_text(second)
        known.clear()
        known.add(second)
        reviews = len(kubernetes.asked)
        time.sleep(1.2)
        assert secrets.resolve(REFERENCE) == "it"
        wait_until(lambda: len(kubernetes.asked) > reviews, 5, "another review")
        known.clear()
        with pytest.raises(VaultDeniedError, match=r"login at auth/kubernetes.*service account"):
            secrets_of(**settings, jwt=f"file:{file}").resolve(REFERENCE)
