"""The reference's whole layout in a real OpenBao: used as it is, and imported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from locutus_dagster.cli.config_import import import_command
from locutus_dagster.reference_config import REFERENCE_KEYS, ReferenceConfigError, layer
from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import OrthancSourceSettings, Settings, load_settings
from locutus_dagster.vault import VaultSettings
from locutus_dagster.vault.client import VaultClient
from locutus_dagster_tests.parts.openbao import OpenBaoServer
from locutus_dagster_tests.reference_config.fakes import (
    BASE,
    DATABASE,
    PLACES,
    QC_STAGE,
    write,
)

ONPREM = "locutus_onprem_dicom_"
SECRETS = ("hush-database", "hush-orthanc", "hush-qc")
OLD = {
    **BASE,
    "locutus_target_use_s3": "True",
    "locutus_target_s3_bucket": "deid-s3",
    "locutus_target_use_gs": "False",
    "locutus_DB_vault_path": DATABASE,
    "locutus_DB_use_dev_suffix": "True",
    "locutus_DB_dev_suffix": "_dev",
    "locutus_test": "True",
    f"{ONPREM}manual_deid_QC_orthanc_config_vault_path": QC_STAGE,
    f"{ONPREM}use_manifest_QC_status": "True",
}


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBaoServer]:
    """One server with the reference's layout, in a namespace of its own."""
    with OpenBaoServer(tmp_path_factory.mktemp("bao")) as server:
        server.call("POST", "sys/namespaces/namespace", {})
        server.call(
            "POST",
            "sys/mounts/rootpath",
            {"type": "kv", "options": {"version": "2"}},
            namespace="namespace",
        )
        for (namespace, path), entry in PLACES.items():
            server.put(path, namespace=str(namespace), **entry)
        develop = {**OLD, "locutus_target_s3_bucket": "deid-develop"}
        server.put(
            "rootpath/locutus",
            namespace="namespace",
            production=yaml.safe_dump(OLD),
            develop=json.dumps(develop),
        )
        staging = PLACES["namespace", "rootpath/trig-dicom-staging/production"]
        server.put("rootpath/nested", namespace="namespace", production=json.dumps(staging))
        yield server


@pytest.fixture(autouse=True)
def environment(
    bao: OpenBaoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """The reference's own variables, and a home folder of its own."""
    for name in REFERENCE_KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOCUTUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VAULT_ADDR", bao.url)
    monkeypatch.setenv("VAULT_TOKEN", bao.root_token)
    return monkeypatch


def anew() -> VaultClient:
    """A client that has not logged in yet; the process's own remembers for a while."""
    return Secrets(VaultSettings()).vault


def source_of(settings: Settings) -> OrthancSourceSettings:
    source = settings.workspace("default").source
    assert isinstance(source, OrthancSourceSettings)
    return source


def test_an_old_configuration_works_as_it_is(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("PATH_TO_CONFIG", str(write(tmp_path, OLD)))
    settings = load_settings()
    assert settings.run.dry_run is True
    assert list(settings.workspace("default").targets) == ["share", "s3"]
    assert settings.ledger_address == (
        "postgresql+psycopg2://locutus_rw:hush-database@db.example:5432/locutus_dev"
    )
    source = source_of(settings)
    assert (source.url, source.username) == ("http://pacs.example:8042", "reader")
    assert settings.secrets.resolve(str(source.password)) == "hush-orthanc"
    assert not any(secret in repr(settings) for secret in SECRETS)


def test_the_configuration_may_lie_in_vault_itself(
    bao: OpenBaoServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("PATH_TO_CONFIG", "vault:namespace:/rootpath/locutus")
    for name, bucket in (("production", "deid-s3"), ("develop", "deid-develop")):
        environment.setenv("CURR_ENV", name)
        target = load_settings().workspace("default").targets["s3"]
        assert target.model_dump()["bucket"] == bucket


def test_a_secret_inside_a_whole_configuration_is_referred_to_there(tmp_path: Path) -> None:
    old = {**BASE, "onprem_dicom_stage_config_vault_path": "namespace:/rootpath/nested/production"}
    found = layer({"PATH_TO_CONFIG": str(write(tmp_path, old))})
    assert found is not None
    source = source_of(Settings(**found.values))
    assert source.password == "vault:namespace:/rootpath/nested#production.orthanc_password"
    assert Settings(**found.values).secrets.resolve(source.password) == "hush-orthanc"


@pytest.mark.parametrize("from_vault", [False, True])
def test_what_is_imported_means_the_same_as_the_old_configuration(
    from_vault: bool, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    old = "vault:namespace:/rootpath/locutus" if from_vault else str(write(tmp_path, OLD))
    environment.setenv("PATH_TO_CONFIG", old)
    environment.setenv("CURR_ENV", "production")
    before = load_settings().model_dump()
    environment.delenv("PATH_TO_CONFIG")
    environment.delenv("CURR_ENV")
    app = typer.Typer()
    app.command("import")(import_command)
    how = ["--vault-path", old, "--environment", "production"] if from_vault else [old]
    done = CliRunner().invoke(app, how)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "home" / "locutus.yaml").read_text()
    assert load_settings().model_dump() == before
    environment.delenv("VAULT_TOKEN")
    environment.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    assert load_settings().model_dump() == before, (
        "what was written needs no Vault until a secret is used"
    )
    for secret in (*SECRETS, "root-"):
        assert secret not in text
        assert secret not in done.output


def test_what_vault_does_not_allow_is_a_fault_with_its_line(
    bao: OpenBaoServer, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("VAULT_TOKEN", bao.issue("default"))
    path = write(tmp_path, OLD)
    environment.setenv("PATH_TO_CONFIG", str(path))
    with pytest.raises(ReferenceConfigError) as refusal:
        layer(open_vault=anew)
    for line, key in ((3, "onprem_dicom_stage_config_vault_path"), (7, "locutus_DB_vault_path")):
        assert f"{path}:{line} {key}: " in refusal.value.message


def test_a_token_that_is_not_set_is_said_so(
    tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("VAULT_TOKEN")
    environment.setenv("PATH_TO_CONFIG", str(write(tmp_path, OLD)))
    with pytest.raises(ReferenceConfigError, match=r"config\.yaml:3 onprem.* VAULT_TOKEN"):
        layer(open_vault=anew)
