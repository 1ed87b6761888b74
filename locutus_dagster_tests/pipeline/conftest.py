"""The demo PACS once a session, a fresh world for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from locutus_dagster.demo.pacs import DemoPacs, build_demo_pacs
from locutus_dagster_tests.pipeline.small_world import SmallWorld
from locutus_dagster_tests.pipeline.world import World


@pytest.fixture(scope="session")
def demo_pacs(tmp_path_factory: pytest.TempPathFactory) -> DemoPacs:
    """The demo's PACS with the study that the gate must block."""
    return build_demo_pacs(tmp_path_factory.mktemp("pacs"), with_residue=True)


@pytest.fixture
def make_world(tmp_path: Path, demo_pacs: DemoPacs) -> Callable[..., World]:
    """Build a world with settings of one's own."""

    def make(**settings: object) -> World:
        return World.build(tmp_path / "world", demo_pacs, **settings)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world with the default settings, which works in this process."""
    return make_world()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallWorld]:
    """A workspace over a source of tiny studies, with nothing in it."""
    made = SmallWorld.build(tmp_path / "small")
    yield made
    made.ledger.close()
