"""What is shown of the settings: everything that applies, and no secret."""

from __future__ import annotations

from datetime import date

import pytest

from locutus_dagster.settings import (
    Effective,
    OrthancSourceSettings,
    Settings,
    VaultSettings,
    effective,
    load_settings,
)
from locutus_dagster.settings.effective import cfg_out, references, warnings_of
from locutus_dagster.strict_model import MASK, without_password
from locutus_dagster_tests.settings.conftest import Home

SECRET = "hush-hush"
DAY = date(1971, 4, 7)
EVERYWHERE = f"""\
ledger_url: "postgresql://u:{SECRET}@db/l?sslpassword={SECRET}"
vault:
  auth: approle
  token: {SECRET}
  role_id: {SECRET}
  secret_id: {SECRET}
  jwt: {SECRET}
workspaces:
  one:
    source: {{kind: orthanc, url: "http://u:{SECRET}@pacs", username: u, password: {SECRET}}}
    targets:
      s3:
        kind: s3
        bucket: deliveries
        access_key_id: {SECRET}
        secret_access_key: {SECRET}
        session_token: {SECRET}
      gcs: {{kind: gcs, bucket: deliveries, credentials: {SECRET}}}
    secret: {SECRET}
    reports:
      notify: {{webhook: "https://hook?token={SECRET}", smtp_password: {SECRET}}}
    qc: {{orthanc: {{kind: dicomweb, url: "http://qc", token: {SECRET}}}}}
"""


def shown(settings: Settings) -> dict[str, Effective]:
    return {one.key: one for one in effective(settings)}


def test_no_secret_is_shown_wherever_it_stands(home: Home) -> None:
    home.write(EVERYWHERE)
    settings = load_settings()
    values = effective(settings)
    assert SECRET not in "".join(one.value for one in values)
    assert SECRET not in repr(values)
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in "\n".join(warnings_of(settings))
    assert SECRET not in "\n".join(",".join(line) for line in cfg_out(values))
    plain = {one.key for one in values if one.plain}
    assert plain >= {
        "ledger_url",
        "vault.token",
        "vault.role_id",
        "vault.secret_id",
        "vault.jwt",
        "workspaces.one.source.password",
        "workspaces.one.targets.s3.access_key_id",
        "workspaces.one.targets.s3.secret_access_key",
        "workspaces.one.targets.s3.session_token",
        "workspaces.one.targets.gcs.credentials",
        "workspaces.one.secret",
        "workspaces.one.reports.notify.webhook",
        "workspaces.one.reports.notify.smtp_password",
        "workspaces.one.qc.orthanc.token",
        "workspaces.one.source.url",
    }
    assert any(
        "workspaces.one.source.url: a password stands in the file, within an address" in one
        for one in warnings_of(settings)
    )
    # Each is worth a warning with its place, because it stands in the file.
    assert len([one for one in warnings_of(settings) if "stands in the file" in one]) == len(plain)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://u:p@db/l", f"postgresql://u:{MASK}@db/l"),
        ("postgresql://u:p/x@y@db/l", f"postgresql://u:{MASK}@db/l"),
        ("postgresql://u@db/l", "postgresql://u@db/l"),
        ("sqlite:////home/ledger.sqlite", "sqlite:////home/ledger.sqlite"),
        ("https://db:5432/a?x=1&password=p&y=2", f"https://db:5432/a?x=1&password={MASK}&y=2"),
        ("https://store/a?X-Amz-Signature=s", f"https://store/a?X-Amz-Signature={MASK}"),
        ("/plain/path?token=no-address", "/plain/path?token=no-address"),
    ],
)
def test_a_password_in_an_address_is_masked_and_the_rest_can_be_read(
    text: str, masked: str
) -> None:
    assert without_password(text) == masked


def test_the_ledger_s_address_is_shown_without_its_password(home: Home) -> None:
    home.write(f"ledger_url: 'postgresql://u:{SECRET}@db/l'\n")
    assert shown(load_settings())["ledger_url"].value == f"postgresql://u:{MASK}@db/l"
    home.write(f"ledger_url: '{SECRET}'\n")
    assert shown(load_settings())["ledger_url"].value == MASK


def test_a_reference_is_shown_as_it_is(home: Home) -> None:
    home.write(
        """\
ledger: {host: "vault:kv/db#host", name: l, user: u, password: "vault:kv/db#password"}
workspaces:
  one:
    source: {kind: orthanc, url: "http://pacs", username: u, password: "env:PACS"}
    target: {path: /out}
    secret: "file:/etc/ring"
"""
    )
    settings = load_settings()
    values = shown(settings)
    assert values["ledger.password"].value == "vault:kv/db#password"
    assert values["ledger.host"].value == "vault:kv/db#host"
    assert values["ledger.name"].value == "l"
    assert values["workspaces.one.source.password"].value == "env:PACS"
    assert not any(one.plain for one in values.values())
    assert warnings_of(settings) == []
    assert (
        dict(references(settings)).items()
        >= {
            "ledger.host": "vault:kv/db#host",
            "workspaces.one.secret": "file:/etc/ring",
        }.items()
    )


def test_what_another_package_s_options_hold_is_shown_only_where_it_is_a_reference(
    home: Home,
) -> None:
    settings = Settings(
        workspaces={
            "one": {
                "source": {
                    "kind": "vna",
                    "options": {"key": SECRET, "more": {"k": SECRET}, "ref": "env:X", "port": 7},
                },
                "targets": {
                    "options": {
                        "kind": "webdav",
                        "options": {
                            "Password": 88374629,
                            "tokens": {"first": 88374629},
                            "since": DAY,
                            "pin": 4711.5,
                            "retries": 3,
                            "use_token": True,
                        },
                    }
                },
            }
        }
    )
    values = shown(settings)
    prefix = "workspaces.one.source.options."
    assert values[f"{prefix}key"].value == MASK
    assert values[f"{prefix}more.k"].value == MASK
    assert values[f"{prefix}ref"].value == "env:X"
    assert values[f"{prefix}port"].value == "7"
    assert SECRET not in repr(settings)
    prefix = "workspaces.one.targets.options.options."
    told = {key.removeprefix(prefix): one for key, one in values.items() if key.startswith(prefix)}
    masked = {key for key, one in told.items() if one.value == MASK and one.plain}
    assert masked == {"Password", "tokens.first", "pin", "since"}
    assert (told["retries"].value, told["use_token"].value) == ("3", "true")


def test_a_pattern_of_accession_numbers_is_not_shown(home: Home) -> None:
    home.write(
        """\
workspaces:
  one:
    source: {kind: orthanc, url: "https://pacs:8042"}
    target: {path: /out}
    watch: {mode: changes, rule: {accession: "4711|4712", description: "MR .*"}}
"""
    )
    values = shown(load_settings())
    assert values["workspaces.one.watch.rule.accession"].value == MASK
    assert values["workspaces.one.watch.rule.description"].value == "MR .*"


def test_where_nothing_is_said_what_applies_is_shown(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", "https://vault:8200")
    values = shown(load_settings())
    assert values["scratch"].value == str(home.root / "scratch")
    assert values["ledger_url"].value.startswith("sqlite:///")
    assert values["vault.address"].value == "https://vault:8200"
    assert values["vault.address"].origin.place == "VAULT_ADDR"
    assert values["run.dry_run"].value == "false"
    assert values["run.reprocess"].value == "none"
    assert values["vault.namespace"].value == ""
    assert (values["vault.verify"].value, values["vault.verify"].origin.place) == (
        "true",
        "default",
    )
    monkeypatch.setenv("VAULT_CACERT", "/etc/ssl/vault.pem")
    verify = shown(load_settings())["vault.verify"]
    assert (verify.value, verify.origin.place) == ("/etc/ssl/vault.pem", "VAULT_CACERT")
    home.write("vault: {verify: false}\n")
    assert shown(load_settings())["vault.verify"].value == "false"


def test_cfg_out_has_the_reference_s_words_for_where_a_value_comes_from(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write("batch_size: 7\nledger_url: 'vault:kv/db#url'\n")
    monkeypatch.setenv("LOCUTUS_WORKERS", "2")
    lines = list(cfg_out(effective(load_settings())))
    assert lines[0] == ("CFG_OUT:", "KEY_TYPE", "KEY", "VALUE")
    for line in (
        ("CFG_OUT:", "cfg", "batch_size", "7"),
        ("CFG_OUT:", "env", "workers", "2"),
        ("CFG_OUT:", "locutus-via-vault", "ledger_url", "vault:kv/db#url"),
        ("CFG_OUT:", "locutus-hardcoded", "run.max_passes", "11"),
    ):
        assert line in lines


def test_a_secret_of_two_workspaces_is_pointed_out(home: Home) -> None:
    home.write(
        """\
workspaces:
  one: {source: {kind: folder, path: /a}, target: {path: /x}, secret: "file:/etc/ring"}
  two: {source: {kind: folder, path: /b}, target: {path: /y}, secret: "file:/etc/ring"}
"""
    )
    (warning,) = warnings_of(load_settings())
    assert "one, two have one secret" in warning


def test_an_error_of_a_group_of_settings_quotes_no_value() -> None:
    with pytest.raises(ValueError, match="kv_version") as refusal:
        VaultSettings(kv_version=SECRET)  # type: ignore[arg-type]
    assert SECRET not in str(refusal.value)
    source = OrthancSourceSettings(url=f"http://u:{SECRET}@x", username="u", password=SECRET)
    assert SECRET not in repr(source)
