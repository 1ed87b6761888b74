"""The example of docs/sources.md: a source of another package, found by its entry point."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from locutus_dagster import entry_points
from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import OtherSourceSettings
from locutus_dagster.sources.base import (
    SourceContext,
    SourceError,
    SourceUnavailableError,
    StudyChangedError,
    StudyIncompleteError,
    StudySource,
)
from locutus_dagster.sources.registry import GROUP, open_source
from locutus_dagster.vault.options import VaultSettings
from locutus_dagster_tests.sources.studies import (
    CollectingSink,
    digests,
    everything_said,
    instance,
    study_of,
)

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if pip had installed a package with the example."""
    package = tmp_path / "site" / "zip_per_study-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: zip-per-study\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        f"[{GROUP}]\nzip-per-study = zip_per_study:open_source\n"
    )
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.syspath_prepend(str(EXAMPLES))
    entry_points._group.cache_clear()
    yield
    entry_points._group.cache_clear()
    sys.modules.pop("zip_per_study", None)


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    exports = tmp_path / "exports"
    exports.mkdir()
    put(exports / "A1.zip", study_of("A1", 3))
    return exports


def put(path: Path, instances: list[bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number, data in enumerate(instances):
            archive.writestr(f"IM{number}", data)


def opened(tmp_path: Path, **options: object) -> StudySource:
    settings = OtherSourceSettings(kind="zip-per-study", options=options)
    return open_source(settings, SourceContext("w", tmp_path, Secrets(VaultSettings())))


@pytest.mark.usefixtures("installed")
def test_the_example_is_a_source_like_those_that_come_along(tmp_path: Path, exports: Path) -> None:
    source = opened(tmp_path, path=str(exports))
    assert isinstance(source, StudySource)
    assert source.check() == {"kind": "zip-per-study", "studies": 1}
    (study,) = source.find(" A1 ")
    assert [source.find(other) for other in ("a1", "A*", "../exports/A1")] == [[], [], []]
    sink = CollectingSink()
    receipt = source.fetch(study, sink)
    assert digests(sink.instances) == digests(study_of("A1", 3))
    assert (receipt.instances, receipt.size, receipt.fingerprint) == (
        *(study.instances, study.size, study.fingerprint),
    )
    overview = source.overview(study)
    assert (overview.series, overview.kinds) == (1, {("1.2.840.10008.5.1.4.1.1.2", "CT"): 3})
    assert len(overview.patients) == 1
    source.close()
    source.close()


@pytest.mark.usefixtures("installed")
def test_the_example_keeps_what_the_protocol_promises(tmp_path: Path, exports: Path) -> None:
    source = opened(tmp_path, path=str(exports))
    (study,) = source.find("A1")
    put(exports / "A1.zip", [*study_of("A1", 3), instance("A1", number=9)])
    with pytest.raises(StudyChangedError):
        source.fetch(study, CollectingSink())
    whole = (exports / "A1.zip").read_bytes()
    (exports / "A1.zip").write_bytes(whole[:20_000] + b"damage" + whole[20_006:])
    (study,) = source.find("A1")
    with pytest.raises(StudyIncompleteError) as caught:
        source.fetch(study, CollectingSink())
    assert "IM0" not in everything_said(caught.value)
    (exports / "A1.zip").unlink()
    for ask in (source.overview, lambda one: source.fetch(one, CollectingSink())):
        with pytest.raises(StudyChangedError):
            ask(study)
    exports.rmdir()
    with pytest.raises(SourceUnavailableError):
        source.check()
    with pytest.raises(SourceError) as wrong:
        opened(tmp_path, path=str(exports), password="hu" + "sh")
    assert "hush" not in everything_said(wrong.value)


def test_without_its_package_the_kind_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="zip-per-study") as caught:
        opened(tmp_path)
    assert "dicomweb, folder, orthanc" in str(caught.value) + str(getattr(caught.value, "hint", ""))


def test_the_documentation_quotes_the_entry_point_that_is_tested() -> None:
    text = (EXAMPLES.parent / "sources.md").read_text(encoding="utf-8")
    assert f'[project.entry-points."{GROUP}"]\nzip-per-study = "zip_per_study:open_source"' in text
    assert "(examples/zip_per_study.py)" in text
