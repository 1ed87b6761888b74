"""docs/migrating.md shows what really comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from locutus_dagster.reference_config.layer import imported
from locutus_dagster.reference_config.writing import settings_text
from locutus_dagster_tests.reference_config.fakes import FakeVault

PAGE = Path(__file__).parents[2] / "docs" / "migrating.md"


def test_the_page_shows_what_the_import_says_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    old, new = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    shown = re.findall(r"```console\n\$ locutus config import(.*?)```", text, re.DOTALL)[0]
    (tmp_path / "config.yaml").write_text(old, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    variables = {"VAULT_ADDR": "https://vault.example", "VAULT_TOKEN": "hush"}
    found = imported("config.yaml", None, variables, open_vault=FakeVault)
    assert settings_text(found, "config.yaml") == new
    rows = {line.split()[0]: " ".join(line.split()) for line in shown.splitlines() if line.strip()}
    for fate in found.fates:
        words = ", ".join(fate.became) or fate.why
        assert rows[fate.name] == f"{fate.name} {fate.value} {fate.place} {words}"
    for note in found.notes:
        assert note in shown
