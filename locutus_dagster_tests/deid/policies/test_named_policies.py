"""The shipped policies say what their names promise."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from pydicom.datadict import keyword_for_tag

from locutus_dagster.deid.policies.compiling import compile_policy
from locutus_dagster.deid.policies.model import DEFAULT_MODALITIES, Action, Option, PrivateElement
from locutus_dagster.deid.policies.reading import NAMED, read_policy
from locutus_dagster.deid.standard.table import load_table

FOLDER = files("locutus_dagster.deid.policies") / "named"
RESEARCH = {
    Option.RETAIN_LONGITUDINAL_MODIFIED_DATES,
    Option.RETAIN_PATIENT_CHARACTERISTICS,
    Option.RETAIN_DEVICE_IDENTITY,
    Option.RETAIN_SAFE_PRIVATE,
    Option.CLEAN_DESCRIPTORS,
    Option.CLEAN_STRUCTURED_CONTENT,
    Option.CLEAN_GRAPHICS,
}


def test_every_shipped_file_has_its_name() -> None:
    assert {Path(entry.name).stem for entry in FOLDER.iterdir()} == set(NAMED)
    for name in NAMED:
        assert read_policy(name).name == name


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("basic", set()),
        ("research", RESEARCH),
        (
            "longitudinal-full-dates",
            (RESEARCH - {Option.RETAIN_LONGITUDINAL_MODIFIED_DATES})
            | {Option.RETAIN_LONGITUDINAL_FULL_DATES},
        ),
        (
            "unlinkable",
            RESEARCH - {Option.RETAIN_DEVICE_IDENTITY, Option.RETAIN_SAFE_PRIVATE},
        ),
        ("locutus-bgd", set()),
    ],
)
def test_a_shipped_policy_has_its_options(name: str, options: set[Option]) -> None:
    assert read_policy(name).options == options


def test_only_unlinkable_deliveries_have_fresh_identities() -> None:
    fresh = {name for name in NAMED if read_policy(name).settings.identities == "fresh"}
    assert fresh == {"unlinkable"}


def test_no_shipped_policy_lets_two_patients_into_one_study() -> None:
    assert {read_policy(name).settings.several_patients for name in NAMED} == {"withhold"}


def test_only_the_labs_policy_keeps_more_than_the_profile_allows() -> None:
    departing = {name for name in NAMED if compile_policy(read_policy(name)).departures}
    assert departing == {"locutus-bgd"}


def test_research_keeps_references_between_images_and_maps_them() -> None:
    for name in ("research", "longitudinal-full-dates"):
        rules = {one.path: one.action for one in read_policy(name).overrides}
        assert rules == {(0x00081140,): Action.UID, (0x00082112,): Action.UID}


def test_the_labs_policy_keeps_what_the_lab_keeps() -> None:
    spec = read_policy("locutus-bgd")
    actions = {keyword_for_tag(one.path[0]): one.action for one in spec.overrides if one.path}
    kept = {keyword for keyword, action in actions.items() if action is Action.KEEP}
    assert kept == {
        "ContrastBolusAgent",
        "ContrastBolusStartTime",
        "ContrastBolusStopTime",
        "DeviceSerialNumber",
        "InstitutionAddress",
        "InstitutionName",
        "PerformedProcedureStepDescription",
        "ProtocolName",
        "RequestedContrastAgent",
        "RequestedProcedureDescription",
        "SeriesDescription",
        "StationName",
        "StudyDescription",
    }
    assert actions["PatientName"] is actions["PatientID"] is Action.SUBJECT
    assert actions["PatientAge"] is actions["SeriesDate"] is Action.EMPTY
    assert actions["ModifyingDeviceManufacturer"] is Action.REMOVE
    assert sum(action is Action.EMPTY for action in actions.values()) == 26
    assert len(actions) == 42


def test_the_labs_policy_has_no_rule_that_the_basic_profile_has_already() -> None:
    basic = {row.tag: row.basic.split("/") for row in load_table()}
    for override in read_policy("locutus-bgd").overrides:
        if override.path:
            assert override.action.value not in basic.get(override.path[0], ["K"])


def test_the_labs_policy_bounces_what_the_lab_bounces() -> None:
    settings = read_policy("locutus-bgd").settings
    assert settings.modalities == set(DEFAULT_MODALITIES)
    assert set(settings.excluded_series) == {
        "screen save",
        "dose report",
        "basic text SR",
        "patient protocol",
        "save",
    }


def test_the_labs_private_attributes_are_named_by_creator_and_of_a_known_vr() -> None:
    spec = read_policy("locutus-bgd")
    private = {one.private: one for one in spec.overrides if one.private}
    assert len(private) == 37
    assert PrivateElement("SIEMENS MR HEADER", 0x0019, 0x0C) in private  # b-value
    # The CSA headers hold the protocol as text.
    assert PrivateElement("SIEMENS CSA HEADER", 0x0029, 0x10) not in private
    assert PrivateElement("SIEMENS CSA HEADER", 0x0029, 0x20) not in private
    for override in private.values():
        assert override.vr
        assert override.vr not in ("OB", "OW", "UN", "UT")


def test_every_departure_of_the_labs_policy_is_explained() -> None:
    text = (FOLDER / "locutus-bgd.yaml").read_text(encoding="utf-8")
    for rule in yaml.safe_load(text)["overrides"]:
        assert bool(rule.get("why")) == (rule["action"] == "keep")
