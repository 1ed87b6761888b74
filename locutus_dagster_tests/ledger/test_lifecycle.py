"""docs/lifecycle.md says what the program does: written from its tables, and drawn completely."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest

from locutus_dagster.ledger import Phase, State
from locutus_dagster.ledger.fingerprints import Kind, phase_of
from locutus_dagster.ledger.states import MEANINGS, TRANSITIONS

ROOT = Path(__file__).parents[2]
ARROW = re.compile(r"^(\[\*\]|\w+) --> (\[\*\]|\w+)$")
GROUP = re.compile(r'^state "[^"]+" as (\w+) \{$')
BORDER = "[*]"
#: What the page says in words instead of drawing it.
FROM_ANYWHERE = {State.REQUESTED, State.RECALLED}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/make_lifecycle.py, which is no module of the package."""
    path = ROOT / "scripts" / "make_lifecycle.py"
    spec = importlib.util.spec_from_file_location("make_lifecycle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "lifecycle.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def drawn(page: str) -> str:
    """The diagram, without the fence around it."""
    (found,) = re.findall(r"```mermaid\n(.*?)\n```", page, re.DOTALL)
    assert isinstance(found, str)
    return found


def test_the_page_is_what_the_tables_say_now(script: ModuleType, page: str) -> None:
    assert script.page() == page, "run scripts/make_lifecycle.py"


def arrows(drawn: str) -> tuple[dict[str, list[str]], list[tuple[str, str, str]]]:
    """The groups with their states, and the arrows as (group or "", from, to).

    Reads no more of the language than the page uses, and nothing that it does not know.
    """
    first, *lines = [line.strip() for line in drawn.splitlines()]
    assert first == "stateDiagram-v2"
    groups: dict[str, list[str]] = {}
    found = []
    inside = ""
    for line in lines:
        group, arrow = GROUP.match(line), ARROW.match(line)
        if group:
            assert not inside
            inside = group[1]
            groups[inside] = []
        elif line == "}":
            assert inside
            inside = ""
        elif arrow:
            found.append((inside, arrow[1], arrow[2]))
            if inside:
                groups[inside] += [one for one in arrow.groups() if one != BORDER]
        else:
            assert line == "direction LR" or line in {state.value for state in State}, line
            if inside and line != "direction LR":
                groups[inside].append(line)
    assert not inside
    return {name: list(dict.fromkeys(states)) for name, states in groups.items()}, found


def pairs(drawn: str) -> Iterator[tuple[str, str]]:
    """Every change that the diagram shows, with the groups taken apart.

    An arrow to a group that shows where it begins leads there, and otherwise to each of its
    states; an arrow from a group to a state beyond starts where the group shows its end.
    """
    groups, found = arrows(drawn)
    begins = {
        name: [to for inside, one, to in found if inside == name and one == BORDER]
        for name in groups
    }
    ends = {
        name: [one for inside, one, to in found if inside == name and to == BORDER]
        for name in groups
    }
    for inside, one, to in found:
        if BORDER in (one, to):
            continue
        if inside or (one not in groups and to not in groups):
            yield one, to
            continue
        beyond = to not in groups
        sources = (beyond and ends.get(one)) or groups.get(one, [one])
        targets = begins.get(to) or groups.get(to, [to])
        yield from product(sources, targets)
    yield from product(groups["no_study"], repeat=2)  # as its title says


def test_the_diagram_shows_every_change_that_the_table_allows_and_no_other(drawn: str) -> None:
    shown = {(one, to) for one, to in pairs(drawn) if one != to}
    allowed = {
        (state.value, after.value)
        for state in State
        for after in TRANSITIONS[state] - {state}
        if after not in FROM_ANYWHERE or state is State.DELIVERED
    }
    assert shown == allowed


def test_what_is_not_drawn_may_follow_any_state_but_a_recall() -> None:
    for state in State:
        assert (TRANSITIONS[state] >= FROM_ANYWHERE) == (state is not State.RECALLED)


def test_the_diagram_can_be_read_at_a_glance(drawn: str) -> None:
    groups, found = arrows(drawn)
    assert {state.value for state in State} == {
        one for _, *ends in found for one in ends if one not in (BORDER, *groups)
    } | set(groups["no_study"])
    assert len([inside for inside, *_ in found if not inside]) <= 12
    assert (found[0][1], found[0][2]) == (BORDER, State.LOADED.value)


def test_the_tables_have_a_line_for_everything(page: str) -> None:
    for state in State:
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{state.value}` | ")]
        assert MEANINGS[state] in line
        *_, targets, _ = line.split("|")
        told = {state.value if one == "itself" else one for one in re.findall(r"\w+", targets)}
        assert told == {after.value for after in TRANSITIONS[state]}
    for phase in Phase:
        assert f"\n| {phase:02d} {phase.name.lower()} | " in page
    for kind in Kind:
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{kind.value}` | ")]
        assert f"| {phase_of([kind]):02d} " in line


def test_a_state_that_may_become_what_no_arrow_shows_stops_the_script(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    widened = {**TRANSITIONS, State.PENDING: TRANSITIONS[State.PENDING] | {State.DELIVERED}}
    monkeypatch.setattr(script, "TRANSITIONS", widened)
    with pytest.raises(ValueError, match="what may follow 'pending'"):
        script.page()
