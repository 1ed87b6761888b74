"""The preflight as an asset: what Dagster is told, and that nothing else changes."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from locutus_dagster.defs.preflight import preflight_asset, preflight_key
from locutus_dagster.defs.resources import EngineResource
from locutus_dagster.pipeline.parts import DEFAULT_FACTORY, Parts, build_parts
from locutus_dagster.settings import Settings
from locutus_dagster.sources.base import FoundStudy
from locutus_dagster_tests.defs.conftest import Home
from locutus_dagster_tests.ledger.rows import add_items
from locutus_dagster_tests.parts.photograph import photograph
from locutus_dagster_tests.pipeline.looking import TellingSource

HERE = "locutus_dagster_tests.defs.test_preflight"


class TalkativeSource(TellingSource):
    """A source whose faults quote what they were asked for."""

    def find(self, accession_number: str) -> list[FoundStudy]:
        raise ValueError(f"no row for {accession_number}")


def talkative_parts(settings: Settings, workspace: str, *, look_only: bool = False) -> Parts:
    made = build_parts(settings, workspace, look_only=look_only)
    made.source = TalkativeSource({})
    return made


def look(
    home: Home, config: dict[str, Any], factory: str = DEFAULT_FACTORY
) -> dg.ExecuteInProcessResult:
    """Materialize the asset, in definitions of its own."""
    asset = preflight_asset("default", home.settings)
    defs = dg.Definitions(
        assets=[asset], resources={"engine": EngineResource(parts_factory=factory)}
    )
    dg.Definitions.validate_loadable(defs)
    return dg.materialize(
        [asset],
        instance=home.instance,
        resources={"engine": EngineResource(parts_factory=factory)},
        run_config={"ops": {asset.op.name: {"config": config}}},
        raise_on_error=False,
    )


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node("default__preflight")
    assert event.asset_key == preflight_key("default")
    return dict(event.metadata)


def rows(value: dg.TableMetadataValue) -> list[dict[str, Any]]:
    return [dict(record.data) for record in value.records]


def failure_of(home: Home, result: dg.ExecuteInProcessResult) -> str:
    """All that Dagster keeps of a run, as text."""
    assert not result.success
    return "\n".join(repr(one) for one in home.instance.all_logs(result.run_id))


def test_the_totals_and_what_needs_attention_are_told(home: Home) -> None:
    keys = home.load()
    home.ledger.close()

    result = look(home, {"manifest": "batch"})

    assert result.success
    told = metadata_of(result)
    totals = {row["what would happen"]: row["accessions"] for row in rows(told["totals"])}
    assert totals == {"process": len(keys) - 1, "pending": 1}
    assert told["accessions"].value == len(keys)
    assert told["needs attention"].value is True
    assert told["accessions that need attention"].value == 1
    assert told["bytes"].value >= told["bytes to deliver"].value > 0
    assert told["instances that will be withheld"].value >= 1
    (row,) = [row for row in rows(told["worth a look"]) if row["attention"]]
    assert row["partition"] == home.item(home.pacs.missing_accession).partition_key
    assert row["notes"] == "no study at the source"
    assert "- 1 accession has no study at the source." in told["warnings"].value


def test_nothing_that_dagster_keeps_names_an_accession(home: Home) -> None:
    home.load()
    home.ledger.close()
    result = look(home, {"everything": True})
    kept = "\n".join(repr(one) for one in home.instance.all_logs(result.run_id))
    kept += repr(metadata_of(result))
    for number in home.pacs.accessions:
        assert number not in kept


def test_nothing_is_changed_by_it(home: Home) -> None:
    home.load()
    home.ledger.close()
    places = (home.root, home.root.parent / "share", home.pacs.root)
    before = photograph(*places)
    assert look(home, {"manifest": "batch"}).success
    assert photograph(*places) == before


def test_many_rows_are_cut_and_the_totals_are_whole(home: Home) -> None:
    add_items(home.ledger, *(f"A{n}" for n in range(260)), name="many", workspace="default")
    home.ledger.close()
    told = metadata_of(look(home, {"manifest": "many"}))
    assert len(rows(told["worth a look"])) == 200
    assert rows(told["totals"]) == [{"what would happen": "pending", "accessions": 260}]


def test_filters_and_modes_are_those_of_a_run(home: Home) -> None:
    item = add_items(home.ledger, "A1", "A2", name="few", workspace="default")[1]
    home.ledger.close()
    told = metadata_of(look(home, {"subject": [item.subject_id], "status": ["unfinished"]}))
    assert [row["partition"] for row in rows(told["worth a look"])] == [item.partition_key]
    nothing = metadata_of(look(home, {"manifest": "few", "status": ["delivered"]}))
    assert nothing["accessions"].value == 0
    assert nothing["needs attention"].value is False
    assert "worth a look" not in nothing
    assert "called 'nosuch'" in failure_of(home, look(home, {"reprocess": "nosuch"}))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "Nothing was selected"),
        ({"manifest": "nosuch"}, "no manifest named 'nosuch'"),
    ],
)
def test_what_cannot_be_looked_at_fails_with_what_to_do(
    home: Home, config: dict[str, Any], said: str
) -> None:
    assert said in failure_of(home, look(home, config))


def test_without_a_ledger_it_says_how_to_get_one_and_makes_none(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = home.root / "elsewhere" / "ledger.sqlite"
    monkeypatch.setenv("LOCUTUS_LEDGER_URL", f"sqlite:///{nowhere}")
    assert "There is no ledger" in failure_of(home, look(home, {"everything": True}))
    assert not nowhere.parent.exists()


def test_a_fault_that_quotes_an_identifier_is_told_without_it(home: Home) -> None:
    add_items(home.ledger, "ACC4711X", name="one", workspace="default")
    home.ledger.close()
    result = look(home, {"manifest": "one"}, f"{HERE}:talkative_parts")
    kept = failure_of(home, result)
    assert "unexpected ValueError" in kept
    assert "ACC4711X" not in kept
