"""What is made of answers that a healthy Vault does not give, and of none."""

from __future__ import annotations

import json
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.vault import VaultSettings, VaultUnavailableError
from locutus_dagster_tests.parts import free_port
from locutus_dagster_tests.vault.answering import AnsweringServer


def test_all_who_wait_for_an_unreachable_vault_hear_of_it_at_once() -> None:
    port = free_port()
    settings = VaultSettings(address=f"http://127.0.0.1:{port}", token="t0ken", attempts=3)
    secrets = Secrets(settings)
    began = time.monotonic()

    def ask(number: int) -> str:
        with pytest.raises(VaultUnavailableError) as refusal:
            secrets.resolve(f"vault:secret/{number}#k")
        return str(refusal.value)

    with ThreadPoolExecutor(12) as pool:
        said = set(pool.map(ask, range(12)))
    assert time.monotonic() - began < 10  # and not twelve times as long as one alone
    assert len(said) == 1
    assert f"Vault at 127.0.0.1:{port} cannot be reached (asked 3 times)." in said.pop()


def test_threads_that_want_the_same_secret_ask_for_it_once() -> None:
    def answer(path: str, _: Any) -> tuple[int, bytes]:
        time.sleep(0.1)
        if "lookup-self" in path:
            return 200, b'{"data": {"ttl": 0, "renewable": false}}'
        if "ui/mounts" in path:
            return 200, b'{"data": {"path": "kv/", "type": "kv", "options": null}}'
        return 200, b'{"data": {"k": "v"}}'

    with AnsweringServer(answer) as server, ThreadPoolExecutor(8) as pool:
        secrets = Secrets(VaultSettings(address=server.url, token="t0ken"))
        assert set(pool.map(secrets.resolve, ["vault:kv/a#k"] * 8)) == {"v"}
        assert server.asked.count("/v1/kv/a") == 1


@pytest.mark.parametrize("content", [b"<html>Welcome to nginx!</html>", b"[]", b'{"data": null}'])
def test_something_that_is_not_vault_is_seen_as_such(content: bytes) -> None:
    with AnsweringServer(lambda *_: (200, content)) as server:
        secrets = Secrets(VaultSettings(address=server.url, token="t0ken", attempts=1))
        with pytest.raises(VaultUnavailableError, match="does not answer like Vault"):
            secrets.resolve("vault:secret/a#k")


def test_an_answer_in_error_is_asked_for_again_and_never_quoted() -> None:
    body = json.dumps({"errors": ["cannot store hunter2"]}).encode()
    with AnsweringServer(lambda *_: (500, body)) as server:
        secrets = Secrets(VaultSettings(address=server.url, token="t0ken", attempts=2))
        with pytest.raises(VaultUnavailableError, match="in trouble") as refusal:
            secrets.resolve("vault:secret/a#k")
        assert len(server.asked) == 2
    assert "hunter2" not in "".join(traceback.format_exception(refusal.value))
