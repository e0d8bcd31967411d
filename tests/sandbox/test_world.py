import ast
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import pipeline.sandbox
from pipeline.sandbox.world import STORIES, World

NOW = datetime(2026, 3, 18, 13, 37, tzinfo=UTC)
DAYS = timedelta(days=1)

# A week of initial nows, at night and by day, over a month's end and a change to summer time.
NOWS = [NOW + timedelta(days=n, hours=5 * n) for n in range(7)] + [datetime(2026, 3, 29, 1, 30, tzinfo=UTC)]


@pytest.fixture(scope="module")
def world() -> World:
    return World(now=NOW)


def lives(world: World) -> dict[str, Any]:
    return {account_id: account.ledger(world.ends_at) for account_id, account in world.accounts.items()}


def test_the_same_seed_gives_the_same_accounts(world: World) -> None:
    assert lives(World(now=NOW)) == lives(world)


def test_another_seed_gives_other_accounts(world: World) -> None:
    other = lives(World(now=NOW, seed=1))
    assert all(other[account_id] != life for account_id, life in lives(world).items() if "idle" not in account_id)


def test_leaving_accounts_out_changes_no_other(world: World) -> None:
    fewer = World(now=NOW, vendors=["voxpria", "deepvue"])
    assert set(fewer.accounts) == {"voxpria-main", "voxpria-campaign", "deepvue-main", "deepvue-new"}
    assert lives(fewer) == {
        account_id: life for account_id, life in lives(world).items() if account_id in fewer.accounts
    }


def test_how_the_clock_got_there_makes_no_difference(world: World) -> None:
    wanderer = World(now=NOW)
    for days in (3, -100, 50, -1, 20):
        wanderer.move_clock(NOW + days * DAYS)
    assert wanderer.now == NOW + 20 * DAYS
    assert lives(wanderer) == lives(world)


@pytest.mark.parametrize("account_id", STORIES)
def test_the_ledger_sums_to_the_balance_from_an_opening_of_zero(world: World, account_id: str) -> None:
    account = world.account(account_id)
    assert account.balance_at(account.opened_at - DAYS) == 0
    for days in (-399, -200, -31, -1, 0, 1, 60, 120):
        instant = NOW + days * DAYS
        assert sum((entry.amount for entry in account.ledger(instant)), Decimal(0)) == account.balance_at(instant)


@pytest.mark.parametrize("account_id", STORIES)
def test_spend_and_credits_add_up_to_the_balance(world: World, account_id: str) -> None:
    account = world.account(account_id)
    credits = sum((entry.amount for entry in account.ledger(NOW) if entry.kind in ("top_up", "refund")), Decimal(0))
    assert credits - sum(account.spend_by_day(NOW).values(), Decimal(0)) == account.balance_at(NOW)


@pytest.mark.parametrize("now", NOWS)
def test_the_campaign_has_two_to_five_days_left_at_its_recent_pace(now: datetime) -> None:
    account = World(now=now, vendors=["voxpria"]).account("voxpria-campaign")
    spend = account.spend_by_day(now)
    recent = [spend[now.date() - days * DAYS] for days in range(1, 8)]
    assert 2 <= account.balance_at(now) / (sum(recent) / 7) <= 5


def test_the_campaign_runs_dry_and_is_refilled_later(world: World) -> None:
    account: Any = world.account("voxpria-campaign")
    dry_at = account.dry_at(NOW)
    assert DAYS < dry_at - NOW < 6 * DAYS
    assert account.balance_at(dry_at) == account.balance_at(dry_at + DAYS) < 3
    assert account.balance_at(dry_at + 3 * DAYS) > 5_000


@pytest.mark.parametrize("now", NOWS)
@pytest.mark.parametrize("account_id", ["vpsbg-main", "hyperstack-main", "voxpria-main", "deepvue-main"])
def test_the_main_accounts_have_weeks_left(now: datetime, account_id: str) -> None:
    account = World(now=now, vendors=[account_id.split("-")[0]]).account(account_id)
    spent = sum(amount for day, amount in account.spend_by_day(now).items() if day >= now.date() - 28 * DAYS)
    assert account.balance_at(now) / (spent / 28) > 25


def test_no_balance_is_ever_negative(world: World) -> None:
    for account in world.accounts.values():
        assert all(account.balance_at(entry.at) >= 0 for entry in account.ledger(world.ends_at))


def test_the_idle_account_has_not_spent_for_months(world: World) -> None:
    account = world.account("vpsbg-idle")
    assert account.balance_at(NOW) == Decimal("37.40") == account.balance_at(NOW - 200 * DAYS)
    assert account.spend_by_day(NOW)


def test_the_new_account_has_one_entry_a_few_hours_old(world: World) -> None:
    account = world.account("deepvue-new")
    assert timedelta(0) < NOW - account.opened_at < timedelta(hours=12)
    assert [entry.kind for entry in account.ledger(NOW)] == ["top_up"]
    assert account.usage(NOW + 2 * DAYS)


@pytest.mark.parametrize("now", NOWS)
def test_a_restated_day_changes_once_in_the_report_and_never_in_the_balance(now: datetime) -> None:
    account: Any = World(now=now, vendors=["voxpria"]).account("voxpria-main")
    before, after = account.restated_at - timedelta(seconds=1), account.restated_at
    changed = set(account.usage(before)) ^ set(account.usage(after))
    assert {day.day for day in changed if not day.is_partial} - {after.date()} == {account.restated_day}
    assert now < after < now + DAYS
    assert after.date() - account.restated_day <= 3 * DAYS
    assert -sum(entry.amount for entry in account.ledger(after) if entry.kind == "usage") == sum(
        day.amount for day in account.usage(after)
    )


@pytest.mark.parametrize("days", [1, 2, 3, 10, 60])
def test_a_short_life_is_a_life_too(days: int) -> None:
    world = World(now=NOW, days=days, seed=7)
    for account in world.accounts.values():
        assert account.ledger(NOW)
        assert account.balance_at(NOW) >= 0


def test_the_clock_stays_within_the_world() -> None:
    world = World(now=NOW, days=10, vendors=["vpsbg"])
    for outside in (NOW - 11 * DAYS, NOW + 121 * DAYS, NOW.replace(tzinfo=None)):
        with pytest.raises(ValueError, match=r"lasts|offset"):
            world.move_clock(outside)
    assert world.now == NOW


def test_a_ticking_clock_continues_from_its_new_time() -> None:
    world = World(now=NOW, days=1, vendors=["deepvue"], ticking=True)
    world.move_clock(NOW + DAYS)
    first = world.now
    assert NOW + DAYS <= first < world.now + timedelta(microseconds=1) < NOW + 2 * DAYS


def test_invalid_parameters_of_a_world_are_refused() -> None:
    for wrong in ({"days": 0}, {"vendors": ["aws"]}, {"now": NOW.replace(tzinfo=None)}):
        with pytest.raises(ValueError, match=r"days|vendors|offset"):
            World(**wrong)  # type: ignore[arg-type]


def test_nothing_of_the_pipeline_is_used() -> None:
    folder = Path(pipeline.sandbox.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [m for m in modules if m.startswith("pipeline") and not m.startswith("pipeline.sandbox")], path


def test_importing_it_loads_no_web_framework() -> None:
    code = "import sys, pipeline.sandbox; print({'starlette', 'uvicorn', 'msgspec'} & set(sys.modules))"
    root = Path(pipeline.sandbox.__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
