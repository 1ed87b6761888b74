"""Times and owners that load are such that Dagster takes them; else no definition would load."""

from __future__ import annotations

import pytest
from dagster._core.definitions.utils import is_valid_owner
from dagster._utils.schedules import is_valid_cron_schedule
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from locutus_dagster.settings import ScheduleSettings, WorkspaceSettings
from locutus_dagster.settings.cron import cron_fault

DATES = [
    *(
        "0 3 * * *",
        "*/15 0-6,22 1,15 * 1-5",
        "0  3 * * MON-fri",
        "0 22-4 * * fri-mon/2",
        "5/10 * * * *",
    ),
    *(
        "0 0 l * *",
        "0 0 15-l/2,1 jan,jul *",
        "0 0 ? * fri#3",
        "0 0 * * l5",
        "0 0 * * 7",
        "* * * * 0-7",
    ),
    *("0 0 29 2 *", "0 0 31 1-4 *", "0 0 31 4 mon", "0 0 * * mon-fri#1", "@daily", "@Midnight"),
]
NO_DATES = [
    *("99 99 * * *", "0 3 * * mondy", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *"),
    *("* * * 0 *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "1-2-3 * * * *", "*-5 * * * *"),
    *("1,,2 * * * *", "-1 * * * *", "? * * * *", "0 0 30 2 *", "0 0 30,31 feb *", "0 0 31 2 mon"),
    *("0 0 31 4,6 *", "0 0 * * fri#6", "0 0 * * fri#1,mon", "mon * * * *", "0 0 l-5 * *"),
    *("", "* * * *", "* * * * * *", "@reboot", "@every 5m", "٣ * * * *"),
]  # fmt: skip


@pytest.mark.parametrize("cron", DATES)
def test_a_time_that_cron_knows_is_taken(cron: str) -> None:
    assert is_valid_cron_schedule(ScheduleSettings(cron=cron).cron)


@pytest.mark.parametrize("cron", NO_DATES)
def test_a_time_that_never_comes_or_cannot_be_read_is_refused(cron: str) -> None:
    with pytest.raises(ValidationError):
        ScheduleSettings(cron=cron)


RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
WORDS = ((), (), (), ("jan", "feb", "DEC"), ("sun", "mon", "Sat"))


def fields_of(place: int) -> st.SearchStrategy[str]:
    """What may stand in a field, and some that is a little beyond it."""
    least, most = RANGES[place]
    numbers = st.integers(least, most + 1).map(str)
    one = st.one_of(numbers, st.sampled_from(WORDS[place])) if WORDS[place] else numbers
    step = st.integers(0, most + 1).map("/{}".format)
    item = st.one_of(
        one,
        st.just("*"),
        st.builds("{}{}".format, st.just("*"), step),
        st.builds("{}{}".format, one, step),
        st.builds("{}-{}".format, one, one),
        st.builds("{}-{}{}".format, one, one, step),
    )
    return st.one_of(st.just("*"), st.lists(item, min_size=1, max_size=3).map(",".join))


@settings(max_examples=120, deadline=None)
@given(st.tuples(*map(fields_of, range(5))).map(" ".join))
@example("0 0 30 2-1/12 *")
def test_of_what_is_written_as_it_should_be_the_same_is_taken_as_by_dagster(cron: str) -> None:
    fault = cron_fault(cron)
    if fault != "should have a day that one of its months has":
        assert (not fault) == is_valid_cron_schedule(cron)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.text("0123567*/,-#l?frisunjeb@ \n", max_size=5), max_size=6).map(" ".join))
def test_nothing_is_taken_that_dagster_refuses(cron: str) -> None:
    assert cron_fault(cron) or is_valid_cron_schedule(cron)


def owned_by(owner: str) -> WorkspaceSettings:
    said = {"source": {"kind": "folder", "path": "/in"}, "target": {"path": "/out"}}
    return WorkspaceSettings.model_validate({**said, "owners": [owner]})


@pytest.mark.parametrize("owner", ["team:imaging", "team:imaging team", "a.b+c@x-y.example.org"])
def test_an_owner_is_a_team_or_an_address(owner: str) -> None:
    assert is_valid_owner(owned_by(owner).owners[0])


@pytest.mark.parametrize(
    "owner",
    ["imaging team", "imaging", "team:", "team: ", "", "a@b", "a@b.c", "@b.org", "a@b.org "],
)
def test_any_other_owner_is_refused(owner: str) -> None:
    with pytest.raises(ValidationError, match="should be team:NAME, or a mail address"):
        owned_by(owner)


@given(st.text("team:@. %+-_|aZ0\n", max_size=12))
@example("%a@b.org")
@example("a@b.o|g")
def test_no_owner_is_taken_that_dagster_refuses(owner: str) -> None:
    try:
        owned_by(owner)
    except ValidationError:
        return
    assert is_valid_owner(owner)
