"""Secret references: where they lead, and what is said, without the secret, when they do not."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from locutus_dagster.secret_refs import SecretMissingError, resolve_secret


def test_a_reference_to_the_environment_is_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_PASSWORD", "hush: hush")
    assert resolve_secret("env:PACS_PASSWORD") == "hush: hush"


@pytest.mark.parametrize("content", ["hush", "hush\n", "hush\r\n", "hush\n\n"])
def test_a_reference_to_a_file_is_its_content_without_the_end_of_the_line(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content.encode())
    assert resolve_secret(f"file:{path}") == "hush"


def test_a_file_in_the_home_folder_may_be_named_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "secret").write_text(" hush ")
    assert resolve_secret("file:~/secret") == " hush "


@pytest.mark.parametrize("value", ["hush", "hush:hush", "", "vaulted:x"])
def test_anything_else_is_the_secret_itself(value: str) -> None:
    assert resolve_secret(value) == value


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_unset_or_empty_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("PACS_PASSWORD", raising=False)
    if value is not None:
        monkeypatch.setenv("PACS_PASSWORD", value)
    with pytest.raises(SecretMissingError, match=r"env:PACS_PASSWORD is not set.*Export"):
        resolve_secret("env:PACS_PASSWORD")


def test_a_reference_to_a_variable_without_a_name_is_an_error() -> None:
    with pytest.raises(SecretMissingError):
        resolve_secret("env:")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretMissingError, match=r"nowhere cannot be read.*mode 0600"):
        resolve_secret(f"file:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("path", ["", ".", "/", "~nobody-of-that-name/x"])
def test_a_reference_to_what_is_no_file_is_an_error(path: str) -> None:
    with pytest.raises(SecretMissingError, match="cannot be read"):
        resolve_secret(f"file:{path}")


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(SecretMissingError, match="is empty"):
        resolve_secret(f"file:{tmp_path / 'secret'}")


def test_a_file_that_is_no_text_is_an_error_that_does_not_quote_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"hush\xff\xfe")
    with pytest.raises(SecretMissingError) as refusal:
        resolve_secret(f"file:{tmp_path / 'secret'}")
    assert "hush" not in "".join(traceback.format_exception(refusal.value))
