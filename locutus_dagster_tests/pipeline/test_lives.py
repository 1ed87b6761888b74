"""Whole lives of accessions: any sequence of arrivals, manifests, runs, faults and crashes.

A model knows what the source holds and what was asked for. After any sequence, every accession is
in a legal state with a history that adds up, the share holds exactly what the ledger says it
holds, nothing was delivered twice without being asked for, and one undisturbed run finishes what
can be finished and leaves nothing interim.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from locutus_dagster.errors import LocutusError
from locutus_dagster.ledger import State
from locutus_dagster.ledger.states import TRANSITIONS
from locutus_dagster.pipeline.outcomes import Finished
from locutus_dagster.run_modes import Reprocess, Sweep
from locutus_dagster_tests.pipeline.small_world import SmallWorld

NUMBERS = ("ACC1", "ACC2", "ACC3")
PLACES = (
    "extract:written",
    "extract:renamed",
    "extract:recorded",
    "transform:written",
    "transform:renamed",
    "transform:recorded",
    "transform:cleared",
    "deliver:put",
    "deliver:recorded",
    "deliver:cleared",
    "again:recorded",
    "withdraw:removed",
)
_WORLD = settings(
    max_examples=16,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)

numbers = st.sampled_from(NUMBERS)
studies = st.sampled_from(("one", "two"))
modes = st.sampled_from(list(Reprocess))
sweeps = st.sampled_from(list(Sweep))


class Lives(RuleBasedStateMachine):
    """Commands over a small workspace, and what must hold whatever the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.world = SmallWorld.build(self.root / "w")
        self.held: dict[str, dict[str, int]] = {number: {} for number in NUMBERS}
        self.keys: list[str] = []
        self.withdrawing = False

    @initialize(present=st.sets(numbers))
    def begin(self, present: set[str]) -> None:
        """Some studies are there already, and one manifest names all accessions."""
        for number in sorted(present):
            self.arrives(number, "one", 1)
        self.keys += self.world.load(*NUMBERS)

    # -- what happens ----------------------------------------------------------------------

    @rule(number=numbers, study=studies, instances=st.integers(1, 3))
    def arrives(self, number: str, study: str, instances: int) -> None:
        """A study arrives, or further instances of one that is there."""
        self.world.put_study(number, study, instances)
        before = self.held[number].get(study, 0)
        self.held[number][study] = max(before, instances)

    @rule(number=numbers, study=studies)
    def is_let_go(self, number: str, study: str) -> None:
        """The source forgets a study."""
        if self.held[number].pop(study, 0):
            self.world.drop_study(number, study)

    @precondition(lambda self: len(self.keys) < 9)
    @rule(number=numbers, subject=st.sampled_from(("P1", "P2")))
    def is_asked_for_again(self, number: str, subject: str) -> None:
        """A further manifest names an accession, perhaps for another subject."""
        self.keys += self.world.load(number, subject=subject)

    @rule(mode=modes, sweep=sweeps, withdraw=st.booleans(), data=st.data())
    def runs(self, mode: Reprocess, sweep: Sweep, withdraw: bool, data: st.DataObject) -> None:
        """A run over some of the partitions."""
        keys = data.draw(st.lists(st.sampled_from(self.keys), unique=True, min_size=1))
        ends = self.world.run(keys, reprocess=mode, sweep=sweep, withdraw=withdraw)
        told = [end.partition_key for end in ends if isinstance(end, Finished)]
        assert sorted(told) == sorted(keys)  # each has exactly one last word
        self.withdrawing = withdraw

    @rule(
        place=st.sampled_from(PLACES),
        nth=st.integers(1, 2),
        mode=modes,
        withdraw=st.booleans(),
    )
    def is_killed(self, place: str, nth: int, mode: Reprocess, withdraw: bool) -> None:
        """A run dies by SIGKILL where it has just committed, renamed or removed something."""
        self.world.killed(self.keys, f"{place}#{nth}", reprocess=mode, withdraw=withdraw)

    @rule()
    def finds_no_share(self) -> None:
        """A run meets a share that is not mounted."""
        share, away = self.root / "w" / "share", self.root / "w" / "away"
        share.rename(away)
        try:
            self.world.run(self.keys)
        except LocutusError as error:
            refused = error.message
        else:
            refused = "share"  # nothing came as far as to be refused
        finally:
            away.rename(share)
        assert "share" in refused

    # -- what must hold --------------------------------------------------------------------

    def _accessions(self) -> dict[str, int]:
        return {
            self.world.item(key).accession_number: self.world.item(key).accession_id
            for key in self.keys
        }

    @invariant()
    def histories_add_up(self) -> None:
        for identity in self._accessions().values():
            stands = State.LOADED
            for event in self.world.ledger.events(identity):
                assert event.before is stands
                assert event.after in TRANSITIONS[stands]
                stands = event.after
            assert self.world.ledger.state_of(identity) is stands

    @invariant()
    def one_delivery_stands_at_most(self) -> None:
        for identity in self._accessions().values():
            standing = self.world.ledger.standing(identity)
            assert len(standing) <= 1
            if self.world.ledger.state_of(identity) is State.DELIVERED:
                assert len(standing) == 1

    @invariant()
    def nothing_is_delivered_twice_unasked(self) -> None:
        for identity in self._accessions().values():
            asked = [event.after for event in self.world.ledger.events(identity)].count(
                State.REQUESTED
            )
            times = Counter(d.fingerprint for d in self.world.ledger.deliveries(identity))
            assert sum(times.values()) <= 1 + asked

    @invariant()
    def what_stands_lies_on_the_share(self) -> None:
        lies = {path.as_uri() for path in self.world.zips()}
        for identity in self._accessions().values():
            for delivery in self.world.ledger.standing(identity):
                assert delivery.uri in lies

    def teardown(self) -> None:
        """One undisturbed run ends it all, and a second one finds nothing to do."""
        try:
            if self.keys:
                self._ends_well()
        finally:
            self.world.ledger.close()
            shutil.rmtree(self.root)

    def _ends_well(self) -> None:
        world = self.world
        world.run(self.keys, withdraw=True)
        for key in self.keys:
            item = world.item(key)
            held = self.held[item.accession_number]
            if len(held) == 1:
                assert item.state is State.DELIVERED
            elif item.state is not State.DELIVERED:
                assert item.state is (State.AMBIGUOUS if held else State.PENDING)
            assert item.claimed_until is None
        assert world.leftovers() == []
        self._share_is_as_recorded()
        before = [world.ledger.events(identity) for identity in self._accessions().values()]
        noted = len(world.noted())
        world.run(self.keys)
        after = [world.ledger.events(identity) for identity in self._accessions().values()]
        delivered = [
            [event for event in events if event.after is State.DELIVERED] for events in after
        ]
        assert delivered == [
            [event for event in events if event.after is State.DELIVERED] for events in before
        ]
        assert len(world.noted()) == noted

    def _share_is_as_recorded(self) -> None:
        recorded = {
            delivery.uri
            for identity in self._accessions().values()
            for delivery in self.world.ledger.deliveries(identity)
            if delivery.withdrawn_at is None
        }
        assert {path.as_uri() for path in self.world.zips()} == recorded


LivesTest = Lives.TestCase
LivesTest.settings = _WORLD
