"""`locutus show`: the bridge between accession numbers, partitions and subjects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.resolutions import ResolutionRecord, ResolveCommand
from locutus_dagster.ledger.schema import Manifest, ManifestRow
from locutus_dagster.ledger.work import Attempt, DeliveryRecord
from locutus_dagster.pipeline.host import HOST
from locutus_dagster_tests.cli.a_home import OTHER, SECRET, ask, lines, make_home
from locutus_dagster_tests.ledger.rows import add_items, artifact, delivery, report
from locutus_dagster_tests.pipeline.small_world import SmallWorld


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallWorld]:
    """A home with nothing in it."""
    made = make_home(tmp_path / "world", monkeypatch)
    yield made
    made.ledger.close()


@pytest.fixture
def delivered(world: SmallWorld) -> SmallWorld:
    """Two accessions of one subject: one with a study, which a run has delivered; one without."""
    world.put_study(SECRET, instances=3)
    world.run(world.load(SECRET, OTHER, name="batch", subject="C0001"))
    return world


def facts(*arguments: str) -> dict[str, Any]:
    done = ask("show", *arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


def only(*arguments: str) -> dict[str, Any]:
    (one,) = facts(*arguments)["accessions"]
    assert isinstance(one, dict)
    return one


def test_after_a_run_everything_that_came_of_an_accession_is_shown(delivered: SmallWorld) -> None:
    done = ask("show", SECRET)
    assert done.exit_code == 0, done.output
    said = lines(done.output)
    (zip_path,) = delivered.zips()
    item = delivered.item("batch~000001")
    (receipt,) = delivered.ledger.deliveries(item.accession_id)
    assert ["state", "delivered:", "the", "target", "has", "confirmed", "the", "zip"] in said
    assert ["reference", "status", "PROCESSED"] in said
    assert ["run", "run-1"] in said
    assert ["pseudonymous", "study", item.study_uid] in said
    assert ["instances", "3:", "3", "to", "deliver,", "0", "withheld"] in said
    assert ["3", "clean"] in said
    assert ["standing", receipt.target, zip_path.as_uri()] in said
    assert receipt.sha256 in done.output
    assert f"{zip_path.stat().st_size:,} bytes in 3 instances" in done.output
    row = next(words for words in said if words[0] == "batch~000001")
    assert row[1:8] == ["batch", "1", "2", "C0001", "CT", "12", "head"]
    assert "processed for this row" in done.output
    history = [words[3:5] for words in said if words[:1] and re.match(r"\d{4}-", words[0])]
    assert history == [
        ["loaded", "extracted"],
        ["extracted", "deidentified"],
        ["deidentified", "delivered"],
    ]


def test_json_has_the_same_facts(delivered: SmallWorld) -> None:
    one = only(SECRET)
    assert (one["accession_number"], one["found_by"]) == (SECRET, ["accession number"])
    assert (one["workspace"], one["state"], one["reference_status"]) == (
        "default",
        "delivered",
        "PROCESSED",
    )
    assert [row["partition"] for row in one["rows"]] == ["batch~000001"]
    assert one["rows"][0]["subject_id"] == "C0001"
    assert set(one["made_from"]) >= {"source", "subject", "policy", "engine", "key", "target"}
    assert all(len(short) <= 12 for short in one["made_from"].values())
    assert one["deidentified_with"]["policy"] == "basic"
    assert one["instances"] == [{"disposition": "clean", "reason": "", "instances": 3}]
    (receipt,) = one["deliveries"]
    assert (receipt["stands"], receipt["run"], receipt["partition"]) == (
        "standing",
        "run-1",
        "batch~000001",
    )
    assert [event["to"] for event in one["history"]] == ["extracted", "deidentified", "delivered"]
    assert one["interim"] == one["retired"] == one["resolutions"] == one["recalls"] == []
    assert one["in_hand"] is None


@pytest.mark.parametrize("what", ["batch~000001", "batch~1", "C0001"])
def test_a_number_that_was_not_typed_is_not_shown_unless_it_is_asked_for(
    delivered: SmallWorld, what: str
) -> None:
    for options in ((), ("--brief",), ("--json",), ("--brief", "--json")):
        done = ask("show", what, *options)
        assert done.exit_code == 0, done.output
        assert "SECRET" not in done.output
        assert "batch~000001" in done.output
        asked = ask("show", what, "--accessions", *options)
        assert SECRET in asked.output


def test_a_number_that_was_typed_does_not_bring_others_with_it(world: SmallWorld) -> None:
    # The number of one accession is the subject of another.
    world.load("C0001", name="one", subject="C9")
    world.load(SECRET, name="two", subject="C0001")
    found = facts("C0001")["accessions"]
    assert [one["found_by"] for one in found] == [["accession number"], ["subject"]]
    done = ask("show", "C0001")
    assert "SECRET" not in done.output
    assert "two~000001" in done.output


def test_a_subject_is_a_table_of_its_accessions_and_then_each_of_them(
    delivered: SmallWorld,
) -> None:
    done = ask("show", "C0001")
    said = lines(done.output)
    assert said[0][:3] == ["workspace", "partitions", "subject"]
    assert said[1][:4] == ["default", "batch~000001", "C0001", "PROCESSED"]
    assert said[2][:4] == ["default", "batch~000002", "C0001", "PENDING_CHANGE"]
    assert sum(words == ["History"] for words in said) == 2
    brief = lines(ask("show", "C0001", "--brief").output)
    assert brief == said[:3]


def test_every_workspace_is_searched_unless_one_is_named(world: SmallWorld) -> None:
    add_items(world.ledger, SECRET, name="here", workspace="default")
    add_items(world.ledger, SECRET, name="there", workspace="spine")
    assert [one["workspace"] for one in facts(SECRET)["accessions"]] == ["default", "spine"]
    assert only(SECRET, "-w", "spine")["workspace"] == "spine"
    done = ask("show", SECRET, "-w", "chip")
    assert done.exit_code == 1
    assert "knows no workspace 'chip' (known: default, spine)" in done.output


@pytest.mark.parametrize("what", [OTHER, SECRET.lower(), "batch~000009", "", " "])
def test_what_nobody_knows_is_one_message_with_a_hint_that_repeats_no_number(
    world: SmallWorld, what: str
) -> None:
    world.load(SECRET, name="batch")
    done = ask("show", what)
    assert done.exit_code == 1
    assert "batch1~000001" in done.output
    assert "SECRET" not in done.output.upper()


def test_a_home_without_a_ledger_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUTUS_HOME", str(tmp_path))
    done = ask("show", SECRET)
    assert done.exit_code == 1
    assert "There is no ledger" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_rejected_row_is_told_by_place_and_reason_and_not_by_what_it_holds(
    world: SmallWorld,
) -> None:
    world.load(SECRET, name="batch", subject=SECRET)  # the subject would identify the patient
    world.load(OTHER, name="good", subject="C1")
    (row,) = facts(SECRET)["rejected_rows"]
    assert (row["manifest"], row["row"], row["line"], row["column"]) == (
        "batch",
        1,
        2,
        "SUBJECT_ID",
    )
    done = ask("show", SECRET)
    assert done.exit_code == 0
    assert "which would identify the patient" in done.output
    assert "SECRET" not in done.output


def live(ledger: Ledger) -> None:
    """Give one accession everything that can befall one."""
    (item,) = add_items(ledger, SECRET, name="batch", workspace="default")
    identity = item.accession_id
    by = Attempt(run_id="run-7", row_id=item.row_id, settings="f" * 16, label="night 3")
    made_from = {"source": "a" * 64, "subject": "b" * 64}

    def deliver(one: DeliveryRecord, *, withdraw: str = "") -> None:
        ledger.record_extracted(
            identity,
            artifact(host="elsewhere", made_from=made_from),
            source_study="ORTHANC-HANDLE",
            source_fingerprint="a" * 64,
            by=by,
        )
        ledger.record_deidentified(
            identity,
            artifact("deidentified", host=HOST),
            [],
            report(),
            study_uid="2.25.1",
            study_token="t",
            by=by,
        )
        ledger.record_delivered(identity, one, withdraw=withdraw, by=by)

    deliver(delivery(uri="file:///share/one.zip", made_from=made_from))
    ledger.request_reprocessing(identity, "its subject was wrong", retire=True, by=by)
    deliver(delivery(uri="file:///share/two.zip", made_from=made_from), withdraw="superseded")
    for one in ledger.to_withdraw("default"):
        ledger.record_withdrawn(one[1].identity, "5 bytes")
    ledger.resolve(identity, ResolutionRecord(ResolveCommand.MERGE, reason="asked"))
    ledger.resolve(
        identity,
        ResolutionRecord(
            ResolveCommand.CHOOSE, "ORTHANC-HANDLE", {"OTHER-HANDLE": "3"}, reason="the later one"
        ),
    )
    ledger.recall("default", "consent withdrawn", subject_id="S1")
    ledger.note_changed(item.row_id, "subject,policy")
    ledger.claim(identity, "pacs-host-2|1|2|3|4", 600)


def test_all_that_can_befall_an_accession_is_shown_with_when_and_why(world: SmallWorld) -> None:
    live(world.ledger)
    one = only(SECRET)
    assert [(d["stands"], d["uri"]) for d in one["deliveries"]] == [
        ("withdrawn", "file:///share/one.zip"),
        ("standing", "file:///share/two.zip"),
    ]
    assert one["deliveries"][0]["superseded_at"]
    assert one["deliveries"][0]["withdrawn"] == "5 bytes"
    assert one["made_from"] == {"source": "a" * 12, "subject": "b" * 12}
    assert [(f["kind"], f["here"]) for f in one["interim"]] == [
        ("raw", False),
        ("deidentified", True),
    ]
    assert [(r["generation"], r["state"], r["why"]) for r in one["retired"]] == [
        (1, "delivered", "its subject was wrong")
    ]
    assert one["generation"] == 2
    assert [(r["command"], r["stands"]) for r in one["resolutions"]] == [
        ("MERGE_at_RADIOLOGY", False),
        ("CHOOSE_LOCALLY", True),
    ]
    assert [(r["of"], r["reason"]) for r in one["recalls"]] == [("subject", "consent withdrawn")]
    assert one["in_hand"]["host"] == "pacs-host-2"
    assert one["rows"][0]["changed"] == ["subject", "policy"]
    assert one["rows"][0]["reference_status"].startswith("PREVIOUS_PROCESSING_USED_[S1")
    assert "CFGs:policy]" in one["rows"][0]["reference_status"]
    assert [event["to"] for event in one["history"]][3] == "requested"
    assert one["history"][3]["why"] == "its subject was wrong"
    assert {event["label"] for event in one["history"]} == {"night 3"}
    said = ask("show", SECRET).output
    for expected in (
        "superseded",
        "withdrawn",
        "elsewhere (another host)",
        "its subject was wrong",
        "CHOOSE_LOCALLY",
        "consent withdrawn",
        "pacs-host-2",
        "changed since the delivery: subject, policy",
        "night 3",
        "source aaaaaaaaaaaa",
    ):
        assert expected in said, expected


def test_handles_of_the_source_are_not_shown(world: SmallWorld) -> None:
    live(world.ledger)
    with world.ledger.session() as session:
        row = session.query(ManifestRow).one()
        row.resolve_via = "CHOOSE_LOCALLY:uuid=ORTHANC-HANDLE"
        row.extra = {"MRN": "MRN-90017733"}
    for options in ((), ("--json",), ("--accessions",)):
        said = ask("show", SECRET, *options).output
        assert "HANDLE" not in said
        assert "MRN-90017733" not in said
        assert "CHOOSE_LOCALLY" in said


def test_a_duplicate_says_of_which_row(world: SmallWorld) -> None:
    (item,) = add_items(world.ledger, SECRET, name="batch", workspace="default")
    with world.ledger.session() as session:
        session.add(
            ManifestRow(
                manifest_id=session.query(Manifest).one().id,
                workspace="default",
                row_number=4,
                line=5,
                accession_id=item.accession_id,
                duplicate_of=item.row_id,
                subject_id="S1",
                extra={},
            )
        )
    assert [row["duplicate_of_row"] for row in only(SECRET)["rows"]] == [None, 1]
    assert "duplicate of row 1" in ask("show", SECRET).output


def test_markup_in_a_reason_is_printed_as_it_is(world: SmallWorld) -> None:
    (item,) = add_items(world.ledger, SECRET, name="batch", workspace="default")
    reason = "[red]no[/red] room [/x]"
    world.ledger.record_state(item.accession_id, State.FAILED, phase=4, reason=reason)
    done = ask("show", "batch~000001")
    assert done.exit_code == 0, done.output
    assert f"ERROR_PHASE04=[{reason}]" in done.output


def test_a_target_that_failed_is_shown_with_its_reason_beside_one_that_confirmed(
    world: SmallWorld,
) -> None:
    several = world.with_targets(share=True, mirror=True)
    several.put_study(SECRET)
    (key,) = several.load(SECRET)
    (several.root / "mirror").rmdir()
    several.run([key])
    (one,) = facts(key)["accessions"]
    told = {target["target"]: target for target in one["targets"]}
    assert told["share"]["stands"] == "has confirmed; others have not"
    assert (told["mirror"]["stands"], told["mirror"]["tries"]) == ("failed", 1)
    assert "is not there" in told["mirror"]["reason"]
    assert "is not there" in ask("show", key).output
