"""A workspace's key ring: what a new key changes, and what it must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from locutus_dagster.deid.identities.keys import KeyRing, rotated
from locutus_dagster.ledger import Ledger, State
from locutus_dagster.ledger.schema import Workspace
from locutus_dagster.pipeline.outcomes import Result
from locutus_dagster.pipeline.workspace_secret import load_keys, secret_path
from locutus_dagster.secret_refs import SecretMissingError
from locutus_dagster_tests.pipeline.world import World, results

SECRETS = tuple(digit * 64 for digit in "abc")


def ring_of(world: World) -> Path:
    return secret_path(world.settings, "default")


def rotate(world: World) -> KeyRing:
    text = rotated(ring_of(world).read_text(encoding="ascii"))
    ring_of(world).write_text(text, encoding="ascii")
    return KeyRing.parse(text)


def key_of_report(world: World, accession_number: str) -> str:
    report = world.ledger.deid_report(world.item(accession_number).accession_id)
    assert report is not None
    return report.key_id


def test_a_rotated_key_leaves_old_deliveries_and_makes_the_new_ones(world: World) -> None:
    first, second = world.pacs.accessions[:2]
    key = world.item(first).partition_key
    world.run([key])
    (before,) = world.delivered_zips()

    ring = rotate(world)
    ended = results(world.run([key, world.item(second).partition_key]))

    assert list(ended.values()) == [Result.UNCHANGED, Result.DELIVERED]
    assert before in world.delivered_zips()
    assert (key_of_report(world, first), key_of_report(world, second)) == ring.key_ids
    assert world.ledger.workspace_key_id("default") == ring.current.key_id


def test_what_was_not_delivered_yet_is_made_again_with_the_new_key(world: World) -> None:
    item = world.whole()
    blocker = world.share / ".TopLevel"
    blocker.write_text("a file where a folder should be")
    world.run([item.partition_key])
    assert world.whole().state is State.FAILED
    old_token = world.whole().study_token

    ring = rotate(world)
    blocker.unlink()
    world.run([item.partition_key])

    assert world.whole().state is State.DELIVERED
    assert world.whole().study_token != old_token
    assert key_of_report(world, item.accession_number) == ring.current.key_id
    (delivered,) = world.delivered_zips()
    assert str(world.whole().study_token) in delivered.name


def test_an_older_ring_in_the_place_of_a_rotated_one_is_noticed(world: World) -> None:
    world.run([world.whole().partition_key])
    old = ring_of(world).read_text(encoding="ascii")
    ring = rotate(world)
    world.run([world.whole().partition_key])
    ring_of(world).write_text(old, encoding="ascii")

    with pytest.raises(SecretMissingError, match=ring.current.key_id):
        world.run()


def test_a_ring_without_the_key_that_deliveries_were_made_with_is_noticed(world: World) -> None:
    world.run([world.whole().partition_key])
    known = world.ledger.workspace_key_id("default")
    ring_of(world).write_text(f"2 {SECRETS[1]}\n3 {SECRETS[2]}\n", encoding="ascii")

    with pytest.raises(SecretMissingError, match=f"key identifier {known}"):
        world.run()

    assert world.ledger.workspace_key_id("default") == known


class _Beside(Ledger):
    """A ledger in which another process always notes its key a moment earlier."""

    other = ""

    def set_workspace_key_id(self, name: str, key_id: str, *, before: str | None = None) -> None:
        super().set_workspace_key_id(name, self.other, before=before)
        super().set_workspace_key_id(name, key_id, before=before)


def test_two_processes_that_note_a_rotated_key_at_once_agree(world: World) -> None:
    list(world.batch().run([]))
    ring = rotate(world)
    ledger = _Beside(world.settings.ledger_address)
    ledger.other = ring.current.key_id

    load_keys(world.settings, "default", ledger)

    assert ledger.workspace_key_id("default") == ring.current.key_id


def test_a_process_with_an_older_ring_does_not_undo_a_newer_one(world: World) -> None:
    list(world.batch().run([]))
    rotate(world)
    ledger = _Beside(world.settings.ledger_address)
    ledger.other = "3-ffffffff"

    with pytest.raises(SecretMissingError, match="key identifier 3-ffffffff"):
        load_keys(world.settings, "default", ledger)

    assert ledger.workspace_key_id("default") == "3-ffffffff"


@pytest.mark.parametrize("rotate_it", [False, True])
def test_a_ledger_from_before_versions_knows_its_key_again(world: World, rotate_it: bool) -> None:
    list(world.batch().run([]))
    ring = rotate(world) if rotate_it else KeyRing.read(ring_of(world))
    with world.ledger.session() as session:
        session.get_one(Workspace, "default").key_id = ring.key_ids[0].removeprefix("1-")

    keys, created = load_keys(world.settings, "default", world.ledger)

    assert (keys.key_ids, created) == (ring.key_ids, False)
    assert world.ledger.workspace_key_id("default") == ring.current.key_id


def test_another_secret_is_noticed_by_a_ledger_from_before_versions(world: World) -> None:
    world.ledger.set_workspace_key_id("default", "0a1b2c3d")
    ring_of(world).write_text(SECRETS[0], encoding="ascii")

    with pytest.raises(SecretMissingError, match="key identifier 0a1b2c3d"):
        load_keys(world.settings, "default", world.ledger)


def test_a_ring_may_come_from_the_environment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = world.settings.workspaces["default"].model_copy(update={"secret": "env:STUDY_KEYS"})
    settings = world.settings.model_copy(update={"workspaces": {"default": own}})
    monkeypatch.setenv("STUDY_KEYS", f"1 {SECRETS[0]}\n7 {SECRETS[1]}\n")

    keys, created = load_keys(settings, "default", world.ledger)

    assert (keys.current.version, created) == (7, False)
    assert world.ledger.workspace_key_id("default") == keys.current.key_id


@pytest.mark.parametrize("text", ["hush hush", "short", "", f"2 {SECRETS[0]}\n1 {SECRETS[1]}"])
def test_a_ring_that_cannot_be_read_is_told_without_quoting_it(world: World, text: str) -> None:
    ring_of(world).write_text(text, encoding="ascii")

    with pytest.raises(SecretMissingError) as told:
        load_keys(world.settings, "default", world.ledger)

    said = repr(told.value) + str(told.value)
    assert not [secret for secret in ("hush", "short", *SECRETS) if secret in said]
    assert world.ledger.workspace_key_id("default") is None
