"""A run keeps the settings that it worked with, where each came from, and no secret."""

from __future__ import annotations

import json

import pytest

from locutus_dagster.defs.build import build_defs
from locutus_dagster.defs.names import DEFAULT_WORKSPACE as WS
from locutus_dagster.defs.run_settings import TOLD
from locutus_dagster.errors import LocutusError
from locutus_dagster.pipeline.parts import build_parts
from locutus_dagster.settings import QcSettings, load_settings
from locutus_dagster_tests.defs.conftest import Home

SECRET = "postgresql://me:very-secret@db/ledger"


def told(home: Home, run_id: str) -> dict[str, tuple[str, str]]:
    """Key → value and origin, as the run's events have them."""
    for entry in home.instance.all_logs(run_id):
        event = entry.dagster_event
        if event is not None and event.message == TOLD:
            (table,) = event.engine_event_data.metadata.values()
            return {
                str(one.data["key"]): (str(one.data["value"]), str(one.data["origin"]))
                for one in table.records
            }
    return {}


def test_every_value_stands_there_with_its_origin(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.load()
    file = home.root / "locutus.yaml"
    content = json.loads(file.read_text())
    (home.root / "share2").mkdir()
    other = {**content["workspaces"][WS], "target": {"path": str(home.root / "share2")}}
    content["workspaces"]["other"] = {**other, "secret": "env:OTHER_SECRET"}
    content["vault"] = {"token": "a-plain-token-in-a-file"}
    file.write_text(json.dumps(content, indent=2))
    monkeypatch.setenv("LOCUTUS_BATCH_SIZE", "7")
    job = build_defs(load_settings()).resolve_job_def("process_manifest")
    result = job.execute_in_process(
        instance=home.instance,
        raise_on_error=False,
        run_config={"ops": {"accession_chain": {"config": {"manifest": "batch"}}}},
    )
    found = told(home, result.run_id)
    assert found["batch_size"] == ("7", "LOCUTUS_BATCH_SIZE")
    assert found["scratch_limit"][1] == "default"
    value, origin = found[f"workspaces.{WS}.source.kind"]
    assert value == "folder"
    assert "locutus.yaml:" in origin
    assert not [key for key in found if key.startswith("workspaces.other.")]
    everything = repr([str(entry) for entry in home.instance.all_logs(result.run_id)])
    assert "a-plain-token-in-a-file" not in everything


def test_a_workspace_that_asks_for_a_review_is_not_processed_without_one(home: Home) -> None:
    own = home.settings.workspace(WS).model_copy(update={"qc": QcSettings(enabled=True)})
    settings = home.settings.model_copy(update={"workspaces": {WS: own}})
    with pytest.raises(LocutusError, match="manual QC"):
        build_parts(settings, WS)
