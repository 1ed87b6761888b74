"""Opening a source, or a target, by the name of its kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import (
    DicomWebSourceSettings,
    FolderSourceSettings,
    OrthancSourceSettings,
    OtherSourceSettings,
    OtherTargetSettings,
    ShareTargetSettings,
    VaultSettings,
)
from locutus_dagster.sources.base import SourceContext, SourceError, StudySource
from locutus_dagster.sources.dicomweb import DicomWebSource
from locutus_dagster.sources.folder import FolderSource
from locutus_dagster.sources.orthanc import OrthancSource
from locutus_dagster.sources.registry import open_source
from locutus_dagster.targets import TargetContext, TargetError
from locutus_dagster.targets.registry import open_target
from locutus_dagster.targets.share import ShareTarget

SECRETS = Secrets(VaultSettings())


def test_each_kind_of_source_is_opened_by_its_name(tmp_path: Path) -> None:
    context = SourceContext("default", tmp_path, SECRETS)
    opened = [
        open_source(OrthancSourceSettings(url="http://127.0.0.1:8042"), context),
        open_source(FolderSourceSettings(path=tmp_path), context),
        open_source(DicomWebSourceSettings(url="http://127.0.0.1:8042/dicom-web"), context),
    ]
    assert [type(one) for one in opened] == [OrthancSource, FolderSource, DicomWebSource]
    assert all(isinstance(one, StudySource) for one in opened)


def test_a_target_has_the_name_that_the_workspace_gave_it(tmp_path: Path) -> None:
    target = open_target(ShareTargetSettings(path=tmp_path), TargetContext("w", "mirror", SECRETS))
    assert (type(target), target.name) == (ShareTarget, "mirror")


def test_an_unknown_kind_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    source = OtherSourceSettings(kind="pacs")
    with pytest.raises(SourceError, match=r"'pacs'.*dicomweb, folder, orthanc"):
        open_source(source, SourceContext("w", tmp_path, SECRETS))
    with pytest.raises(TargetError, match=r"'ftp'.*gcs, s3, share"):
        open_target(OtherTargetSettings(kind="ftp"), TargetContext("w", "away", SECRETS))
