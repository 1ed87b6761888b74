"""A home folder with a settings file of the test's own, and an environment that says nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from locutus_dagster.settings import FaultySettingsError, load_settings


class Home:
    """Where `locutus.yaml` lies."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "locutus.yaml"

    def write(self, text: str) -> Path:
        """Write the settings file."""
        self.file.write_text(text, encoding="utf-8")
        return self.file

    def faults(self) -> list[str]:
        """The lines that loading is refused with."""
        with pytest.raises(FaultySettingsError) as refusal:
            load_settings()
        return [str(fault) for fault in refusal.value.faults]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home folder, in which the test also works."""
    for name in list(os.environ):
        if name.lower().startswith(("locutus_", "vault_")) or name == "PATH_TO_CONFIG":
            monkeypatch.delenv(name)
    root = tmp_path / "home"
    root.mkdir()
    monkeypatch.setenv("LOCUTUS_HOME", str(root))
    monkeypatch.chdir(tmp_path)
    return Home(root)
