"""Whatever happens in whatever order: each accession is asked for, for its last version, once."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from locutus_dagster.ledger import State
from locutus_dagster.pipeline.arrivals import RunRequestPlan
from locutus_dagster_tests.pipeline.watching_pacs import Watched

STUDIES = st.sampled_from(["s0", "s1", "s2"])


class Lives(RuleBasedStateMachine):
    """A PACS that lives, a watcher that is ended anywhere, runs that come late or never."""

    @initialize(mode=st.sampled_from(["manifest", "changes", "both"]))
    def begin(self, mode: str) -> None:
        self.root = Path(mkdtemp())
        self.w = Watched.build(self.root, mode=mode, redeliver_changed=True, page_size=3)
        if mode == "manifest":
            self.w.load("As0", "As1", "As2")
        self.queue: list[RunRequestPlan] = []
        self.arrive("s0", 1)
        self.all_goes_well()

    def teardown(self) -> None:
        if not hasattr(self, "w"):
            return
        try:
            self._come_to_an_end()
        finally:
            self.w.parts.close()
            shutil.rmtree(self.root)

    # -- the PACS ------------------------------------------------------------------------------

    @rule(study=STUDIES, instances=st.integers(1, 3))
    def arrive(self, study: str, instances: int) -> None:
        self.w.pacs.arrive(study, f"A{study}", instances)

    @rule(study=STUDIES)
    def arrive_and_rest(self, study: str) -> None:
        self.arrive(study, 1)
        self.w.pacs.rest()

    @rule()
    def rest(self) -> None:
        self.w.pacs.rest()

    @rule()
    def restart_pacs(self) -> None:
        self.w.pacs.restart()

    @rule()
    def replace_database(self) -> None:
        self.w.later(seconds=1)
        self.w.pacs.restore()

    @rule(seconds=st.sampled_from([1, 30, 90, 1200]))
    def wait(self, seconds: int) -> None:
        self.w.later(seconds=seconds)

    # -- the watcher ---------------------------------------------------------------------------

    @rule(deadline=st.sampled_from([0.0, 40.0]))
    def poll(self, deadline: float) -> None:
        self.w.watcher.poll(deadline)

    @rule(asked=st.booleans(), made=st.booleans())
    def request(self, asked: bool, made: bool) -> None:
        """Ended before the request is noted, or before it is made, or neither."""
        for plan in self.w.watcher.requests():
            if asked:
                self.w.watcher.asked(plan)
            if made:
                self.queue.append(plan)

    @rule()
    def crash(self) -> None:
        self.w.start()

    @rule()
    def all_goes_well(self) -> None:
        """A round in which nothing is in the way."""
        self.w.pacs.rest()
        self.w.live()

    # -- runs ----------------------------------------------------------------------------------

    @rule()
    def run_next(self) -> None:
        if self.queue:
            self.w.carry_out(self.queue.pop(0))

    @rule()
    def lose_next(self) -> None:
        if self.queue:
            self.queue.pop(0)

    @rule(told_to=st.booleans())
    def break_off_next(self, told_to: bool) -> None:
        """It ends before it begins with anything: it is told to, or something is wrong."""
        if self.queue:
            key = self.queue.pop(0).run_key
            self.w.watcher.forget(key) if told_to else self.w.watcher.broke_off(key)

    @rule()
    def fail_next(self) -> None:
        for key in self.queue.pop(0).partition_keys if self.queue else ():
            item = self.w.item(key)
            if item.state is not State.DELIVERED:
                self.w.ledger.record_state(
                    item.accession_id, State.FAILED, phase=3, reason="it was ill"
                )

    @invariant()
    def no_accession_has_two_rows(self) -> None:
        if hasattr(self, "w"):
            names = self.w.ledger.manifest_names("default")
            rows = sum(len(self.w.ledger.manifest_items("default", name)) for name in names)
            assert rows == len(self.w.items())

    def _come_to_an_end(self) -> None:
        """Left alone for a while, everything is delivered as it is, and nothing is asked for."""
        w = self.w
        for plan in self.queue:
            w.carry_out(plan)
        self.arrive_and_rest("s0")  # one last image, after whatever went before
        w.later(hours=4)
        for _ in range(10):
            w.later(minutes=16)
            w.live()
        wanted = {one.accession: one.fingerprint for one in w.pacs.studies.values()}
        assert w.delivered() == wanted
        assert w.live(times=2) == []
        assert w.watcher.outstanding() == {}
        count = w.ledger.stage_count("default")
        assert (count.present, count.growing, count.due, count.asked) == (len(wanted), 0, 0, 0)
        for number, item in w.items().items():
            made = [w.made_from(item)] if number in wanted else []
            seen = [
                (one.made_from or {})["source"] for one in w.ledger.deliveries(item.accession_id)
            ]
            assert len(set(seen)) == len(seen)  # no version was delivered twice
            assert seen[-1:] == made


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=14,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
