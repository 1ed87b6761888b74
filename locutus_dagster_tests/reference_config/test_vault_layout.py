"""The reference's layout of Vault, in each of the forms that an entry may have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from locutus_dagster.reference_config import ReferenceConfigError, layer
from locutus_dagster.reference_config.layer import imported
from locutus_dagster_tests.reference_config.fakes import (
    BASE,
    DATABASE,
    PLACES,
    FakeVault,
    read,
    settings_of,
)

STAGE_ENTRY = PLACES["namespace", "rootpath/trig-dicom-staging/production"]
APP = "vault:namespace:/rootpath/locutus"
Places = dict[tuple[str | None, str], dict[str, Any]]


def without(*paths: str) -> Places:
    return {place: entry for place, entry in PLACES.items() if place[1] not in paths}


# -- databases, staging and QC -------------------------------------------------------------------


def test_a_database_is_four_references_and_no_value(tmp_path: Path) -> None:
    found = read(tmp_path, {"locutus_DB_vault_path": DATABASE})
    assert found.values["ledger"] == {
        field: f"vault:{DATABASE}#{key}"
        for field, key in (
            ("host", "db_host"),
            ("name", "db_name"),
            ("user", "user"),
            ("password", "password"),
        )
    }


def test_what_a_database_lacks_is_named(tmp_path: Path) -> None:
    entry = {"db_host": "db.example", "user": "rw"}
    vault = FakeVault({("namespace", "rootpath/databases/locutus"): entry})
    with pytest.raises(ReferenceConfigError, match=r"config\.yaml:1 .* no db_name, password"):
        read(tmp_path, {"locutus_DB_vault_path": DATABASE}, vault=vault)


def test_values_may_be_entries_of_their_own_below_the_path(tmp_path: Path) -> None:
    base = "rootpath/databases/locutus"
    entry = PLACES["namespace", base]
    places: Places = {
        ("namespace", f"{base}/{key}"): {"value": value} for key, value in entry.items()
    }
    found = read(tmp_path, {"locutus_DB_vault_path": DATABASE}, vault=FakeVault(places))
    assert found.values["ledger"]["password"] == f"vault:{DATABASE}/password#value"


@pytest.mark.parametrize("form", [json.dumps, yaml.safe_dump, dict])
def test_a_staging_configuration_may_be_a_key_of_the_entry_above(form: Any, tmp_path: Path) -> None:
    places = without("rootpath/trig-dicom-staging/production")
    places["namespace", "rootpath/trig-dicom-staging"] = {
        "production": form(STAGE_ENTRY),
        "develop": form({}),
    }
    found = read(tmp_path, BASE, vault=FakeVault(places))
    assert found.values["workspaces"]["default"]["source"] == {
        "kind": "orthanc",
        "url": "http://pacs.example:8042",
        "username": "reader",
        "password": "vault:namespace:/rootpath/trig-dicom-staging#production.orthanc_password",
    }


def test_a_staging_configuration_may_be_one_text_in_its_entry(tmp_path: Path) -> None:
    places: Places = dict(PLACES)
    places["namespace", "rootpath/trig-dicom-staging/production"] = {
        "config": json.dumps(STAGE_ENTRY)
    }
    source = read(tmp_path, BASE, vault=FakeVault(places)).values["workspaces"]["default"]["source"]
    assert source["url"] == "http://pacs.example:8042"
    assert source["password"].endswith("trig-dicom-staging/production#config.orthanc_password")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"orthanc_hostname": ""}, "no orthanc_hostname"),
        ({"orthanc_portnum": "http"}, "not a port's number"),
        ({"orthanc_portnum": 70000}, "not a port's number"),
        ({"orthanc_hostname": "user:hush@pacs"}, "not a host's name"),
        ({"orthanc_hostname": "ftp://pacs"}, "not a host's name"),
    ],
)
def test_an_orthanc_that_cannot_be_reached_so_is_refused_without_its_values(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    places: Places = dict(PLACES)
    places["namespace", "rootpath/trig-dicom-staging/production"] = {**STAGE_ENTRY, **change}
    with pytest.raises(ReferenceConfigError, match=words) as refusal:
        read(tmp_path, BASE, vault=FakeVault(places))
    assert "hush" not in str(refusal.value)


def test_an_orthanc_behind_tls_is_one(tmp_path: Path) -> None:
    places: Places = dict(PLACES)
    places["namespace", "rootpath/trig-dicom-staging/production"] = {
        **STAGE_ENTRY,
        "orthanc_hostname": "https://pacs.example",
    }
    found = read(tmp_path, BASE, vault=FakeVault(places))
    assert found.values["workspaces"]["default"]["source"]["url"] == "https://pacs.example:8042"


def test_every_path_that_leads_nowhere_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ReferenceConfigError) as refusal:
        read(tmp_path, {**BASE, "locutus_DB_vault_path": DATABASE}, vault=FakeVault({}))
    assert "2 fault(s)" in refusal.value.message
    for key in ("locutus_DB_vault_path", "onprem_dicom_stage_config_vault_path"):
        assert f"{key}: There is no entry rootpath/" in refusal.value.message


def test_vault_is_not_asked_where_nothing_leads_there(tmp_path: Path) -> None:
    vault = FakeVault()
    read(tmp_path, "locutus_test: true\n", vault=vault)
    assert vault.asked == []


def test_googles_credentials_in_several_keys_are_left_to_a_person(tmp_path: Path) -> None:
    places: Places = dict(PLACES)
    places["namespace", "rootpath/google"] = {"type": "service_account", "private_key": "hush"}
    found = read(
        tmp_path,
        {**BASE, "locutus_target_use_gs": True, "locutus_target_gs_bucket": "deid-bucket"},
        {"GOOGLE_APPLICATION_CREDENTIALS_SOURCE_VAULT_PATH": "namespace:/rootpath/google"},
        FakeVault(places),
    )
    assert (
        settings_of(found).workspace("default").targets["gcs"].model_dump()["credentials"] is None
    )
    assert any("several keys" in note for note in found.notes)


# -- whole configurations --------------------------------------------------------------------------


def app(places: Places, curr_env: str = "") -> Any:
    found = layer({"PATH_TO_CONFIG": APP, "CURR_ENV": curr_env}, lambda: FakeVault(places))
    assert found is not None
    return found


def whole(name: str, form: Any = yaml.safe_dump) -> Any:
    return form({**BASE, "locutus_target_isilon_path": f"/mnt/{name}"})


@pytest.mark.parametrize("form", [json.dumps, yaml.safe_dump, dict])
@pytest.mark.parametrize("chosen", ["production", "develop", "prod2dev"])
def test_one_configuration_for_each_environment_chosen_by_name(form: Any, chosen: str) -> None:
    entry = {name: whole(name, form) for name in ("production", "develop", "prod2dev")}
    found = app({**PLACES, ("namespace", "rootpath/locutus"): entry}, chosen)
    share = settings_of(found).workspace("default").targets["share"]
    assert str(share.model_dump()["path"]) == f"/mnt/{chosen}"
    origin = found.origins["workspaces.default.targets.share.path"]
    assert origin.startswith(f"{APP}#{chosen}")


def test_the_one_environment_that_is_spelt_in_two_ways_is_found_by_either() -> None:
    places: Places = {**PLACES, ("namespace", "rootpath/locutus"): {"prod2develop": whole("p2d")}}
    for name in ("prod2dev", "prod2develop"):
        assert "/mnt/p2d" in str(app(places, name).values)


def test_an_environment_may_be_an_entry_of_its_own() -> None:
    below: Places = {
        **PLACES,
        ("namespace", "rootpath/locutus/develop"): {"config": whole("develop")},
    }
    assert "/mnt/develop" in str(app(below, "develop").values)
    keys: Places = {
        **PLACES,
        ("namespace", "rootpath/locutus/develop"): whole("develop", dict),
    }
    assert "/mnt/develop" in str(app(keys, "develop").values)


def test_a_path_may_end_with_the_environments_name() -> None:
    entry = {"production": whole("production"), "develop": whole("develop")}
    places: Places = {**PLACES, ("namespace", "rootpath/locutus"): entry}
    found = imported(f"{APP}/develop", None, {}, open_vault=lambda: FakeVault(places))
    assert "/mnt/develop" in str(found.values)


def test_which_environment_is_meant_must_be_said_where_there_are_several() -> None:
    entry = {"production": whole("production"), "develop": whole("develop")}
    places: Places = {**PLACES, ("namespace", "rootpath/locutus"): entry}
    with pytest.raises(ReferenceConfigError, match="several configurations: develop, production"):
        app(places)
    with pytest.raises(ReferenceConfigError, match="no configuration for the environment staging"):
        app(places, "staging")
    alone: Places = {**PLACES, ("namespace", "rootpath/locutus"): {"production": whole("alone")}}
    assert "/mnt/alone" in str(app(alone).values)


def test_a_fault_in_vaults_configuration_names_path_key_and_line() -> None:
    entry = {"production": "locutus_test: true\nlocutus_force_success: perhaps\n"}
    with pytest.raises(ReferenceConfigError) as refusal:
        app({("namespace", "rootpath/locutus"): entry}, "production")
    assert f"{APP}#production:2 locutus_force_success: neither" in refusal.value.message
