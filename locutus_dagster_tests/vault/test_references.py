"""The language of references, and of the settings that say how Vault is reached."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from locutus_dagster.secret_refs import SecretMissingError, Secrets, resolve_secret
from locutus_dagster.vault import VaultError, VaultSettings
from locutus_dagster.vault.references import Place, parse_named, parse_place

SEGMENT = st.text(
    st.characters(codec="utf-8", exclude_characters="/#:", exclude_categories=["C", "Z"]),
    min_size=1,
    max_size=12,
).filter(lambda text: text not in (".", ".."))
PATH = st.lists(SEGMENT, min_size=2, max_size=5).map("/".join)
NAMESPACE = st.none() | st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)
KEY = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)


@given(NAMESPACE, PATH, KEY)
def test_what_is_written_by_the_rules_is_read_as_it_was_meant(
    namespace: str | None, path: str, key: str
) -> None:
    place = Place(namespace, path)
    assert parse_named(f"{place}#{key}") == (place, key)
    assert parse_place(f"/{path}/" if namespace is None else f"{place}/") == place


@given(st.text(max_size=60) | st.text("ab./:# \n\0", max_size=30))
@example("hunter2")
@example("secret/../sys/raw#key")
@example("a/b#")
@example(":/a/b#c")
def test_anything_else_is_refused_without_being_quoted_and_never_leads_astray(text: str) -> None:
    refusal = None
    try:
        place, name = parse_named(text)
    except VaultError as error:
        refusal = error
    if refusal is not None:
        assert "vault:mount/path#key" in refusal.hint
        for quoted in (text, *text.split("#")):
            assert len(quoted) < 6 or quoted not in str(refusal)
        return
    segments = [*place.path.split("/"), *(place.namespace or "x").split("/")]
    assert all(part and part not in (".", "..") and part.isprintable() for part in segments)
    assert len(place.path.split("/")) >= 2
    assert name.strip()
    assert parse_named(f"{place}#{name}") == (place, name)


def test_a_malformed_reference_is_an_error_before_vault_is_asked() -> None:
    with pytest.raises(VaultError, match="cannot be read"):
        Secrets(VaultSettings()).resolve("vault:secret/db")


def test_a_reference_into_vault_is_no_secret_where_vault_is_not_asked() -> None:
    with pytest.raises(SecretMissingError, match="vault: reference"):
        resolve_secret("vault:secret/db#password")


def test_a_secret_in_vault_without_any_address_says_where_to_write_one() -> None:
    with pytest.raises(VaultError, match=r"vault\.address.*VAULT_ADDR"):
        Secrets(VaultSettings()).resolve("vault:secret/db#password")


def test_what_opens_vault_is_named_where_it_is_missing() -> None:
    secrets = Secrets(VaultSettings(address="http://127.0.0.1:1", token="env:NO_SUCH_TOKEN"))
    with pytest.raises(SecretMissingError, match="env:NO_SUCH_TOKEN is not set"):
        secrets.resolve("vault:secret/db#password")


def test_who_reads_settings_does_not_wait_for_the_libraries_of_vault() -> None:
    program = (
        "import sys, locutus_dagster.settings; "
        "print({'hvac', 'requests', 'tenacity'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split() == [b"set()"]


def test_an_address_in_the_environment_that_is_none_matters_only_to_those_who_ask_vault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VAULT_ADDR", "https://me:hunter2@vault.example.org")
    secrets = Secrets(VaultSettings())
    assert secrets.resolve("hush") == "hush"
    with pytest.raises(VaultError, match="VAULT_ADDR is not an address") as refusal:
        secrets.resolve("vault:secret/db#password")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"address": "vault.example.org:8200"}, "not an address"),
        ({"address": "https://me:hunter2@vault.example.org"}, "not an address"),
        ({"address": "https://vault.example.org:99999"}, "not an address"),
        ({"token": "vault:secret/token#it"}, "cannot lie in Vault"),
        ({"auth": "approle"}, "needs a role_id"),
        ({"auth": "kubernetes"}, "needs a role"),
    ],
)
def test_settings_that_cannot_open_vault_are_refused(
    settings: dict[str, object], fault: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        VaultSettings(**settings)  # type: ignore[arg-type]
    assert fault in refusal.value.errors()[0]["msg"]
