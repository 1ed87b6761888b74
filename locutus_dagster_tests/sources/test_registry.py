"""Opening a source by the name of its kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from locutus_dagster.sources.base import SourceError, StudySource
from locutus_dagster.sources.folder import FolderSource
from locutus_dagster.sources.orthanc import OrthancSource
from locutus_dagster.sources.registry import KINDS, open_source


def test_each_kind_is_opened_by_its_name(tmp_path: Path) -> None:
    orthanc = open_source("orthanc", url="http://127.0.0.1:8042", username="reader")
    folder = open_source("folder", root=tmp_path, index_path=tmp_path / "index.sqlite")
    assert isinstance(orthanc, OrthancSource)
    assert isinstance(folder, FolderSource)
    assert isinstance(folder, StudySource)
    assert set(KINDS) == {"orthanc", "folder"}


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SourceError, match=r"'pacs'.*folder, orthanc"):
        open_source("pacs")


def test_an_unknown_option_is_answered_with_the_known_ones_and_no_value() -> None:
    with pytest.raises(SourceError, match=r"pasword.*password") as caught:
        open_source("orthanc", url="http://127.0.0.1:8042", pasword="hush")
    assert "hush" not in str(caught.value)
