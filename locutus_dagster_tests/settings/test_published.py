"""docs/settings.md and the JSON schema: written from the model, and they say what loading does."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest
import yaml

from locutus_dagster.reference_config import REFERENCE_KEYS
from locutus_dagster.settings import SettingsError, load_settings
from locutus_dagster.settings.keys import every_key
from locutus_dagster.settings.schema import json_schema, schema_text
from locutus_dagster_tests.settings.conftest import Home

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/make_settings_doc.py, which is no module of the package."""
    path = ROOT / "scripts" / "make_settings_doc.py"
    spec = importlib.util.spec_from_file_location("make_settings_doc", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_and_the_schema_are_what_the_model_says_now(script: ModuleType) -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert script.page() == page, "run scripts/make_settings_doc.py"
    schema = (ROOT / "docs" / "locutus.schema.json").read_text(encoding="utf-8")
    assert schema_text() == schema, "run scripts/make_settings_doc.py"


def test_the_page_has_a_row_for_each_key_of_ours_and_of_the_reference_s(
    script: ModuleType,
) -> None:
    page = script.page()
    for key in every_key():
        assert f"\n| `{key.dotted}`" in page
    for name in REFERENCE_KEYS:
        assert f"\n| `{name}` | " in page


GOOD = [
    "{}",
    "run:\nvault:\nworkspaces:\n",
    "scratch_limit: 20GiB\nworkers: 0\nledger_url: env:URL\n",
    "ledger: {host: h, name: n, user: u, password: 'vault:a/b#c'}",
    """\
workspaces:
  one:
    source: {kind: folder, path: /in}
    target: {path: /out}
    modalities: any
    schedule: {cron: "@daily"}
""",
    """\
workspaces:
  one:
    source: {kind: orthanc, url: "http://pacs", verify: /ca.pem}
    targets:
      share: {kind: share, path: /out}
      s3: {kind: s3, bucket: deliveries, part_size: 8MiB, encryption: null}
      gcs: {kind: gcs, bucket: deliveries, anonymous: true}
    modalities: [CT, MR]
    qc: {enabled: true, orthanc: {kind: dicomweb, url: "http://qc"}}
""",
]
BAD = [
    "wrokers: 1",
    "batch_size: 0",
    "scratch_limit: lots",
    "run: {sweep: perhaps}",
    "ledger: {host: h}",
    "workspaces: {one: {target: {path: /out}}}",
    "workspaces: {one: {source: {kind: folder, path: /in}}}",
    "workspaces: {one: {source: {path: /in}, target: {path: /out}}}",
    "workspaces: {one: {source: {kind: folder, url: x}, target: {path: /out}}}",
    "workspaces: {one: {source: {kind: folder, path: /in}, target: {kind: s3}}}",
    "workspaces: {one: {source: {kind: folder, path: /in}, target: {path: /o}, polcy: x}}",
    (
        "workspaces: {one: {source: {kind: folder, path: /in}, target: {path: /o}, "
        "targets: {s: {path: /o}}}}"
    ),
]


@pytest.mark.parametrize("text", GOOD)
def test_an_editor_accepts_what_loading_accepts(home: Home, text: str) -> None:
    home.write(text)
    load_settings()
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(text))


@pytest.mark.parametrize("text", BAD)
def test_an_editor_marks_what_loading_refuses(home: Home, text: str) -> None:
    home.write(text)
    with pytest.raises(SettingsError):
        load_settings()
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert not jsonschema.Draft202012Validator(schema).is_valid(yaml.safe_load(text))
