"""Private elements stay by creator and element, never by number alone, and are cleaned."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from locutus_dagster.deid import Action, Option, Policy, Pseudonyms, compile_policy
from locutus_dagster.deid.policies.model import Override, PolicySpec, PrivateElement
from locutus_dagster_tests.deid import builders
from locutus_dagster_tests.deid.builders import item, sequence

SIEMENS = "SIEMENS MR HEADER"  # (0019,xx0C) B value IS is in Table E.3.10-1
PSEUDONYMS = Pseudonyms(builders.SECRET)


def policy(*overrides: Override, safe: bool = True) -> Policy:
    options = {Option.RETAIN_SAFE_PRIVATE, Option.CLEAN_DESCRIPTORS} if safe else set()
    return compile_policy(PolicySpec("private", frozenset(options), overrides))


def listed(creator: str, group: int, element: int, vr: str) -> Override:
    place = PrivateElement(creator, group, element)
    return Override("site.yaml, line 3", Action.KEEP, private=place, vr=vr)


def with_block(creator: str, block: int = 0x10) -> Dataset:
    ds = builders.ct()
    ds.add_new(0x00190000 | block, "LO", creator)
    ds.add_new(0x00190000 | block << 8 | 0x0C, "IS", "1000")
    ds.add_new(0x00190000 | block << 8 | 0xFE, "LO", "something else")
    return ds


@pytest.mark.parametrize("block", [0x10, 0x11, 0xFF])
@pytest.mark.parametrize("syntax", builders.SYNTAXES)
def test_a_safe_attribute_stays_with_its_creator_in_any_block(
    tmp_path: Path, syntax: str, block: int
) -> None:
    after = builders.clean(tmp_path, with_block(SIEMENS, block), syntax, policy=policy())
    private = [element.tag for element in after if element.tag.is_private]
    assert private == [0x00190000 | block, 0x00190000 | block << 8 | 0x0C]
    assert after.private_block(0x0019, SIEMENS)[0x0C].value in (1000, b"1000")


def test_the_same_number_of_another_creator_goes_and_so_does_the_creator(tmp_path: Path) -> None:
    after = builders.clean(tmp_path, with_block("ACME"), policy=policy())
    assert not [element for element in after if element.tag.is_private]


def test_an_attribute_without_creator_goes(tmp_path: Path) -> None:
    ds = with_block(SIEMENS)
    del ds[0x00190010]
    after = builders.clean(tmp_path, ds, policy=policy())
    assert not [element for element in after if element.tag.is_private]


def test_nothing_private_stays_without_the_option(tmp_path: Path) -> None:
    after = builders.clean(tmp_path, with_block(SIEMENS), policy=policy(safe=False))
    assert not [element for element in after if element.tag.is_private]


def test_a_safe_attribute_of_another_vr_goes(tmp_path: Path) -> None:
    ds = with_block(SIEMENS)
    ds[0x0019100C].VR = "PN"
    ds[0x0019100C].value = "Ratched^Mildred"
    after = builders.clean(tmp_path, ds, policy=policy())
    assert not [element for element in after if element.tag.is_private]


def test_what_a_site_lists_stays_and_is_cleaned(tmp_path: Path) -> None:
    ds = builders.ct(StudyDate="20190619")
    block = ds.private_block(0x0099, "ACME 1", create=True)
    block.add_new(0x01, "LO", "axial Quimbleton")
    block.add_new(0x02, "UI", "1.2.3.4.5.77")
    block.add_new(0x03, "DA", "20190619")
    block.add_new(0x04, "PN", "Ratched^Mildred")
    block.add_new(0x05, "FD", 1.5)
    vrs = {1: "LO", 2: "UI", 3: "DA", 4: "PN", 5: "FD"}
    rules = [listed("ACME 1", 0x0099, number, vr) for number, vr in vrs.items()]
    after = builders.clean(tmp_path, ds, policy=policy(*rules))
    kept = after.private_block(0x0099, "ACME 1")
    assert kept[1].value == "axial"
    assert kept[2].value == PSEUDONYMS.uid("1.2.3.4.5.77")
    assert 3 not in kept  # dates are removed under this policy
    assert 4 not in kept
    assert kept[5].value == 1.5


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_a_private_sequence_is_cleaned_inside(tmp_path: Path, syntax: str) -> None:
    ds = builders.ct()
    block = ds.private_block(0x0099, "ACME 1", create=True)
    block.add_new(0x10, "SQ", sequence(item(PatientName="Quimbleton^D", EchoTime="3.5")))
    rule = listed("ACME 1", 0x0099, 0x10, "SQ")
    content = builders.encode(ds, syntax)
    _, members = builders.run(tmp_path, [content], policy=policy(rule))
    (output,) = members.values()
    assert b"Quimbleton" not in output
    assert b"3.5" in output


def test_private_elements_in_items_have_creators_of_their_own(tmp_path: Path) -> None:
    inner = item(EchoTime="3.5")
    inner.private_block(0x0019, SIEMENS, create=True).add_new(0x0C, "IS", "700")
    inner.private_block(0x0019, "ACME", create=True).add_new(0x0C, "IS", "701")
    after = builders.clean(
        tmp_path, builders.ct(ReferencedInstanceSequence=sequence(inner)), policy=policy()
    )
    (kept,) = after.ReferencedInstanceSequence
    assert kept.private_block(0x0019, SIEMENS)[0x0C].value == 700
    with pytest.raises(KeyError):
        kept.private_block(0x0019, "ACME")
