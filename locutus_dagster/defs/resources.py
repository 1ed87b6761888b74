"""The resource through which assets reach the engine.

What belongs here: one thin resource that creates plain objects of the rooms below. Settings and
secrets are read inside the run, so that none of them is in a run's configuration.
"""

from __future__ import annotations

import dagster as dg

from locutus_dagster.ledger import Ledger
from locutus_dagster.pipeline.batch import Batch
from locutus_dagster.pipeline.parts import DEFAULT_FACTORY, Parts, factory_named
from locutus_dagster.settings import Settings, load_settings

__all__ = ["EngineResource"]


class EngineResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Creates what works on accessions.

    Attributes:
        parts_factory: `module:function` that builds a workspace's parts; tests name their own.
    """

    parts_factory: str = DEFAULT_FACTORY

    def settings(self) -> Settings:
        """The settings that apply where this runs."""
        return load_settings()

    def batch(self, workspace: str, run_id: str) -> Batch:
        """A batch of the workspace, to be run."""
        return Batch(self.settings(), workspace, run_id, self.parts_factory)

    def parts(self, workspace: str) -> Parts:
        """The workspace's parts, for reading what has been made; the caller closes them."""
        return factory_named(self.parts_factory)(self.settings(), workspace)

    def ledger(self, *, look_only: bool = False) -> Ledger:
        """The ledger, opened; the caller closes it.

        Args:
            look_only: open what is there, and neither create nor migrate it.
        """
        address = self.settings().find_ledger
        return Ledger.open_existing(address) if look_only else Ledger.open(address)
