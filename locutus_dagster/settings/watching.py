"""The settings of what happens by itself: studies that arrive, and reports that are written.

What belongs here: what a workspace decides about both. What does not: acting on it
(`pipeline/watching.py`, `summarizer/`).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from locutus_dagster.settings.schedules import ScheduleSettings, known_timezone
from locutus_dagster.strict_model import Location, Secret, Strict

__all__ = ["ArrivalRule", "NotifySettings", "ReportSettings", "WatchSettings"]

_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")
_FORMS = ("csv", "lines", "markdown", "html", "xlsx", "json")


def _words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression ({error})") from None
    return value


class ArrivalRule(Strict):
    """Which studies are taken that no manifest asks for: all that is said here must fit."""

    modalities: Words = Field(default=(), description="one of them occurs in the study; empty: any")
    stations: Words = Field(default=(), description="Station Name of a series; empty: any")
    description: str = Field(default="", description="regular expression for Study Description")
    accession: str = Field(default="", description="regular expression for the accession number")

    @field_validator("description", "accession")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        return _pattern(value)


class WatchSettings(Strict):
    """Studies that arrive or change at the source, processed as they appear."""

    mode: Literal["manifest", "changes", "both"] = Field(
        description="manifest: only what a manifest asked for; changes: what the rule accepts"
    )
    interval: float = Field(default=60.0, ge=1, description="seconds between two looks")
    rule: ArrivalRule = Field(default_factory=ArrivalRule, description="for changes and both")
    subjects: Location | None = Field(
        default=None,
        description="CSV of MRN (or accession number) and subject ID; without it a keyed pseudonym "
        "of the patient stands for the subject",
    )
    redeliver_changed: bool = Field(
        default=False,
        description="process a study again that has changed after its delivery, and deliver it as "
        "a new version; otherwise it is only reported",
    )
    withdraw_superseded: bool = Field(
        default=False, description="remove the version that the new one supersedes"
    )
    batch_size: int = Field(default=50, ge=1, description="accessions a run, at most")
    hours: str = Field(
        default="", description="off-peak window in which runs begin, such as 19:00-06:00; always"
    )
    timezone: str = Field(default="UTC", description="of these hours")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        return known_timezone(value)

    @field_validator("hours")
    @classmethod
    def _is_window(cls, value: str) -> str:
        if value and not _HOURS.fullmatch(value):
            raise ValueError("should be a window such as 19:00-06:00")
        return value


class NotifySettings(Strict):
    """Who is told that a report is there; only counts are sent."""

    webhook: Secret | None = Field(default=None, description="URL that gets a POST of JSON")
    smtp_host: str | None = Field(default=None, description="the server that takes mail")
    smtp_port: int = Field(default=25, description="of that server")
    smtp_user: str | None = Field(default=None, description="who logs in there; by default nobody")
    smtp_password: Secret | None = Field(default=None, description="a reference, as a rule")
    smtp_tls: Literal["none", "starttls", "tls"] = Field(
        default="none", description="how mail is encrypted on its way to the server"
    )
    sender: str | None = Field(default=None, description="address that mail comes from")
    recipients: tuple[str, ...] = Field(default=(), description="addresses that mail goes to")

    @model_validator(mode="after")
    def _complete(self) -> NotifySettings:
        if self.smtp_host and not (self.sender and self.recipients):
            raise ValueError("mail needs a 'sender' and 'recipients'")
        if self.smtp_user and self.smtp_tls == "none":
            raise ValueError("'smtp_tls: none' would send the password in the clear")
        return self


class ReportSettings(Strict):
    """Summarizer reports that are written on a schedule."""

    folder: Location | None = Field(
        default=None, description="where dated reports are kept; by default reports/ in the home"
    )
    detailed: ScheduleSettings | None = Field(
        default=None, description="a row for each accession, such as every night"
    )
    overview: ScheduleSettings | None = Field(
        default=None, description="counts alone, such as every week"
    )
    forms: Annotated[
        tuple[Literal["csv", "lines", "markdown", "html", "xlsx", "json"], ...],
        BeforeValidator(_words),
    ] = Field(default=("csv", "html"), description="of " + ", ".join(_FORMS))
    redact: bool = Field(default=True, description="no accession number and no subject in any form")
    flywheel_group: str = Field(default="OnPrem", description="what stands in that column")
    flywheel_project: str = Field(default="FW_Project", description="what stands in that column")
    keep: int = Field(default=90, ge=1, description="days after which reports are removed")
    notify: NotifySettings = Field(
        default_factory=NotifySettings, description="who is told that a report is there"
    )
