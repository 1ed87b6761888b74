"""Secrets and key rings out of a real OpenBao, and what is said when they cannot be had."""

from __future__ import annotations

import io
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest
import requests

from locutus_dagster.deid.identities.keys import KeyRing, new_secret, rotated
from locutus_dagster.errors import LocutusError
from locutus_dagster.secret_refs import SecretMissingError, Secrets, secrets_for
from locutus_dagster.settings import LedgerSettings, Settings
from locutus_dagster.vault import (
    VaultDeniedError,
    VaultError,
    VaultSettings,
    VaultUnavailableError,
)
from locutus_dagster_tests.parts.openbao import OpenBaoServer
from locutus_dagster_tests.vault.conftest import MakeSecrets

# Entries


def test_a_key_is_read_from_either_version_of_the_engine_wherever_that_is_mounted(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    bao.call("POST", "sys/mounts/radiology/kv/old", {"type": "kv", "options": {"version": "1"}})
    bao.call("POST", "sys/mounts/radiology/kv/new", {"type": "kv", "options": {"version": "2"}})
    bao.call("POST", "radiology/kv/old/pacs/main", {"password": "first"})
    bao.call("POST", "radiology/kv/new/data/pacs/main", {"data": {"password": "second"}})
    secrets = secrets_of()
    assert secrets.resolve("vault:radiology/kv/old/pacs/main#password") == "first"
    assert secrets.resolve("vault:/radiology/kv/new/pacs/main#password") == "second"
    told = secrets_of(kv_version=1)
    assert told.resolve("vault:radiology/kv/old/pacs/main#password") == "first"


def test_the_ledger_s_login_is_read_anew_once_it_has_been_refused(
    bao: OpenBaoServer, tmp_path: Path
) -> None:
    bao.put("secret/ledger", user="old", password="first")
    settings = Settings(
        home=tmp_path,
        vault=VaultSettings(address=bao.url, token=bao.root_token),
        ledger=LedgerSettings(
            host="db",
            name="locutus",
            user="vault:secret/ledger#user",
            password="vault:secret/ledger#password",
        ),
    )
    assert settings.ledger_address == "postgresql+psycopg2://old:first@db:5432/locutus"
    bao.put("secret/ledger", user="new", password="se/cond")
    assert settings.find_ledger() == settings.ledger_address
    assert settings.find_ledger(fresh=True) == (
        "postgresql+psycopg2://new:se%2Fcond@db:5432/locutus"
    )
    assert settings.find_ledger() == settings.find_ledger(fresh=True)


def test_what_is_no_text_in_vault_is_given_as_json(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    bao.put("secret/mixed", port=5432, on=True, config={"a": [1]}, text="plain")
    secrets = secrets_of()
    assert secrets.resolve("vault:secret/mixed#port") == "5432"
    assert secrets.read_entry("secret/mixed") == {
        "port": "5432",
        "on": "true",
        "config": '{"a": [1]}',
        "text": "plain",
    }
    entry = secrets.vault.entry("secret/mixed")
    assert entry == {"port": 5432, "on": True, "config": {"a": [1]}, "text": "plain"}
    entry.clear()
    assert secrets.vault.entry("secret/mixed")["text"] == "plain"


def test_the_references_paths_lead_into_their_namespace(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    bao.call("POST", "sys/namespaces/trig", {})
    bao.call(
        "POST",
        "sys/mounts/rootpath",
        {"type": "kv", "options": {"version": "2"}},
        namespace="trig",
    )
    bao.put("rootpath/databases/locutus", namespace="trig", db_host="db.example.org", user="me")
    secrets = secrets_of()
    assert secrets.read_entry("trig:/rootpath/databases/locutus")["db_host"] == "db.example.org"
    assert secrets.resolve("vault:trig:/rootpath/databases/locutus#user") == "me"
    path = "rootpath/databases/locutus"
    assert secrets.vault.entry(path, namespace="trig")["user"] == "me"
    # The namespace was that question's alone.
    with pytest.raises(VaultError):
        secrets.vault.entry(path)
    with pytest.raises(SecretMissingError, match="namespace"):
        secrets.read_entry("trog:/rootpath/databases/locutus")

    bao.allow("databases", "rootpath/data/databases/*", namespace="trig")
    token = bao.call("POST", "auth/token/create", {"policies": ["databases"]}, namespace="trig")[
        "auth"
    ]["client_token"]
    inside = secrets_of(namespace="trig", token=token)
    assert inside.resolve(f"vault:{path}#user") == "me"


@pytest.mark.parametrize(
    ("reference", "kind", "said"),
    [
        ("vault:secret/app/db#password", SecretMissingError, "app/db .* has no key 'password'"),
        ("vault:secret/app/db#empty", SecretMissingError, "key 'empty' of the entry .* is empty"),
        ("vault:secret/app/none#k", SecretMissingError, "no entry secret/app/none"),
        ("vault:secret/app/gone#k", SecretMissingError, "latest version has been deleted"),
        ("vault:secret/data/app/db#k", SecretMissingError, "Leave out data/"),
        ("vault:secret/other#k", VaultDeniedError, "secret/other.*read on secret/data/other"),
        ("vault:secrte/app/db#k", VaultDeniedError, "secrte/app/db.*no such engine"),
        ("vault:transit/keys/x#k", VaultError, "transit/keys/x .* keeps no entries"),
        ("transit:transit/none#ws", SecretMissingError, "no transit/none"),
        ("transit:secret/app#ws", VaultError, "secret/app"),
    ],
)
def test_what_is_not_there_or_not_allowed_is_said_with_its_path(
    bao: OpenBaoServer, secrets_of: MakeSecrets, reference: str, kind: type, said: str
) -> None:
    bao.put("secret/app/db", k="v", empty="")
    bao.put("secret/app/gone", k="v")
    bao.call("DELETE", "secret/data/app/gone")
    bao.put("secret/other", k="v")
    bao.allow("app", "secret/data/app/*", "secret/data/data/*", "transit/keys/*")
    with pytest.raises(kind, match=said) as refusal:
        secrets_of(token=bao.issue("app")).resolve(reference)
    assert isinstance(refusal.value, LocutusError)
    assert refusal.value.hint


# Rotation while a run goes on


def test_a_rotated_secret_is_seen_when_the_one_at_hand_is_old_or_is_asked_for_anew(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    patient, eager = secrets_of(refresh=600), secrets_of(refresh=0.3)
    reference = "vault:secret/rotating#password"
    bao.put("secret/rotating", password="old")
    assert (patient.resolve(reference), eager.resolve(reference)) == ("old", "old")
    bao.put("secret/rotating", password="new")
    assert (patient.resolve(reference), eager.resolve(reference)) == ("old", "old")
    time.sleep(0.35)
    assert (patient.resolve(reference), eager.resolve(reference)) == ("old", "new")
    assert patient.resolve(reference, fresh=True) == "new"
    assert patient.resolve(reference) == "new"


# Key rings


def test_a_ring_that_is_kept_as_an_entry_rotates_with_it(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    text = f"# of the study\n{new_secret()}\n"
    bao.put("secret/locutus/ws", key_ring=text)
    secrets = secrets_of()
    first = KeyRing.parse(secrets.resolve("vault:secret/locutus/ws#key_ring"))
    bao.put("secret/locutus/ws", key_ring=rotated(text))
    both = KeyRing.parse(secrets.resolve("vault:secret/locutus/ws#key_ring", fresh=True))
    assert both.key_ids[0] == first.current.key_id
    assert both.current.version == 2


def test_a_ring_of_transit_gains_a_key_by_rotation_and_keeps_the_pseudonyms_of_the_older(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    bao.call("POST", "transit/keys/rotating", {})
    bao.allow("ring", "transit/keys/rotating", "transit/hmac/rotating")
    secrets = secrets_of(token=bao.issue("ring"))
    first = KeyRing.parse(secrets.resolve("transit:transit/rotating#chd"))
    uid = first.current.uid("1.2.3")
    assert first.current.version == 1

    bao.call("POST", "transit/keys/rotating/rotate", {})
    assert KeyRing.parse(secrets.resolve("transit:transit/rotating#chd")).key_ids == first.key_ids
    text = secrets.resolve("transit:transit/rotating#chd", fresh=True)
    both = KeyRing.parse(text)
    assert both.key_ids[0] == first.current.key_id
    assert both.current.version == 2
    assert both.current.uid("1.2.3") != uid
    older = both.find(first.current.key_id)
    assert older is not None
    assert older.uid("1.2.3") == uid

    # Another process, another login: the same ring. Another name: nothing in common.
    assert secrets_of().resolve("transit:transit/rotating#chd") == text
    other = secrets_of().resolve("transit:transit/rotating#oncology")
    assert not {line.split()[1] for line in other.splitlines()} & set(text.split())


def test_a_ring_of_transit_begins_with_the_oldest_version_that_vault_still_uses(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    bao.call("POST", "transit/keys/trimmed", {})
    for _ in range(3):
        bao.call("POST", "transit/keys/trimmed/rotate", {})
    secrets = secrets_of(refresh=0)
    whole = KeyRing.parse(secrets.resolve("transit:transit/trimmed#ws"))
    config = {"min_decryption_version": 2, "min_encryption_version": 3}
    bao.call("POST", "transit/keys/trimmed/config", config)
    left = KeyRing.parse(secrets.resolve("transit:transit/trimmed#ws"))
    assert left.key_ids == whole.key_ids[2:]


def test_a_policy_without_hmac_is_told_what_it_lacks(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    bao.call("POST", "transit/keys/guarded", {})
    bao.allow("half", "transit/keys/guarded")
    with pytest.raises(VaultDeniedError, match="update on transit/hmac/guarded"):
        secrets_of(token=bao.issue("half")).resolve("transit:transit/guarded#ws")


# Vault in trouble


def test_a_sealed_vault_is_one_message_after_bounded_tries_and_works_when_unsealed(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    bao.put("secret/sealed", k="v")
    secrets = secrets_of(attempts=3)
    assert secrets.resolve("vault:secret/sealed#k") == "v"
    bao.seal()
    try:
        assert secrets.resolve("vault:secret/sealed#k") == "v"  # remembered
        began = time.monotonic()
        with pytest.raises(VaultUnavailableError) as refusal:
            secrets.resolve("vault:secret/sealed#k", fresh=True)
        assert 0.7 < time.monotonic() - began < 20
        host = bao.url.removeprefix("http://")
        assert str(refusal.value) == (
            f"Vault at {host} is sealed (asked 3 times). "
            "Ask those who hold its keys to unseal it, then run this again."
        )
        with pytest.raises(VaultUnavailableError, match="sealed"):
            secrets_of().resolve("vault:secret/sealed#k")
    finally:
        bao.unseal()
    assert secrets.resolve("vault:secret/sealed#k", fresh=True) == "v"


def test_a_vault_that_comes_back_between_two_tries_was_never_away(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    bao.put("secret/back", k="v")
    secrets = secrets_of(attempts=6)
    bao.seal()
    opener = threading.Timer(0.5, bao.unseal)
    opener.start()
    try:
        assert secrets.resolve("vault:secret/back#k") == "v"
    finally:
        opener.join()


# Secrecy


def _all_texts_of(error: BaseException | None) -> str:
    """What any logger could print of an exception, and of those behind it."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error), repr(vars(error))]
        texts.append("".join(traceback.format_exception(error)))
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def test_no_secret_is_in_any_log_line_error_repr_or_pickle(
    bao: OpenBaoServer, tmp_path: Path
) -> None:
    bao.put("secret/private/db", password="hunter2-password", config={"k": "hunter2-config"})
    bao.put("secret/forbidden", password="hunter2-forbidden")
    bao.call("POST", "transit/keys/private", {})
    bao.allow("private", "secret/data/private/*", "transit/keys/private", "transit/hmac/private")
    token = bao.issue("private")
    (tmp_path / "token").write_text(token + "\n")
    stream = io.StringIO()
    root, handler = logging.getLogger(), logging.StreamHandler(stream)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    errors: list[BaseException] = []
    try:
        settings = VaultSettings(address=bao.url, token=f"file:{tmp_path / 'token'}", attempts=1)
        secrets = Secrets(settings)
        ring = secrets.resolve("transit:transit/private#ws")
        assert secrets.resolve("vault:secret/private/db#password") == "hunter2-password"
        for reference in (
            "vault:secret/private/db#none",
            "vault:secret/private/none#k",
            "vault:secret/forbidden#password",
            "vault:hunter2-pasted",
            "transit:hunter2-pasted",
            "transit:transit/other#ws",
        ):
            with pytest.raises(LocutusError) as refusal:
                secrets.resolve(reference)
            errors.append(refusal.value)
        bao.call("POST", "auth/token/revoke", {"token": token})
        with pytest.raises(VaultDeniedError) as refusal_of_token:
            secrets.resolve("vault:secret/private/db#password", fresh=True)
        errors.append(refusal_of_token.value)
        (tmp_path / "token").write_text("hunter2-\u00e9t\u00e9\nand more")
        with pytest.raises(VaultError) as stray:
            secrets.resolve("vault:secret/private/db#password", fresh=True)
        errors.append(stray.value)
        logging.getLogger("locutus_dagster").debug("heard")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    logged = stream.getvalue()
    assert "heard" in logged
    assert "/v1/" not in logged  # what urllib3 and hvac would say
    shown = [logged, repr(secrets), repr(secrets.vault), repr(settings)]
    shown += [repr(pickle.dumps(secrets)), repr(pickle.dumps(settings))]
    shown += [_all_texts_of(error) for error in errors]
    for secret in ("hunter2", token, *(line.split()[1] for line in ring.splitlines())):
        assert not [text for text in shown if secret in text]


def test_the_transit_key_never_leaves_vault(bao: OpenBaoServer) -> None:
    bao.call("POST", "transit/keys/kept", {})
    for kind in ("encryption-key", "hmac-key"):
        with pytest.raises(requests.HTTPError, match="400"):
            bao.call("GET", f"transit/export/{kind}/kept")


# Processes


def test_a_process_has_one_connection_to_a_vault_and_another_process_makes_its_own(
    bao: OpenBaoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bao.put("secret/processes", k="v")
    monkeypatch.setenv("VAULT_ADDR", bao.url)
    monkeypatch.setenv("VAULT_TOKEN", bao.root_token)
    secrets = secrets_for(VaultSettings())
    assert secrets is secrets_for(VaultSettings())
    assert pickle.loads(pickle.dumps(secrets)) is secrets
    assert secrets.resolve("vault:secret/processes#k") == "v"

    program = (
        "import pickle, sys; "
        "print(pickle.load(sys.stdin.buffer).resolve('vault:secret/processes#k'))"
    )
    spawned = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(secrets),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert spawned.stdout.split() == [b"v"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_is_not_held_up_by_what_its_parent_was_about(
    bao: OpenBaoServer, secrets_of: MakeSecrets
) -> None:
    bao.put("secret/forked", k="v")
    secrets = secrets_of()
    assert secrets.resolve("vault:secret/forked#k") == "v"
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with secrets.vault._connection.lock:
            held.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(5)
    child = os.fork()
    if not child:
        try:
            os._exit(0 if secrets.resolve("vault:secret/forked#k", fresh=True) == "v" else 1)
        finally:
            os._exit(2)
    deadline = time.monotonic() + 10
    try:
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, 9)
            time.sleep(0.02)
    finally:
        done.set()
        holder.join()
    assert os.waitstatus_to_exitcode(ended[1]) == 0
