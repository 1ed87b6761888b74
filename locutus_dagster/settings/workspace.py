"""The settings of one workspace, and of a run.

What belongs here: what a project decides. What does not: source and target kinds (`sources.py`,
`targets.py`), and what holds for the whole installation (`model.py`).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from locutus_dagster.run_modes import Reprocess, Sweep
from locutus_dagster.settings.clash import clash
from locutus_dagster.settings.schedules import ScheduleSettings
from locutus_dagster.settings.sources import SourceSettings
from locutus_dagster.settings.targets import AnyTargetSettings
from locutus_dagster.settings.watching import ReportSettings, WatchSettings
from locutus_dagster.strict_model import Secret, Strict

__all__ = ["QcSettings", "RunSettings", "ScheduleSettings", "WorkspaceSettings"]

_TARGET_NAME = re.compile(r"^[a-z][a-z0-9_]{0,40}$")
#: What Dagster takes for an owner.
_OWNER = re.compile(r"team:\S.*|\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")


def _owner(value: str) -> str:
    if not _OWNER.fullmatch(value):
        raise ValueError("should be team:NAME, or a mail address such as imaging@example.org")
    return value


class QcSettings(Strict):
    """Manual QC of a workspace."""

    enabled: bool = Field(
        default=False, description="a person reviews before anything is delivered"
    )
    orthanc: SourceSettings | None = Field(default=None, description="where studies are reviewed")
    use_manifest_status: bool = Field(default=False, description="obey DEID_QC_STATUS")
    remove_failed: bool = Field(default=False, description="remove what failed from the QC Orthanc")


class WorkspaceSettings(Strict):
    """One project: where its studies come from, what is done to them, where they go."""

    source: SourceSettings = Field(description="where its studies come from")
    targets: dict[str, AnyTargetSettings] = Field(
        min_length=1, description="by a name of your own; `target:` names a single one by its kind"
    )
    policy: str = Field(
        default="basic", min_length=1, description="a shipped policy's name, or a policy file"
    )
    modalities: tuple[str, ...] | None = Field(
        default=None,
        description="what is let through, or 'any'; by default what the policy names, and where "
        "it names none, CR CT DX MR NM OT RF US XA XR",
    )
    several_patients: Literal["withhold", "allow"] | None = Field(
        default=None, description="takes the place of what the policy says"
    )
    subject_preface: str | None = Field(
        default=None, description="put before every research identity; by default the policy's"
    )
    owners: tuple[Annotated[str, AfterValidator(_owner)], ...] = Field(
        default=(), description="shown with its assets in Dagster: team:NAME, or an address"
    )
    secret: Secret | None = Field(
        default=None,
        description="reference to the pseudonymisation key ring; by default a file in the home",
    )
    schedule: ScheduleSettings | None = Field(
        default=None, description="when what is not finished is processed by itself"
    )
    watch: WatchSettings | None = Field(
        default=None, description="studies that arrive are processed by themselves; by default not"
    )
    reports: ReportSettings = Field(
        default_factory=ReportSettings, description="Summarizer reports on a schedule"
    )
    pool_limit: int | None = Field(
        default=None, ge=1, description="runs of this workspace at a time; by default no limit"
    )

    qc: QcSettings = Field(default_factory=QcSettings, description="manual QC")

    @model_validator(mode="before")
    @classmethod
    def _one_target(cls, value: Any) -> Any:
        """`target:` is a workspace's only target, named by its kind."""
        if not isinstance(value, dict) or "target" not in value:
            return value
        value = dict(value)
        if value.get("targets"):
            raise clash(
                "both 'target' and 'targets' are given: keep one of them",
                ("target",),
                ("targets",),
            )
        only = value.pop("target")
        name = only.get("kind", "share") if isinstance(only, dict) else getattr(only, "kind", "")
        value["targets"] = {name: only}
        return value

    @field_validator("targets")
    @classmethod
    def _legal_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        if wrong := [(name,) for name in value if not _TARGET_NAME.fullmatch(name)]:
            raise clash(
                "no name for a target: use a lower-case letter, then up to 40 lower-case letters, "
                "digits or _",
                *wrong,
            )
        if not any(target.required for target in value.values()):
            raise clash("no target is required: nothing would ever count as delivered")
        return value

    @field_validator("modalities", mode="before")
    @classmethod
    def _upper_case(cls, value: object) -> object:
        if isinstance(value, str):
            value = value.split(",")
        if isinstance(value, list | tuple):
            return tuple(str(item).strip().upper() for item in value if str(item).strip())
        return value


class RunSettings(Strict):
    """How a run goes about its accessions, unless it is told otherwise."""

    reprocess: Reprocess = Field(
        default=Reprocess.NONE, description="what becomes of finished accessions"
    )
    withdraw: bool = Field(
        default=False, description="remove superseded deliveries from their target"
    )
    sweep: Sweep = Field(
        default=Sweep.MANIFEST, description="what is resumed: of the manifest, of all, or nothing"
    )
    until_converged: bool = Field(
        default=False, description="repeat until nothing changes any more"
    )
    max_passes: int = Field(
        default=11, ge=1, description="how often at most it is gone through until nothing changes"
    )
    pass_wait: float = Field(default=45.0, ge=0, description="seconds between two passes")
    force_success: bool = Field(default=False, description="exit code 0 in the place of 2")
    allow_processing_of_duplicates: bool = Field(
        default=False, description="a further row of a manifest is processed again"
    )
    check_source: bool = Field(
        default=True, description="ask the source whether the study of a delivery has changed"
    )
    dry_run: bool = Field(default=False, description="say what would happen; change nothing")
    lease: float = Field(
        default=120.0, gt=1, description="seconds after which a silent worker's claim ends"
    )
