"""What is planted: every kind, at every depth, and the key that says so."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from benchmarks.midi.answer_key import Maps, read_key, read_maps, write_key, write_maps
from benchmarks.midi.calibration import Identity
from benchmarks.midi.checks import KINDS, Action
from benchmarks.midi.harness import planted_studies
from benchmarks.midi.outputs import Output
from benchmarks.midi.people import LANGUAGES, make_person
from benchmarks.midi.phrases import FINDINGS, LINES, NOTES, SHORTS, fill, pick
from benchmarks.midi.places import PREAMBLE
from benchmarks.midi.planting import PlantedStudy
from benchmarks.midi.scoring import survives
from benchmarks.midi.sources import Source, find_sources, select
from locutus_dagster_tests.benchmarks_midi.conftest import WHEEL

Checks = list[PlantedStudy]


def test_every_kind_of_identifier_but_photographs_is_planted(planted: Checks) -> None:
    kinds = {needle.kind for study in planted for needle in study.needles}
    assert kinds == set(KINDS) - {"Q"}


def test_every_action_is_demanded_somewhere(planted: Checks) -> None:
    actions = {check.action for study in planted for file in study.files for check in file.checks}
    assert actions == set(Action)


def test_identifiers_are_planted_at_every_sort_of_place(planted: Checks) -> None:
    places = [
        check.place
        for study in planted
        for file in study.files
        for check in file.checks
        if check.action is Action.TEXT_REMOVED
    ]
    assert PREAMBLE in places
    inside = [place for place in places if place]
    assert any(place[0].tag >> 16 == 0x0002 for place in inside)
    assert any(len(place) > 2 for place in inside)
    assert any(place[0].creator for place in inside)
    assert any(place[0].creator == "" for place in inside)
    assert any(place[0].tag == 0xFFFCFFFC for place in inside)


def test_the_key_agrees_with_the_files(planted: Checks) -> None:
    """What must go is there before; what must stay is there, too."""
    for study in planted:
        for file in study.files:
            output = Output(file.data)
            for check in file.checks:
                if check.action is Action.TEXT_REMOVED:
                    text = output.text(check.place, check.vr) or ""
                    assert any(survives(word, text) for word in check.text.split()), check.place
                elif check.action is Action.TAG_RETAINED:
                    assert output.element(check.place) is not None


def test_the_same_seed_plants_the_same_bytes_and_another_one_others(planted: Checks) -> None:
    def data(seed: int) -> list[bytes]:
        studies = planted_studies([WHEEL], 6, seed, Identity(), [])
        return [file.data for study in studies for file in study.files]

    assert data(7) == data(7)
    assert data(7) != data(8)


def test_some_patients_have_two_studies_and_each_file_has_a_uid_of_its_own(planted: Checks) -> None:
    patients = [study.person.subject for study in planted]
    assert len(patients) > len(set(patients)) > 1
    sops = [file.sop for study in planted for file in study.files]
    assert len(sops) == len(set(sops))
    assert all(re.fullmatch(r"[0-9.]{1,64}", sop) for sop in sops)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_template_can_be_filled_and_fits_its_attributes(language: str) -> None:
    for number in range(60):
        person = make_person(Random(number), number, language)
        for templates, longest in (
            (SHORTS, 16),
            (LINES[language], 64),
            (NOTES[language], 1024),
            (FINDINGS[language], 1024),
        ):
            text = pick(Random(number), templates, person, longest)
            assert text is not None
            assert text.kept
            assert text.values
            for word in text.kept.split():
                assert word in text.text


def test_no_word_that_must_stay_is_a_word_that_must_go() -> None:
    for language in LANGUAGES:
        for number in range(60):
            person = make_person(Random(number), number, language)
            for template in (*LINES[language], *NOTES[language], *FINDINGS[language]):
                text = fill(template, person)
                for value in text.values if text is not None else ():
                    assert text is not None
                    assert not any(survives(one, text.kept) for one in value.removed.split())


def test_only_old_people_have_an_age_that_identifies() -> None:
    people = [make_person(Random(number), number) for number in range(60)]
    assert {person.age > 89 for person in people} == {True, False}
    assert all((person.age > 89) == ("age" in person.values) for person in people)


def test_people_do_not_share_a_record_number() -> None:
    people = [make_person(Random(number), number) for number in range(300)]
    assert len({person.subject for person in people}) == 300


def test_an_answer_key_and_maps_survive_their_files(planted: Checks, tmp_path: Path) -> None:
    files = [file for study in planted for file in study.files]
    write_key(tmp_path / "key.sqlite", files)
    key = list(read_key(tmp_path / "key.sqlite"))
    assert [one.checks for one in key] == [file.checks for file in files]
    assert [one.sop for one in key] == [file.sop for file in files]
    maps = Maps({"1.2": "2.25.1"}, {"P,1": "S1"})
    write_maps(tmp_path, maps)
    assert read_maps(tmp_path) == maps
    assert (tmp_path / "uid_mapping.csv").read_text().startswith("id_old,id_new")


def _source(number: int, stratum: str, sop: str = "") -> Source:
    return Source(
        Path(f"{number}.dcm"), "1.2", sop or f"1.{number}", "9.1", f"9.1.{number // 10}", "CT",
        (stratum,),
    )  # fmt: skip


def test_a_large_series_does_not_push_the_others_out() -> None:
    sources = [_source(number, "common") for number in range(100)]
    sources += [_source(200 + number, "rare") for number in range(2)]
    chosen = [one for study in select(sources, 10, 1) for one in study.files]
    assert len(chosen) == 10
    assert sum(one.stratum == ("rare",) for one in chosen) == 2


def test_copies_of_an_instance_become_studies_of_their_own() -> None:
    studies = select([_source(1, "a", "1.9"), _source(2, "b", "1.9"), _source(3, "c")], 10, 1)
    assert sorted(len(study.files) for study in studies) == [1, 2]


def test_only_modalities_that_the_engine_lets_through_are_taken() -> None:
    assert select([_source(1, "a")], 10, 1, {"MR"}) == []
    assert len(select([_source(1, "a")], 10, 1, {"CT"})) == 1


def test_files_that_are_no_images_or_reports_are_passed_over() -> None:
    names = {source.path.name for source in find_sources([WHEEL])}
    assert {"CT_small.dcm", "test-SR.dcm"} <= names
    assert not {"rtplan.dcm", "DICOMDIR", "waveform_ecg.dcm", "README.txt"} & names
