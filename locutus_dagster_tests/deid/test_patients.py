"""A study in which two patients are named is not delivered, unless the workspace allows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from locutus_dagster.deid import compile_policy
from locutus_dagster.deid.policies.model import PolicySpec, Settings
from locutus_dagster_tests.deid import builders
from locutus_dagster_tests.deid.builders import ct, encode

BIRTH = "19571231"


@pytest.mark.parametrize(
    ("second", "one_patient"),
    [
        ({}, True),
        ({"PatientID": "pat778899 "}, True),
        ({"PatientName": "QUIMBLETON^Dorothea^Q"}, True),  # spelled in another way
        ({"PatientID": "PAT778890"}, False),
        ({"PatientBirthDate": "19571230"}, False),
        ({"PatientBirthDate": "1957.12.31"}, True),
        ({"PatientBirthDate": ""}, True),
        ({"PatientID": ""}, True),
        ({"PatientID": "", "PatientName": "Fotheringay^Ann"}, False),
        ({"PatientID": "", "PatientName": "QUIMBLETON^DOROTHEA^"}, True),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
def test_two_patients_stop_the_study(
    tmp_path: Path, second: dict[str, str], one_patient: bool
) -> None:
    files = [encode(ct(1)), encode(ct(2, **second)), b"no DICOM"]
    disposition, members = builders.run(tmp_path, files)
    if one_patient:
        assert len(members) == disposition.delivered == 2
    else:
        assert disposition.withheld_by_reason == {
            "two patients in one study": 2,
            "unreadable: not DICOM": 1,
        }
        assert not members


def test_a_policy_can_allow_it(tmp_path: Path) -> None:
    files = [encode(ct(1)), encode(ct(2, PatientID="PAT778890"))]
    settings = replace(Settings(), several_patients="allow")
    policy = compile_policy(PolicySpec("mixed", settings=settings))
    disposition, _ = builders.run(tmp_path, files, policy=policy)
    assert disposition.delivered == 2
