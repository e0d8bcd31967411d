"""`drawdown afford`: three answers with exit codes, and amounts in other units."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.cli.conftest import NOW, Built, Desk

DAY = NOW.date().isoformat()
AS_OF = ("--as-of", NOW.isoformat())


def _record(desk: Desk, *arguments: str) -> dict[str, object]:
    done = desk("afford", *arguments, *AS_OF, "--json")
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert {"yes": 0, "after_topup": 3, "no": 4}[found["answer"]] == done.returncode
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="session")
def balances(built: Built) -> dict[str, tuple[float, float]]:
    """By account, its balance and mean daily spend."""
    rows = json.loads(
        built.desk(
            "sql", "SELECT account_id, balance_amount, burn_28d_amount FROM marts.account_status", "--format", "json"
        ).stdout
    )
    return {row["account_id"]: (row["balance_amount"], row["burn_28d_amount"]) for row in rows}


def test_small_later_and_large_campaigns_have_three_answers_and_exit_codes(
    desk: Desk, balances: dict[str, tuple[float, float]]
) -> None:
    left, burn = balances["vpsbg-main"]
    start, until = ((NOW + timedelta(days=days)).date().isoformat() for days in (15, 20))
    small = desk("afford", "vpsbg-main", "0.01", *AS_OF)
    assert (small.returncode, small.stderr) == (0, "")
    assert small.stdout.startswith(f"Yes. With 0.01 EUR on {DAY} the chance of running dry by {DAY} is ")
    later = desk("afford", "vpsbg-main", f"{left:.2f}", "--from", start, "--to", until, *AS_OF)
    assert later.returncode == 3
    words = " ".join(later.stdout.split())
    assert words.startswith(f"Only after a top-up. With {left:,.2f} EUR from {start} to {until} the chance of")
    assert " EUR by 2026-" in words
    large = desk("afford", "vpsbg-main", f"{10 * left:.2f}", *AS_OF)
    assert large.returncode == 4
    assert large.stdout.startswith("No. With ")
    assert burn > 0


def test_json_has_the_amounts_and_chances_exactly(desk: Desk) -> None:
    found = _record(desk, "voxpria-main", "10")
    assert {name: found[name] for name in ("answer", "account_id", "amount", "unit_code", "from_date", "to_date")} == {
        "answer": "yes",
        "account_id": "voxpria-main",
        "amount": 10,
        "unit_code": "voxpria-credit",
        "from_date": DAY,
        "to_date": DAY,
    }
    assert found["topup_amount"] is None


def test_amounts_in_units_of_the_price_list_or_of_usage_are_converted(desk: Desk) -> None:
    for unit, each in {"minutes": 3, "minute": 3, "sms": 1, "SMS": 1, "transcription-minutes": 1, "credits": 1}.items():
        assert _record(desk, "voxpria-main", "2", "--unit", unit)["amount"] == 2 * each
    [[credits, calls]] = json.loads(
        desk(
            "sql",
            "SELECT [sum(credits_amount), CAST(sum(usage_quantity) AS BIGINT)] AS both FROM (SELECT *, "
            "max(usage_date) OVER () AS last FROM core.usage_days WHERE account_id = 'voxpria-main') "
            "WHERE usage_date > last - 28",
            "--format",
            "json",
        ).stdout
    )[0].values()
    amount = _record(desk, "voxpria-main", "100", "--unit", "calls")["amount"]
    assert amount == pytest.approx(100 * credits / calls, rel=1e-6)


def test_a_currency_is_converted_by_rates_and_by_the_price_of_a_credit(desk: Desk) -> None:
    done = desk("afford", "vpsbg-main", "1", "--unit", "usd", *AS_OF)
    assert done.returncode == 0
    assert "1.00 USD at the exchange rate of 2026-" in " ".join(done.stdout.split())


@pytest.fixture(scope="session")
def headroom(built: Built) -> list[dict[str, Any]]:
    """Rows of forecasts.current_spend_headroom."""
    rows = json.loads(built.desk("sql", "FROM forecasts.current_spend_headroom", "--format", "json").stdout)
    assert isinstance(rows, list)
    return rows


def test_the_table_has_the_largest_amounts_to_which_the_answer_is_yes(
    desk: Desk, headroom: list[dict[str, Any]]
) -> None:
    asked = 0
    for row in headroom:
        # Two horizons and risks of each account: an answer takes a second.
        if (row["horizon_days"], row["accepted_probability"]) not in ((7, 0.05), (90, 0.2)):
            continue
        risk = ("--risk", str(row["accepted_probability"]), "--from", row["from_date"], "--to", row["to_date"])
        if row["headroom_code"] == "no_forecast":
            assert desk("afford", row["account_id"], "0", *risk, *AS_OF).returncode == 1
            continue
        kept = _record(desk, row["account_id"], str(row["headroom_amount"]), *risk)
        assert kept["without_probability"] == row["depleted_probability"]
        assert row["headroom_code"] in ("largest", "risk_exceeded")
        assert (kept["answer"] == "yes") == (row["headroom_code"] == "largest")
        if row["headroom_code"] == "largest":
            step = 1 if row["unit_code"] == "voxpria-credit" else 0.01
            more = Decimal(str(row["headroom_amount"])) + Decimal(str(step))
            assert _record(desk, row["account_id"], str(more), *risk)["answer"] != "yes"
            asked += 1
    assert asked > 3


def test_every_account_has_a_row_for_each_horizon_and_risk(desk: Desk, headroom: list[dict[str, Any]]) -> None:
    accounts = json.loads(
        desk("sql", "SELECT account_id FROM core.accounts WHERE is_configured", "--format", "json").stdout
    )
    assert len(headroom) == 20 * len(accounts)
    assert {row["from_date"] for row in headroom} == {(NOW + timedelta(days=1)).date().isoformat()}
    for row in headroom:
        last = NOW.date() + timedelta(days=int(row["horizon_days"]) - 1)
        assert row["to_date"] == last.isoformat()
        is_known = row["headroom_code"] not in ("no_forecast", "beyond_forecast")
        assert (row["headroom_amount"] is not None, row["depleted_probability"] is not None) == (is_known, is_known)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("vpsbg-main", "ten"), "AMOUNT 'ten' is not an amount"),
        (("vpsbg-main", "-3"), "No such option: -3"),
        (("nobody", "1"), "the newest build has no account 'nobody'; known accounts: "),
        (("vpsbg-main", "1", "--unit", "bananas"), "--unit bananas: this account knows EUR, and currencies"),
        (("vpsbg-main", "1", "--risk", "0"), "--risk 0: write a share between 0 and 1"),
        (("vpsbg-main", "1", "--to", "soon"), "--to: 'soon' is not a day"),
        (("vpsbg-main", "1", "--from", "2020-01-01"), "which is over; it can start on "),
        (("vpsbg-main", "1", "--to", "2030-01-01"), "after the forecast, which ends on "),
    ],
)
def test_what_cannot_be_judged_is_refused_in_a_line(desk: Desk, arguments: tuple[str, ...], words: str) -> None:
    done = desk("afford", *arguments, *AS_OF)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr
