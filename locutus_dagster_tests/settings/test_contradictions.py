"""What does not go together is refused with both places; what does is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from locutus_dagster.settings import Settings, load_settings
from locutus_dagster.settings.contradictions import contradictions, lexically
from locutus_dagster_tests.settings.conftest import Home

IN = {"kind": "folder", "path": "/in"}
OUT = "file:/out/secret"


def clashes(targets: dict[str, object], **more: object) -> list[str]:
    """The keys of what is refused of one workspace, each `first < second`."""
    workspace = {"source": IN, "targets": targets, **more}
    return judged(workspaces={"one": workspace})


def judged(**said: object) -> list[str]:
    settings = Settings(**{"home": "/home/locutus", **said})  # type: ignore[arg-type]
    return [
        " < ".join(".".join(key).removeprefix("workspaces.") for key in clash.keys)
        for clash in contradictions(settings)
    ]


def two(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """What is refused of two workspaces with these targets."""
    return judged(
        workspaces={
            "one": {"source": IN, "target": one},
            "two": {"source": IN, "target": other},
        }
    )


# -- folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scratch", "share", "source", "refused"),
    [
        ("/s", "/out", "/in", []),
        ("/s", "/s2", "/in", []),
        ("/s", "/s", "/in", ["share < scratch"]),
        ("/s", "/s/out", "/in", ["share < scratch"]),
        ("/out/s", "/out", "/in", ["share < scratch"]),
        ("/s", "/in", "/in", ["share < source"]),
        ("/s", "/in/../in/out", "/in", ["share < source"]),
        ("/s", "/data", "/data/in", ["share < source"]),
        ("/in/s", "/out", "/in", ["source < scratch"]),
        ("/s", "/out", "/s/in", ["source < scratch"]),
        ("/home", "/out", "/in", ["scratch < home"]),
        ("/s", "/home/locutus/private/out", "/in", ["share < home"]),
        ("/s", "/home", "/in", ["share < home"]),
        ("/s", "/home/locutus/out", "/in", []),
        (None, "/home/locutus/out", "/in", []),
        (None, "/home/locutus", "/in", ["share < scratch", "share < home"]),
    ],
)
def test_folders_that_would_mix_what_identifies_with_deliveries_are_refused(
    scratch: str | None, share: str, source: str, refused: list[str]
) -> None:
    workspace = {
        "source": {"kind": "folder", "path": source},
        "target": {"kind": "share", "path": share},
    }
    names = {"one.targets.share.path": "share", "one.source.path": "source"}
    found = judged(scratch=scratch, workspaces={"one": workspace})
    assert [
        " < ".join(names.get(key, key) for key in clash.split(" < ")) for clash in found
    ] == refused


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ({"ledger_url": "sqlite:////out/ledger.sqlite"}, "ledger_url"),
        ({"ledger_url": "sqlite:////elsewhere/ledger.sqlite"}, None),
        ({"ledger_url": "env:URL"}, None),
        ({"secret": "file:/out/keys/ring"}, "one.secret"),
        ({"secret": "file:/elsewhere/ring"}, None),
        ({"ledger": {"host": "h", "name": "n", "user": "u", "password": OUT}}, "ledger.password"),
        ({"vault": {"token": OUT}}, "vault.token"),
        (
            {"qc": {"orthanc": {"kind": "orthanc", "url": "http://qc", "token": OUT}}},
            "one.qc.orthanc.token",
        ),
        (
            {"reports": {"notify": {"smtp_user": "u", "smtp_password": OUT, "smtp_tls": "tls"}}},
            "one.reports.notify.smtp_password",
        ),
        ({"watch": {"mode": "changes", "subjects": "/out/mrn.csv"}}, "one.watch.subjects"),
        ({"reports": {"folder": "/out/reports", "redact": False}}, "one.reports.folder"),
        ({"reports": {"folder": "/out/reports"}}, None),
    ],
)
def test_what_identifies_does_not_lie_where_deliveries_are_read(
    said: dict[str, object], refused: str | None
) -> None:
    top = {key: value for key, value in said.items() if key in Settings.model_fields}
    own = {key: value for key, value in said.items() if key not in top}
    source = {"kind": "orthanc", "url": "https://pacs:8042"}
    workspace = {"source": source, "target": {"path": "/out"}, **own}
    found = judged(workspaces={"one": workspace}, **top)
    assert found == ([f"{refused} < one.targets.share.path"] if refused else [])


def test_no_secret_of_a_store_lies_where_deliveries_are_read() -> None:
    targets = {
        "share": {"path": "/out"},
        "gcs": {"kind": "gcs", "bucket": "deliveries", "credentials": OUT},
        "s3": {
            "kind": "s3",
            "bucket": "deliveries",
            "access_key_id": "env:A",
            "secret_access_key": OUT,
        },
        "tape": {"kind": "tape", "options": {"login": {"pin": OUT}}},
    }
    assert clashes(targets) == [
        f"one.targets.{key} < one.targets.share.path"
        for key in ("gcs.credentials", "s3.secret_access_key", "tape.options.login.pin")
    ]


def test_links_are_followed_when_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    settings = Settings(
        home=tmp_path / "home",
        workspaces={
            "one": {
                "source": {"kind": "folder", "path": tmp_path / "real"},
                "target": {"path": tmp_path / "link" / "out"},
            }
        },
    )
    assert contradictions(settings) == []
    found = contradictions(settings, lambda path: Path(os.path.realpath(lexically(path))))
    assert [clash.keys[0] for clash in found] == [("workspaces", "one", "targets", "share", "path")]


# -- targets of two workspaces -------------------------------------------------------------------

TOPPED = {"key_template": "bucket"}
UNTOPPED = {"key_template": "share"}


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ({"path": "/a"}, {"path": "/b"}, True),
        ({"path": "/a"}, {"path": "/a"}, False),
        ({"path": "/a"}, {"path": "/ab"}, True),
        ({"path": "/a", **TOPPED, "top": "x"}, {"path": "/a", **TOPPED, "top": "y"}, True),
        ({"path": "/a", **TOPPED, "top": "x"}, {"path": "/a", **TOPPED, "top": "x/y"}, False),
        ({"path": "/a", **TOPPED, "top": "x"}, {"path": "/a", **TOPPED, "top": "./x/"}, False),
        ({"path": "/a", **TOPPED, "top": "x"}, {"path": "/a", **TOPPED, "top": "xy"}, True),
        ({"path": "/a", **TOPPED, "top": "x"}, {"path": "/a", **UNTOPPED, "top": "y"}, False),
        ({"path": "/a", **UNTOPPED, "top": "x"}, {"path": "/a", **UNTOPPED, "top": "y"}, False),
        # Roots in each other: removing a delivery removes the folders that become empty.
        ({"path": "/a", **TOPPED, "top": "x"}, {"path": "/a/y", **TOPPED, "top": "y"}, False),
        ({"path": "/a/../b"}, {"path": "/b"}, False),
    ],
)
def test_two_workspaces_may_share_a_root_only_if_their_tops_keep_them_apart(
    one: dict[str, object], other: dict[str, object], together: bool
) -> None:
    share = "two.targets.share.path < one.targets.share.path"
    assert two(one, other) == ([] if together else [share])


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ({}, {"bucket": "other"}, True),
        ({}, {}, False),
        ({}, {"endpoint_url": "https://store.example"}, True),
        (
            {"endpoint_url": "https://store.example/"},
            {"endpoint_url": "https://STORE.example"},
            False,
        ),
        (
            {"endpoint_url": "https://store.example"},
            {"endpoint_url": "https://store.example:443"},
            False,
        ),
        (
            {"endpoint_url": "https://store.example"},
            {"endpoint_url": "https://store.example:444"},
            True,
        ),
        ({"top": "x"}, {"top": "y"}, True),
        ({"top": "x"}, {"top": "x/y"}, False),
        ({"top": "x"}, {"top": "y", "key_template": "{subject_id}/{top}/{study}"}, False),
        ({"key_template": "a-{study}"}, {"key_template": "a-b/{study}"}, False),
        ({"key_template": "a/{study}"}, {"key_template": "b/{study}"}, True),
    ],
)
@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_two_workspaces_may_share_a_bucket_only_if_their_keys_begin_differently(
    kind: str, one: dict[str, object], other: dict[str, object], together: bool
) -> None:
    base = {"kind": kind, "bucket": "deliveries"}
    bucket = f"two.targets.{kind}.bucket < one.targets.{kind}.bucket"
    assert two({**base, **one}, {**base, **other}) == ([] if together else [bucket])


def test_a_bucket_of_one_store_is_not_that_of_another() -> None:
    assert two({"kind": "s3", "bucket": "same"}, {"kind": "gcs", "bucket": "same"}) == []


def test_two_targets_of_one_workspace_do_not_lie_among_each_other_either() -> None:
    twice = {"kind": "s3", "bucket": "same"}
    assert clashes({"near": twice, "far": twice}) == [
        "one.targets.far.bucket < one.targets.near.bucket"
    ]
    assert clashes({"near": {"path": "/a"}, "far": {"path": "/a/b"}}) == [
        "one.targets.far.path < one.targets.near.path"
    ]


# -- servers and logins --------------------------------------------------------------------------


def test_only_an_orthanc_can_be_watched() -> None:
    watch = {"mode": "manifest"}
    orthanc = {"kind": "orthanc", "url": "https://pacs:8042"}
    workspaces = {
        "one": {"source": orthanc, "target": {"path": "/a"}, "watch": watch},
        "two": {"source": IN, "target": {"path": "/b"}, "watch": watch},
    }
    assert judged(workspaces=workspaces) == ["two.watch < two.source"]


def test_the_qc_orthanc_is_the_source_of_no_workspace() -> None:
    source = {"kind": "orthanc", "url": "https://pacs:8042"}
    review = {"kind": "orthanc", "url": "https://PACS:8042/"}
    workspaces = {
        "one": {"source": source, "target": {"path": "/a"}},
        "two": {"source": IN, "target": {"path": "/b"}, "qc": {"orthanc": review}},
    }
    assert judged(workspaces=workspaces) == ["two.qc.orthanc.url < one.source.url"]
    review["url"] = "https://pacs:8043"
    assert judged(workspaces=workspaces) == []


@pytest.mark.parametrize(
    ("source", "review", "same"),
    [
        ("http://pacs", "http://pacs:80", True),
        ("https://pacs:443", "https://pacs/", True),
        ("http://reader:pw@pacs:8042", "http://pacs:8042", True),
        ("http://[fd00::1]:8042", "http://[FD00::1]:8042", True),
        ("http://pacs", "https://pacs", True),
        ("http://pacs", "http://pacs:8042", False),
        ("http://pacs/one", "http://pacs/two", False),
    ],
)
def test_one_server_is_known_by_any_of_its_addresses(source: str, review: str, same: bool) -> None:
    one = {
        "source": {"kind": "orthanc", "url": source},
        "target": {"path": "/a"},
        "qc": {"orthanc": {"kind": "orthanc", "url": review}},
    }
    expected = ["one.qc.orthanc.url < one.source.url"] if same else []
    assert judged(workspaces={"one": one}) == expected


@pytest.mark.parametrize(
    ("login", "together"),
    [
        ("username: u, password: 'env:P'", True),
        ("token: 'env:T'", True),
        ("password: 'env:P'", False),
        ("username: u, password: 'env:P', token: 'env:T'", False),
    ],
)
@pytest.mark.parametrize("kind", ["orthanc", "dicomweb"])
def test_a_login_is_whole_and_one(home: Home, kind: str, login: str, together: bool) -> None:
    home.write(
        "workspaces:\n  one:\n    target: {path: /out}\n"
        f"    source: {{kind: {kind}, url: 'https://pacs', {login}}}\n"
    )
    if together:
        load_settings()
    else:
        (fault,) = home.faults()
        assert fault.startswith("locutus.yaml:4:")


@pytest.mark.parametrize(
    ("keys", "refused"),
    [
        ({"access_key_id": "env:A", "secret_access_key": "env:S"}, []),
        ({"access_key_id": "env:A"}, ["access_key_id"]),
        ({"secret_access_key": "env:S"}, ["secret_access_key"]),
        ({"session_token": "env:T"}, ["session_token"]),
        ({"kms_key_id": "k"}, ["kms_key_id"]),
        ({"kms_key_id": "k", "encryption": "aws:kms"}, []),
        (
            {"profile": "p", "access_key_id": "env:A", "secret_access_key": "env:S"},
            ["profile < one.targets.s3.access_key_id"],
        ),
    ],
)
def test_a_store_s_credentials_are_whole_and_of_one_kind(
    keys: dict[str, str], refused: list[str]
) -> None:
    found = clashes({"s3": {"kind": "s3", "bucket": "deliveries", **keys}})
    assert found == [f"one.targets.s3.{key}" for key in refused]


# -- as a person sees it -------------------------------------------------------------------------


def test_both_places_are_told_and_a_key_is_called_as_it_was_written(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write(
        """\
workspaces:
  one:
    source: {kind: folder, path: /in}
    target: {path: /out}
"""
    )
    load_settings()
    monkeypatch.setenv("LOCUTUS_SCRATCH", "/out/scratch")
    assert home.faults() == [
        (
            "locutus.yaml:4:14: workspaces.one.target.path: overlaps the scratch space of "
            "'scratch' (LOCUTUS_SCRATCH): identified files would be delivered"
        )
    ]


def test_two_ways_to_say_one_thing_in_one_layer_are_refused(home: Home) -> None:
    home.write(
        """\
ledger_url: env:URL
ledger: {host: db, name: l, user: u}
workspaces:
  one:
    source: {kind: folder, path: /in}
    target: {path: /out}
    targets: {share: {path: /out}}
"""
    )
    assert home.faults() == [
        "locutus.yaml:1:1: ledger_url: both 'ledger_url' and 'ledger' are given: keep one of them",
        (
            "locutus.yaml:6:5: workspaces.one.target: both 'target' and 'targets' are given: keep "
            "one of them"
        ),
    ]


def test_one_secret_and_one_orthanc_may_serve_two_workspaces(home: Home) -> None:
    home.write(
        """\
workspaces:
  one: &one
    source: {kind: orthanc, url: "https://pacs"}
    target: {path: /out/one}
    secret: file:/etc/locutus/ring
  two:
    <<: *one
    target: {path: /out/two}
"""
    )
    assert sorted(load_settings().workspaces) == ["one", "two"]
