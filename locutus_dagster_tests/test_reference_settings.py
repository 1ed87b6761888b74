"""The reference's names in the environment, and what each of them does to a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from locutus_dagster.pipeline.options import RunOptions
from locutus_dagster.reference_settings import (
    REFERENCE_SWITCHES,
    ReferenceSettingError,
    run_settings_from,
)
from locutus_dagster.settings import Reprocess, Sweep, load_settings

DEBUG = "locutus_debug_onprem_dicom_"
EFFECTS = [
    (f"{DEBUG}force_reprocess_accession_status", "reprocess", Reprocess.FORCE),
    (f"{DEBUG}predelete_accession_status", "reprocess", Reprocess.PREDELETE),
    (f"{DEBUG}preretire_accession_status", "reprocess", Reprocess.PRERETIRE),
    (
        f"{DEBUG}preretire_accession_status_only_changed",
        "reprocess",
        Reprocess.PRERETIRE_ONLY_CHANGED,
    ),
    (
        f"{DEBUG}allow_continued_processing_if_only_cfgs_changed",
        "reprocess",
        Reprocess.ALLOW_IF_ONLY_CONFIG_CHANGED,
    ),
    ("locutus_disable_phase_sweep", "sweep", Sweep.OFF),
    ("locutus_expand_phase_sweep_beyond_manifest", "sweep", Sweep.WORKSPACE),
    ("locutus_dicom_run_mode_continue_to_manifest_convergence", "until_converged", True),
    ("locutus_allow_processing_of_duplicates", "allow_processing_of_duplicates", True),
    ("locutus_force_success", "force_success", True),
    ("locutus_test", "dry_run", True),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder in which a test may put a settings file."""
    monkeypatch.setenv("LOCUTUS_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("name", "field", "value"), EFFECTS, ids=[name for name, *_ in EFFECTS])
@pytest.mark.parametrize("word", ["True", "true", "TRUE"])
def test_a_switch_of_the_reference_does_what_it_did(
    name: str, field: str, value: object, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert getattr(load_settings().run, field) != value
    monkeypatch.setenv(name, word)
    assert getattr(load_settings().run, field) == value


def test_every_name_that_is_understood_is_tested() -> None:
    assert {name for name, *_ in EFFECTS} | {"locutus_continuous_wait_secs"} == set(
        REFERENCE_SWITCHES
    )


@pytest.mark.parametrize("word", ["", "  "])
def test_an_empty_variable_is_not_set(word: str) -> None:
    assert run_settings_from(dict.fromkeys(REFERENCE_SWITCHES, word)) == {}


def test_false_takes_back_what_the_file_says(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "locutus.yaml").write_text("run: {reprocess: force, force_success: true}\n")
    monkeypatch.setenv(f"{DEBUG}force_reprocess_accession_status", "False")
    monkeypatch.setenv("locutus_force_success", "False")
    run = load_settings().run
    assert (run.reprocess, run.force_success) == (Reprocess.NONE, False)


def test_the_first_switch_of_the_ladder_wins() -> None:
    names = [name for name, field, _ in EFFECTS if field == "reprocess"]
    assert run_settings_from(dict.fromkeys(names, "true")) == {"reprocess": "force"}
    assert run_settings_from(dict.fromkeys(names[1:], "true")) == {"reprocess": "predelete"}
    # Both preretire switches together mean the narrower one, as the reference's ladder has it.
    both = dict.fromkeys(names[2:4], "true")
    assert run_settings_from(both) == {"reprocess": "preretire-only-changed"}


def test_the_wait_between_passes_is_a_number_of_seconds() -> None:
    assert run_settings_from({"locutus_continuous_wait_secs": "45"}) == {"pass_wait": 45.0}


def test_what_cannot_be_understood_is_named_all_at_once() -> None:
    with pytest.raises(ReferenceSettingError) as refusal:
        run_settings_from(
            {
                "locutus_force_success": "yes",
                "locutus_test": "1",
                "locutus_continuous_wait_secs": "soon",
            }
        )
    for name in ("locutus_force_success", "locutus_test", "locutus_continuous_wait_secs"):
        assert name in refusal.value.message


def test_our_own_variable_wins_over_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{DEBUG}force_reprocess_accession_status", "true")
    monkeypatch.setenv("LOCUTUS_RUN__REPROCESS", "preretire")
    assert load_settings().run.reprocess is Reprocess.PRERETIRE


def test_what_a_run_is_asked_for_wins_over_all_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUTUS_RUN__REPROCESS", "preretire")
    monkeypatch.setenv("LOCUTUS_RUN__SWEEP", "off")
    options = RunOptions.of(load_settings(), reprocess="force", sweep=None)
    assert (options.reprocess, options.sweep) == (Reprocess.FORCE, Sweep.OFF)
