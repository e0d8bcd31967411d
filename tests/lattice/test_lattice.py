"""Accounts in every combination of unusual states, together with ordinary ones: everything published is right.

`DRAWDOWN_TEST_COMBINATIONS` sets the number of combinations; the soak tries 20,160 of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.lattice.build_properties import Violation, nobody_else_differs
from tests.lattice.combinations import FACETS, Combination, draw, pairs, plain
from tests.lattice.narrowing import place_of, plainest, smallest, summary
from tests.lattice.properties import COUNT, violations
from tests.lattice.simulation import simulate
from tests.lattice.truth import SimulatedAccount
from tests.lattice.worlds import ALL_THAT_IS_PUBLISHED, ORDINARY, Built, build, ordinary, unusual

pytestmark = pytest.mark.long

COMBINATIONS = int(os.environ.get("DRAWDOWN_TEST_COMBINATIONS", "630"))
SEED = 20_260_310
_SIZE = 1_260
"""Maximum number of unusual accounts in one world: the cost of a build has a fixed part and a part for each account."""
WORLDS = range(-(-COMBINATIONS // _SIZE))


@pytest.mark.parametrize("number", WORLDS)
def test_in_every_state_of_accounts_all_properties_are_true_and_no_other_account_differs(
    folder: Path, reference: Built, number: int
) -> None:
    combinations = draw(COMBINATIONS, SEED)[number * _SIZE : (number + 1) * _SIZE]
    built = build(folder, unusual(combinations))
    found = violations(built, reference)
    if found:
        pytest.fail(_report(folder, reference, combinations, found), pytrace=False)
    print(f"soak: {len(combinations):,} combinations, 1 builds, 0 violations")


def test_ordinary_accounts_break_no_property_either(reference: Built) -> None:
    reference.simulated = ordinary()
    assert violations(reference, reference) == []


def test_all_that_is_published_is_made_of_an_account_of_each_vendor_in_a_state_far_from_plain(folder: Path) -> None:
    far = [
        Combination(vendor, tuple((name, values[-1]) for name, values in FACETS[vendor].items())) for vendor in FACETS
    ]
    built = build(folder, unusual(far), published_as=ALL_THAT_IS_PUBLISHED)
    assert built.failure is None
    published = folder / "data" / "published"
    assert {path.name for path in published.iterdir()} >= {"report", "focus", "metrics", "parquet", "current.duckdb"}


def test_learning_from_other_accounts_only_changes_forecasts(folder: Path, reference: Built) -> None:
    states = [
        plain(vendor, amounts=amounts) for vendor in FACETS for amounts in ("ordinary", "tiny", "huge", "negative")
    ]
    built = build(folder, unusual(states), is_pool_shared=True)
    assert built.failure is None
    assert list(nobody_else_differs(built, reference, but_forecasts=True)) == []
    for name in ORDINARY:
        [mine] = [row for row in built.rows("forecasts.current_runway") if row["account_id"] == name]
        [alone] = [row for row in reference.rows("forecasts.current_runway") if row["account_id"] == name]
        assert (mine["method"], mine["unit_code"]) == (alone["method"], alone["unit_code"])


def test_a_share_of_the_combinations_has_every_value_of_every_facet() -> None:
    drawn = draw(COMBINATIONS, SEED)
    assert len(set(drawn)) == COMBINATIONS
    for vendor, facets in FACETS.items():
        for name, values in facets.items():
            assert {each[name] for each in drawn if each.vendor == vendor} == set(values), (vendor, name)
    there, wanted = pairs(drawn)
    assert there > 0.95 * wanted


# -- tests of the lattice itself ----------------------------------------------------------------------------------


def test_an_account_that_changes_another_ones_rows_is_seen(folder: Path, reference: Built) -> None:
    built = build(folder, [])
    columns, rows = built.tables["core.spend_daily"]
    place = columns.index("spend_amount")
    first = next(row for row in rows if row[0] in ORDINARY)
    changed = tuple(value + 1 if number == place else value for number, value in enumerate(first))
    built.tables["core.spend_daily"] = (columns, [changed if row is first else row for row in rows])
    assert [each.name for each in violations(built, reference)] == ["nobody_else_differs"]


def test_the_smallest_part_that_fails_is_found() -> None:
    assert smallest(range(100), lambda part: 37 in part) == [37]
    assert smallest(range(100), lambda part: 3 in part and 90 in part) == [3, 90]


def test_a_combination_is_narrowed_to_its_failing_part() -> None:
    state = plain("vpsbg", ledger="one", unit="changes_once", life="back", csv="before")
    found = plainest(state, lambda each: (each["ledger"], each["csv"]) == ("one", "before"))
    assert str(found) == "vpsbg csv=before ledger=one"


# -- reports of violations ----------------------------------------------------------------------------------------


def _report(folder: Path, reference: Built, combinations: Sequence[Combination], found: Sequence[Violation]) -> str:
    """All violations, and for the first property the smallest input that violates it."""
    name = found[0].name

    def breaks(accounts: Sequence[SimulatedAccount]) -> bool:
        return any(each.name == name for each in violations(build(folder, accounts), reference))

    everyone = unusual(combinations)
    named = next((each.account_id for each in found if each.name == name and each.account_id), None)
    start = [everyone[place_of(named)]] if named else everyone
    least = smallest(start if breaks(start) else everyone, breaks)
    lines = [summary(found, combinations), f"smallest world that breaks {name}:"]
    for account in least:
        others = [each for each in least if each is not account]

        def still_breaks(
            plainer: Combination, account: SimulatedAccount = account, others: list[SimulatedAccount] = others
        ) -> bool:
            return breaks([*others, simulate(account.account_id, account.number, plainer)])

        lines.append(f"    {plainest(account.combination, still_breaks)}")
    return f"of {len(combinations):,} combinations and {COUNT} properties:\n" + "\n".join(lines)
