"""What a run does about an accession, given how it stands and what the run was asked to do.

What belongs here: gathering the facts, and the one decision over them, which the chain carries out
and which preflight and a dry run only show. What does not: carrying it out (`chain.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from locutus_dagster.errors import describe_unexpected
from locutus_dagster.ledger import LedgerError, Phase, State
from locutus_dagster.ledger.fingerprints import CONFIGURATION, Kind, changes, phase_of
from locutus_dagster.ledger.recalls import RecallRecord
from locutus_dagster.ledger.work import DeliveryRecord, WorkItem
from locutus_dagster.pipeline.fingerprints import delivery_made_from, usable_key_ids
from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.pipeline.parts import Parts
from locutus_dagster.pipeline.resolving import Nothing, settle
from locutus_dagster.run_modes import Reprocess, Sweep
from locutus_dagster.sources.base import FoundStudy
from locutus_dagster.targets import refuse_elsewhere

__all__ = ["Decision", "Do", "Facts", "decide", "look"]

_MID_WALK = {State.EXTRACTED: Phase.EXTRACT, State.DEIDENTIFIED: Phase.TRANSFORM}
_AGAIN = frozenset({Reprocess.FORCE, Reprocess.PREDELETE, Reprocess.PRERETIRE})
_BEGUN = frozenset({State.EXTRACTED, State.DEIDENTIFIED, State.FAILED})


class Do(str, Enum):
    """What is done about an accession."""

    PROCESS = "process"  # from where it stands
    AGAIN = "process again"  # what was made of it counts no more
    UNCHANGED = "report as done"
    COMPLETE = "deliver to further targets"  # what stands elsewhere, as it is
    CHANGED = "report as changed"  # delivered, and not what is asked for now
    LEAVE = "leave as it stands"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Facts:
    """What there is to know of an accession before anything is done.

    Attributes:
        standing: its deliveries that stand, oldest first.
        changed: how the last of them differs from what would be delivered now.
        row_delivered: a delivery was once made for this very row.
        recall: that stands for it or for its subject.
        missing: targets to which nothing has been delivered that stands.
        unasked: targets that cannot say whether their delivery is still there, and why, where that
            holds nothing up.
    """

    standing: Sequence[DeliveryRecord] = ()
    changed: tuple[Kind, ...] = ()
    row_delivered: bool = False
    recall: RecallRecord | None = None
    missing: tuple[str, ...] = ()
    unasked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What is done, and why, in words free of identifiers.

    Attributes:
        kinds: what has changed since the delivery.
        phase: the phase to go back to for that.
    """

    do: Do
    why: str = ""
    kinds: tuple[Kind, ...] = ()
    phase: Phase | None = None


def look(item: WorkItem, parts: Parts, options: RunOptions) -> Facts:
    """Gather the facts.

    The source and the target are asked only about what is delivered, to learn whether the study
    has changed and whether the delivery is still there.

    Raises:
        SourceError, TargetError: the source, or a target that is required, cannot be asked.
    """
    ledger = parts.ledger
    recall = ledger.recall_of(item.workspace, item.accession_id, item.subject_id)
    if item.state is not State.DELIVERED:
        return Facts(recall=recall)
    standing = ledger.standing(item.accession_id)
    unasked: dict[str, str] = {}
    return Facts(
        standing,
        _changed(item, standing, parts, options, unasked) if recall is None else (),
        ledger.row_was_delivered(item.accession_id, item.row_id),
        recall,
        tuple(name for name in parts.targets if name not in {one.target for one in standing}),
        unasked,
    )


def _changed(
    item: WorkItem,
    standing: Sequence[DeliveryRecord],
    parts: Parts,
    options: RunOptions,
    unasked: dict[str, str],
) -> tuple[Kind, ...]:
    if not standing:
        return (Kind.DELIVERY,)
    source = item.source_fingerprint or ""
    if options.check_source:
        source = _source_fingerprint(item, parts, source)
    kinds: set[Kind] = set()
    # One to a target that is configured no more says nothing, unless there is no other.
    known = {one.target: one for one in standing if one.target in parts.targets}
    for last in known.values():
        differences = _differences(item, last, source, parts, last.target)
        kinds.update(differences)
        moved = Kind.TARGET in differences
        if moved and options.reprocess is not Reprocess.ALLOW_IF_ONLY_CONFIG_CHANGED:
            continue  # it may lie elsewhere by now, and has changed in either case
        try:
            if not _still_there(last, parts):
                kinds.add(Kind.DELIVERY)
        except (LedgerError, OSError):
            raise  # no fault of the target's
        except Exception as error:
            if parts.workspace_settings.targets[last.target].required and not moved:
                raise
            unasked[last.target] = describe_unexpected(error)
    if not known:
        kinds.update(_differences(item, standing[-1], source, parts, next(iter(parts.targets))))
        kinds.add(Kind.TARGET)
    return tuple(kind for kind in Kind if kind in kinds)


def _still_there(last: DeliveryRecord, parts: Parts) -> bool:
    parts.health.refuse(last.target)
    target = parts.targets[last.target]
    refuse_elsewhere(target, last.store)
    return target.holds(last.uri, size=last.size, version=last.version)


def _differences(
    item: WorkItem, last: DeliveryRecord, source: str, parts: Parts, target: str
) -> tuple[Kind, ...]:
    before = dict(last.made_from or {})
    usable = usable_key_ids(parts)
    # A key that has been rotated since is as good: the delivery stands.
    made_with = before.get(Kind.KEY.value)
    key = made_with if made_with in usable and made_with is not None else usable[-1]
    return changes(before, delivery_made_from(source, item, parts, key, target))


def _source_fingerprint(item: WorkItem, parts: Parts, known: str) -> str:
    """The study's fingerprint as the source has it now.

    A study that the source holds no more has not changed. Where it holds several now, what was
    delivered is not all of it.
    """
    found = settle(
        parts.source.find(item.accession_number), parts.ledger.resolution(item.accession_id)
    )
    if isinstance(found, FoundStudy):
        return found.fingerprint
    return known if isinstance(found, Nothing) else ""


def decide(item: WorkItem, facts: Facts, options: RunOptions) -> Decision:
    """Decide what is done about one accession."""
    if facts.recall is not None or item.state is State.RECALLED:
        return Decision(Do.REFUSE, "it has been recalled")
    if item.state is State.DROPPED:
        return Decision(Do.LEAVE, "a person has decided that its studies are not used")
    if item.state is State.DELIVERED:
        return _decide_delivered(item, facts, options)
    again = options.reprocess in _AGAIN and item.state in _BEGUN and _before_run(item, options)
    if again:
        return Decision(Do.AGAIN, f"the run asks for it ({options.reprocess.value})")
    if options.sweep is Sweep.OFF and item.state in _MID_WALK:
        phase = _MID_WALK[item.state]
        return Decision(Do.LEAVE, f"it stands at phase {phase:02d}, and resuming is switched off")
    return Decision(Do.PROCESS)


def _decide_delivered(item: WorkItem, facts: Facts, options: RunOptions) -> Decision:
    kinds, phase = facts.changed, phase_of(facts.changed)
    named = ", ".join(kind.value for kind in kinds)
    unasked = [f"target '{name}': {why}" for name, why in facts.unasked.items()]
    if _before_run(item, options):
        if options.reprocess in _AGAIN:
            return Decision(
                Do.AGAIN, f"the run asks for it ({options.reprocess.value})", kinds, phase
            )
        if kinds and options.reprocess is Reprocess.PRERETIRE_ONLY_CHANGED:
            return Decision(Do.AGAIN, f"changed since it was delivered: {named}", kinds, phase)
    if options.allow_processing_of_duplicates and not facts.row_delivered:
        return Decision(Do.AGAIN, "a further row of a manifest names it", kinds, phase)
    if not kinds and facts.missing:
        return Decision(Do.COMPLETE, f"not yet delivered to {', '.join(facts.missing)}")
    if not kinds:
        return Decision(Do.UNCHANGED, "; ".join(unasked))
    forgiving = options.reprocess is Reprocess.ALLOW_IF_ONLY_CONFIG_CHANGED
    if forgiving and CONFIGURATION.issuperset(kinds):
        allowed = f"changed since it was delivered: {named}, which is allowed"
        return Decision(Do.UNCHANGED, "; ".join([allowed, *unasked]))
    return Decision(
        Do.CHANGED,
        f"changed since it was delivered: {named}; that delivery stands. To process it again from "
        f"phase {phase:02d}, run with --reprocess preretire-only-changed",
        kinds,
        phase,
    )


def _before_run(item: WorkItem, options: RunOptions) -> bool:
    return item.updated_at is None or item.updated_at < options.started_at
