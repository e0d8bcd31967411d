"""Refreshing step by step gives the same as one rebuild, in every published table, by checksum.

`DRAWDOWN_TEST_HISTORIES` sets the number of random histories; the soak runs 300, and changes a model's SELECT in the
middle of each sixth.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.models.discovery import discover
from tests.changed_select import changed_select
from tests.histories.comparing import CHANGES, Difference, compare, with_another_meaning
from tests.histories.generator import FEWEST, MOST, VENDORS, History, history

pytestmark = pytest.mark.long

HISTORIES = int(os.environ.get("DRAWDOWN_TEST_HISTORIES", "6"))
_CHANGED = 6
"""Every how many histories a model's SELECT changes in the middle."""
_PART = 3
"""Histories of one test: the soak's workers take one test at a time."""
PARTS = range(-(-HISTORIES // _PART))


def seeds_of(part: int) -> range:
    """Histories of one test."""
    return range(part * _PART, min((part + 1) * _PART, HISTORIES))


def _change(seed: int) -> str | None:
    return sorted(CHANGES)[seed // _CHANGED % len(CHANGES)] if seed % _CHANGED == _CHANGED - 1 else None


@pytest.mark.parametrize("part", PARTS)
def test_refreshing_step_by_step_equals_one_rebuild(tmp_path: Path, template: Path, part: int) -> None:
    seeds = seeds_of(part)
    steps = changed = 0
    for seed in seeds:
        drawn = history(seed)
        found = compare(drawn, tmp_path / str(seed), template, change=_change(seed))
        if found:
            pytest.fail(_report(drawn, found, tmp_path / "less", template), pytrace=False)
        steps += len(drawn.steps)
        changed += _change(seed) is not None
    print(
        f"soak: {len(seeds)} histories of {steps} refreshes, {changed} with another SELECT from the middle on, 0 differences"
    )


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_select_that_is_changed_for_the_histories_means_something_else(name: str) -> None:
    before = discover()[name].sql
    with changed_select(name, with_another_meaning(name)):
        assert discover()[name].sql != before
        assert CHANGES[name][1] in discover()[name].select
    assert discover()[name].sql == before


def test_a_seed_has_one_history_of_several_months() -> None:
    made = [history(seed) for seed in range(60)]
    assert made[7].steps == history(7).steps
    for each in made:
        assert FEWEST <= len(each.steps) <= MOST
        assert all(before < after for before, after in pairwise(each.clocks))
    assert {name for each in made for name in each.accounts} == set(VENDORS)
    assert sum((each.clocks[-1] - each.clocks[0]).days > 60 for each in made) > 20


def test_a_difference_is_found_and_reported_with_both_rows(
    tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A refresh that forgets dirty months is the defect that these tests must find.
    monkeypatch.setattr("pipeline.models.recompute.dirty_months", lambda *_: "")
    drawn = history(3)
    found = compare(drawn, tmp_path / "forgetful", template)
    assert found
    assert any(row.startswith("+ ") for each in found for row in each.rows)


def _report(drawn: History, found: list[Difference], folder: Path, template: Path) -> str:
    """The differences, and the smallest history found with one in the same table."""
    change = _change(drawn.seed)
    least, table = drawn, found[0].table

    def still(made: History) -> bool:
        if not made.accounts or len(made.steps) < 2:
            return False
        return any(each.table == table for each in compare(made, folder, template, change=change))

    for name in drawn.accounts:
        if len(least.accounts) > 1 and still(without := least.without(accounts=[name])):
            least = without
    for step in reversed(range(len(least.steps) - 1)):
        if still(without := least.without(steps=[step])):
            least = without
    lines = [
        f"history {drawn.seed} of {', '.join(drawn.accounts)}, {len(drawn.steps)} refreshes, SELECT changed: {change}",
        *map(str, found),
        f"{table} still differs with {len(least.steps)} refreshes of {', '.join(least.accounts)}:",
    ]
    for at, fetches in zip(least.clocks, least.steps, strict=True):
        lines.append(f"  refresh of {at:%Y-%m-%d %H:%M}")
        lines += [
            f"    {each.fetched_at_utc:%m-%d %H:%M} {each.account_id} {each.endpoint} {each.outcome} {each.body[:160]!r}"
            for each in fetches
        ]
    return "\n".join(lines[:160])
