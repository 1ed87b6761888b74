"""The parts that one workspace's chain is put together from.

What belongs here: turning settings into a source, a target, an interim store, a policy and a key
ring. What does not: using them (`chain.py`). Tests hand in parts of their own by naming
another factory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Protocol, cast

from locutus_dagster.deid import Policy, Pseudonyms
from locutus_dagster.deid.identities.keys import KeyRing
from locutus_dagster.errors import LocutusError
from locutus_dagster.interim import InterimStore
from locutus_dagster.ledger import Ledger
from locutus_dagster.pipeline.claiming import Claimant
from locutus_dagster.pipeline.host import new_owner
from locutus_dagster.pipeline.target_health import TargetHealth
from locutus_dagster.pipeline.workspace_policy import workspace_policy
from locutus_dagster.pipeline.workspace_secret import load_keys
from locutus_dagster.settings import FolderSourceSettings, Settings, WorkspaceSettings
from locutus_dagster.sources.base import SourceContext, StudySource
from locutus_dagster.sources.registry import open_source
from locutus_dagster.targets import Target, TargetContext
from locutus_dagster.targets.registry import open_target

__all__ = [
    "DEFAULT_FACTORY",
    "Parts",
    "PartsFactory",
    "ReviewMissingError",
    "build_parts",
    "build_source",
    "build_targets",
    "factory_named",
]


class ReviewMissingError(LocutusError):
    """A workspace asks for a person's review before anything is delivered."""


def _carry_on(_place: str) -> None:
    """Do nothing at a checkpoint."""


@dataclass
class Parts:
    """Everything a chain works with, built inside the process that uses it.

    Attributes:
        secret_created: the workspace's secret was made just now; with parts that are made to look
            only, one that is kept nowhere stands in for it.
        another_source: makes a source for a further thread; None where one is enough.
        checkpoint: called with the name of each place where the chain has just committed,
            renamed or deleted something; tests end the process there.
        claimant: what this process has in hand.
        health: which targets are down.
    """

    settings: Settings
    workspace: str
    ledger: Ledger
    source: StudySource
    targets: Mapping[str, Target]
    interim: InterimStore
    policy: Policy
    keys: KeyRing
    secret_created: bool = False
    another_source: Callable[[], StudySource] | None = None
    checkpoint: Callable[[str], None] = field(default=_carry_on)
    claimant: Claimant = field(init=False)
    health: TargetHealth = field(init=False)

    def __post_init__(self) -> None:
        self.health = TargetHealth(lambda: self.targets)
        self.claimant = Claimant(self.ledger, new_owner(), self.settings.run.lease)

    @property
    def workspace_settings(self) -> WorkspaceSettings:
        """The settings of the workspace at hand."""
        return self.settings.workspace(self.workspace)

    @property
    def pseudonyms(self) -> Pseudonyms:
        """The identities of whatever is de-identified from now on."""
        return self.keys.current

    def check(self) -> None:
        """Look whether the source and a target can be used, before anything moves.

        Where one of several targets can be used, a run is worth its while: accessions that need
        another one fail by themselves, and say so.

        Raises:
            LocutusError: one of them cannot; the message says what to do.
        """
        self.interim.prepare()
        self.source.check()
        self.health.check()

    def close(self) -> None:
        """Return connections."""
        self.claimant.close()
        self.source.close()
        for target in self.targets.values():
            target.close()
        self.ledger.close()


class PartsFactory(Protocol):
    """Puts a workspace's parts together; see `build_parts`."""

    def __call__(self, settings: Settings, workspace: str, *, look_only: bool = False) -> Parts:
        """The parts, built inside the process that uses them."""


DEFAULT_FACTORY = "locutus_dagster.pipeline.parts:build_parts"


def build_parts(settings: Settings, workspace: str, *, look_only: bool = False) -> Parts:
    """Put together the parts that the settings ask for.

    Args:
        look_only: for looking at what is there: nothing is created, noted or brought up to date
            for the parts, and the ledger refuses changes. `check` would write, so it is not called.

    Raises:
        LocutusError: the workspace is unknown or asks for a review, its policy has problems, the
            ledger cannot be opened, or the workspace's secret is gone.
    """
    own = settings.workspace(workspace)
    if own.qc.enabled:
        # Delivering what nobody has looked at would be worse than delivering nothing.
        raise ReviewMissingError(
            f"Workspace '{workspace}' asks for manual QC (qc.enabled), which this version of "
            "Locutus does not have.",
            "Nothing is processed without it. Set qc.enabled to false where a project can do "
            "without a person's review.",
        )
    policy = workspace_policy(settings, workspace)
    opened = Ledger.open_existing if look_only else Ledger.open
    ledger = opened(settings.find_ledger)
    keys, created = load_keys(settings, workspace, ledger, look_only=look_only)
    return Parts(
        settings=settings,
        workspace=workspace,
        ledger=ledger,
        source=build_source(settings, workspace, look_only=look_only),
        targets=build_targets(settings, workspace),
        interim=InterimStore(settings.scratch_dir, settings.scratch_limit),
        policy=policy,
        keys=keys,
        secret_created=created,
        # Each source over a folder reads it by itself, and none of them waits for a network.
        another_source=None
        if isinstance(own.source, FolderSourceSettings)
        else partial(build_source, settings, workspace, look_only=look_only),
    )


def build_source(settings: Settings, workspace: str, *, look_only: bool = False) -> StudySource:
    """The workspace's source; one of its own for each thread that asks."""
    return open_source(
        settings.workspace(workspace).source,
        SourceContext(workspace, settings.private_dir, settings.secrets, look_only),
    )


def build_targets(settings: Settings, workspace: str) -> dict[str, Target]:
    """The workspace's targets by name, in the order of its settings."""
    return {
        name: open_target(told, TargetContext(workspace, name, settings.secrets))
        for name, told in settings.workspace(workspace).targets.items()
    }


def factory_named(name: str) -> PartsFactory:
    """The factory behind `module:function`, the form in which workers are told of it."""
    module, _, function = name.partition(":")
    return cast(PartsFactory, getattr(import_module(module), function))
