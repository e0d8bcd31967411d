"""A vendor that is down or sends wrong data affects no other, and nothing that is already known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW
from tests.sandbox_faults import Sandbox

LATER = NOW + timedelta(hours=2)


def _status(bench: Bench) -> dict[str, tuple[Any, ...]]:
    return {
        row[0]: row[1:]
        for row in bench.rows(
            "SELECT account_id, balance_amount, reading_state, severity, age_seconds, reason FROM marts.account_status"
        )
    }


def test_a_vendor_down_for_ever_is_one_line_and_leaves_its_last_balance_with_its_age(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox
) -> None:
    first_run(bench)
    before = _status(bench)
    sandbox.put_fault("status", vendor="vpsbg", account="vpsbg-main", path="/balance", exact=True, code=500)
    sandbox.move_clock(LATER)

    outcome = bench.run(LATER)

    assert len(outcome.problems) == 1
    assert "vpsbg-main" in outcome.problems[0]
    assert "500" in outcome.problems[0]
    after = _status(bench)
    balance, state, severity, age, reason = after.pop("vpsbg-main")
    # As urgent as last known, and marked as stale.
    assert before["vpsbg-main"][2] != "unknown"
    assert (balance, state, severity, age) == (before["vpsbg-main"][0], "stale", before["vpsbg-main"][2], 7200)
    assert "2 hours old" in reason
    assert {row[1] for row in after.values()} == {"fresh"}
    last = bench.rows(
        "SELECT balance_amount, reading_state FROM core.balance_snapshots WHERE account_id = 'vpsbg-main' "
        "ORDER BY observed_at_utc DESC LIMIT 1"
    )
    assert last == [(None, "unknown")]


def test_the_command_exits_1_with_one_line_when_a_vendor_is_down(bench: Bench, sandbox: Sandbox) -> None:
    sandbox.put_fault("status", vendor="voxpria", account="voxpria-main", path="/api/v1/credits", exact=True, code=401)

    done = bench.command("run", "--as-of", NOW.isoformat())

    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("drawdown: ")]
    assert len(lines) == 1
    assert "voxpria-main" in lines[0]
    assert "SANDBOX_VOXPRIA_MAIN_KEY" in lines[0]
    assert _status(bench)["voxpria-main"][:3] == (None, "unknown", "unknown")
    assert _status(bench)["vpsbg-main"][1] == "fresh"


@pytest.mark.faults(25)
@pytest.mark.parametrize(
    "faults",
    [("money_null", "money_not_available"), ("money_overflow", "money_dollars"), ("money_missing", "money_renamed")],
    ids=" ".join,
)
def test_a_bad_body_never_becomes_a_number(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox, faults: tuple[str, str]
) -> None:
    """One refresh with a bad body of each of two accounts."""
    first_run(bench)
    accounts = ("voxpria-main", "voxpria-campaign")
    before = _status(bench)
    for account, fault in zip(accounts, faults, strict=True):
        sandbox.put_fault(fault, vendor="voxpria", account=account, path="/api/v1/credits", exact=True)
    sandbox.move_clock(LATER)

    outcome = bench.run(LATER)

    after = _status(bench)
    for account in accounts:
        assert [line for line in outcome.problems if account in line]
        balance, state, severity, _, _ = after[account]
        assert before[account][2] != "unknown"
        assert (balance, state, severity) == (before[account][0], "stale", before[account][2])
        assert bench.rows(f"SELECT count(*) > 0 FROM staging.rejects WHERE account_id = '{account}'") == [(True,)]


@pytest.mark.faults(14)
def test_a_body_that_is_not_json_never_becomes_a_number(bench: Bench, sandbox: Sandbox) -> None:
    sandbox.put_fault("money_nan", vendor="vpsbg", account="vpsbg-main", path="/balance", exact=True)

    outcome = bench.run(NOW)

    assert [line for line in outcome.problems if "vpsbg-main" in line]
    assert _status(bench)["vpsbg-main"][:2] == (None, "unknown")


@pytest.mark.faults(27)
def test_a_restated_day_replaces_the_earlier_value(bench: Bench, first_run: FirstRun, sandbox: Sandbox) -> None:
    account = sandbox.world.account("voxpria-main")
    query = (
        "SELECT credits_amount FROM core.usage_days "
        f"WHERE account_id = 'voxpria-main' AND usage_date = '{account.restated_day}'"
    )
    first_run(bench)
    first = bench.rows(query)
    after = account.restated_at + timedelta(hours=1)
    sandbox.move_clock(after)

    bench.run(after)

    assert bench.rows(query) != first
    truth = {day.day: day.amount for day in account.usage(after)}
    assert bench.rows(query) == [(truth[account.restated_day],)]
