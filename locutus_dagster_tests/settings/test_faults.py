"""Faults: all at once, each with its place and key, and never with a value."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locutus_dagster.settings import FaultySettingsError, SettingsError, load_settings
from locutus_dagster_tests.settings.conftest import Home

SECRET = "hush-hush"


def test_faults_of_all_layers_and_kinds_are_told_at_once(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUTUS_WORKERS", "many")
    monkeypatch.setenv("LOCUTUS_RUN__DRYRUN", "true")
    monkeypatch.setenv("locutus_test", "perhaps")
    home.write(
        """\
batch_size: 0
wrokers: 2
keep_interim_files: true
keep_interim_files: false
workspaces:
  Chop:
    source: {kind: folder, path: /in}
    target: {path: /x}
  one:
    source: {kind: orthanc, url: 5, verify: [1]}
    targets:
      s3: {kind: s3, bucket: x}
      share: {path: /in/out}
    several_patients: perhaps
    schedule: {cron: nightly, timezone: Mars}
  two:
    source: {kind: folder, path: /in}
    target: {path: /in/out}
"""
    )
    found = home.faults()
    assert found[0].startswith("The environment holds settings that cannot be understood: ")
    assert found[1:] == [
        "LOCUTUS_RUN__DRYRUN: run.dryrun: is not a setting; did you mean LOCUTUS_RUN__DRY_RUN?",
        "LOCUTUS_WORKERS: workers: should be a whole number",
        "locutus.yaml:1:1: batch_size: should be greater than or equal to 1",
        "locutus.yaml:2:1: wrokers: is not a setting; did you mean 'workers'?",
        "locutus.yaml:4:1: keep_interim_files: stands there twice; first at locutus.yaml:3:1",
        (
            "locutus.yaml:6:3: workspaces.Chop: no name for a workspace: use a lower-case letter, "
            "then up to 40 lower-case letters, digits or _"
        ),
        "locutus.yaml:10:29: workspaces.one.source.url: should be text; put it in quotes",
        "locutus.yaml:10:37: workspaces.one.source.verify: should be true or false, or a path",
        "locutus.yaml:12:22: workspaces.one.targets.s3.bucket: should have at least 3 characters",
        "locutus.yaml:14:5: workspaces.one.several_patients: should be 'withhold' or 'allow'",
        (
            "locutus.yaml:15:16: workspaces.one.schedule.cron: should be five fields such as "
            "'0 3 * * *', or @daily and the like"
        ),
        (
            "locutus.yaml:15:31: workspaces.one.schedule.timezone: should be a time zone such as "
            "Europe/Berlin"
        ),
        (
            "locutus.yaml:18:14: workspaces.two.target.path: overlaps the source "
            "'workspaces.two.source.path' (locutus.yaml:17:28): deliveries would be taken for "
            "studies"
        ),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("worker: 2", "did you mean 'workers'?"),
        ("policy: basic", "it belongs to 'workspaces.NAME'"),
        ("workspaces: {a: {scratch: /x}}", "it belongs to 'the top of the file'"),
        (
            "workspaces: {a: {source: {kind: folder, path: /a, url: x}, target: {path: /b}}}",
            "it belongs to kind orthanc and dicomweb",
        ),
        ("zebra: 1", "zebra: is not a setting"),
    ],
)
def test_an_unknown_key_is_told_with_what_may_have_been_meant(
    home: Home, text: str, said: str
) -> None:
    home.write(text)
    assert any(fault.endswith(said) for fault in home.faults())


def _one(
    source: str = "kind: folder, path: /in", target: str = "path: /out", more: str = ""
) -> str:
    return f"workspaces:\n  one: {{source: {{{source}}}, target: {{{target}}}{more}}}\n"


_NO_ADDRESSES = (
    *("http://[fd00::1:8042", "pacs:8042", "http://pacs:80o42", "http://pacs:99999", "http://"),
    *("ftp://pacs", "http://pa cs", "http://pacs?x=1", "http://pacs:0", "pacs"),
)
_NO_TEMPLATES = ("{nope}/{study}", "{top/{study}.zip", "{top}/a.zip", "{study:d}", "{}/{study}")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        *(
            (_one(source=f"kind: {kind}, url: '{url}'"), "source.url")
            for url in _NO_ADDRESSES
            for kind in ("orthanc", "dicomweb")
        ),
        *(
            (_one(target=f"kind: {kind}, bucket: abcd, endpoint_url: '{url}'"), "endpoint_url")
            for url in _NO_ADDRESSES
            for kind in ("s3", "gcs")
        ),
        (_one(source="kind: dicomweb, url: 'http://u:p@pacs'"), "source.url"),
        *((_one(target=f"path: /out, key_template: '{t}'"), "key_template") for t in _NO_TEMPLATES),
        (_one(target="path: ~nobody_at_all/out"), "target.path"),
        (_one(target='path: "/out\\0"'), "target.path"),
        (_one(source="kind: folder, path: ~nobody_at_all/in"), "source.path"),
        (_one(source="kind: orthanc, url: http://p, verify: ~nobody_at_all/ca"), "source.verify"),
        (_one(more=", watch: {mode: manifest, subjects: ~nobody_at_all/s}"), "watch.subjects"),
        (_one(more=", reports: {folder: ~nobody_at_all/r}"), "reports.folder"),
        (_one(more=", secret: 'file:~nobody_at_all/ring'"), "secret"),
        (_one(more=", owners: [team:a, imaging team]"), "owners.1"),
        (_one(more=", schedule: {cron: '99 99 * * *'}"), "schedule.cron"),
        (_one(more=", reports: {overview: {cron: '0 3 * * mondy'}}"), "overview.cron"),
        ("vault: {verify: ~nobody_at_all/ca}", "vault.verify"),
        ("vault: {token: 'file:~nobody_at_all/token'}", "vault.token"),
        ("ledger_url: 'sqlite:///~nobody_at_all/ledger'", "ledger_url"),
        ("scratch: ~nobody_at_all/scratch", "scratch"),
    ],
)
def test_what_could_not_be_used_later_is_refused_with_its_place(
    home: Home, text: str, key: str
) -> None:
    home.write(text)
    (fault,) = [fault for fault in home.faults() if "watch: only an Orthanc" not in fault]
    place, said, _ = fault.split(": ", 2)
    assert place.startswith("locutus.yaml:")
    assert said.endswith(key)


@pytest.mark.parametrize("variable", ["LOCUTUS_HOME", "LOCUTUS_CONFIG", "PATH_TO_CONFIG"])
def test_a_variable_that_leads_to_the_home_of_nobody_is_told_as_such(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "~nobody_at_all/x")
    with pytest.raises(SettingsError, match=rf"{variable}: nobody here has the home folder"):
        load_settings()


def test_a_kind_that_nobody_registered_is_one_fault_whatever_keys_it_has(home: Home) -> None:
    home.write(
        """\
workspaces:
  one:
    source: {kind: orthnac, url: x, password: y}
    targets: {tape: {kind: tape, drive: 3}}
"""
    )
    source, target = home.faults()
    assert "3:14: workspaces.one.source.kind: there is no source of that kind; known: " in source
    assert "workspaces.one.targets.tape.kind: there is no target of that kind" in target
    assert "orthanc" in source


def test_a_file_that_the_environment_names_and_that_is_not_there_is_a_fault(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUTUS_CONFIG", str(tmp_path / "locutsu.yaml"))
    assert home.faults() == [f"LOCUTUS_CONFIG: {tmp_path / 'locutsu.yaml'} is not there"]


def test_faults_of_the_reference_s_configuration_are_told_beside_ours(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write("wrokers: 2\n")
    (tmp_path / "old.yaml").write_text(
        "locutus_force_success: perhaps\nlocutus_continuous_wait_secs: soon\n"
    )
    monkeypatch.setenv("PATH_TO_CONFIG", str(tmp_path / "old.yaml"))
    found = home.faults()
    assert len(found) == 3
    for part in ("wrokers", "old.yaml", "locutus_force_success", "locutus_continuous_wait_secs"):
        assert any(part in fault for fault in found)


@pytest.mark.parametrize(
    "text",
    [
        f"ledger_url: [{SECRET}]",
        f"ledger_url: {SECRET}\nledger: {{host: [{SECRET}], password: {{a: {SECRET}}}}}",
        f"vault: {{auth: {SECRET}, token: [{SECRET}], kv_version: {SECRET}}}",
        f"workspaces: {{a: {{source: {{kind: orthanc, url: x, token: [{SECRET}]}}}}}}",
        f"workspaces: {{a: {{secret: [{SECRET}], schedule: {{cron: {SECRET}}}}}}}",
        f"scratch_limit: {SECRET}\nworkers: {SECRET}\nrun: {SECRET}",
        f'ledger_url: "{SECRET}\n',
    ],
)
def test_no_fault_quotes_a_value(home: Home, text: str) -> None:
    home.write(text)
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert SECRET not in str(refusal.value)
    assert SECRET not in repr(refusal.value.__context__)


def test_a_value_of_the_environment_is_not_quoted_either(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUTUS_LEDGER__PORT", SECRET)
    monkeypatch.setenv("LOCUTUS_VAULT", f"{{{SECRET}")
    found = "\n".join(home.faults())
    assert "LOCUTUS_LEDGER__PORT: ledger.port: should be a whole number" in found
    assert "LOCUTUS_VAULT: vault: not valid JSON" in found
    assert SECRET not in found


@pytest.mark.parametrize(
    "text",
    ["a: &a [*a]", "a: &a {b: *a}", "? [1, 2]\n: 3", "a: 2026-13-01", "workspaces: {1: {}}"],
)
def test_what_yaml_allows_and_settings_cannot_have_is_one_message(home: Home, text: str) -> None:
    home.write(text)
    with pytest.raises(SettingsError, match=r"locutus\.yaml"):
        load_settings()


def test_anchors_that_multiply_are_refused_at_once(home: Home) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    home.write("\n".join(lines))
    with pytest.raises(SettingsError, match="more keys than settings can have"):
        load_settings()


_WORDS = st.sampled_from(
    [
        *("batch_size", "workspaces", "one", "source", "target", "targets", "kind", "folder", "s3"),
        *("path", "/in", "/in/out", "qc", "orthanc", "url", "vault", "auth", "approle", "ledger"),
        *("bucket", "share", "secret", "run", "schedule", "cron", "1", "null", "true", "password"),
    ]
)
_TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _WORDS, st.text(max_size=5)),
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(st.one_of(_WORDS, st.text(max_size=5)), below, max_size=5),
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(
        st.sampled_from(["workspaces", "ledger", "vault", "run", "workers", "zebra"]), _TREES
    )
)
def test_whatever_a_file_holds_is_read_or_refused_with_faults_that_have_a_place(
    home: Home, tree: dict[str, object]
) -> None:
    home.write(yaml.safe_dump(tree, allow_unicode=True))
    refused = None
    try:
        load_settings()
    except SettingsError as error:
        refused = error
    if isinstance(refused, FaultySettingsError):
        assert refused.faults
        for fault in refused.faults:
            assert fault.key
            assert fault.origin.place.startswith("locutus.yaml"), fault
    elif refused is not None:
        assert "locutus.yaml" in str(refused)
