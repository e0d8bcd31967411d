"""`drawdown status`: the account table."""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pipeline.schema.severities import SEVERITIES
from tests.cli.accounts import account, table
from tests.cli.conftest import NOW, Desk, Publish

# A build whose clock was set is judged by that clock.
AT_ONCE = ("--as-of", (NOW + timedelta(minutes=1)).isoformat())
URGENCY = ["critical", "warning", "unknown", "watch", "ok"]


def test_every_account_of_a_build_is_a_line_within_80_columns(desk: Desk) -> None:
    done = desk("status", *AT_ONCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]
    header, *rows = table(done.stdout)
    assert header == ["account", "balance", "unit", "days", "dry by", "severity", "reading"]
    assert {row[0] for row in rows} == {
        "vpsbg-main", "vpsbg-agency", "vpsbg-idle", "voxpria-main", "voxpria-campaign"
    }  # fmt: skip
    assert (
        done.stdout.splitlines()[-1] == "As of 2026-03-18 13:37 UTC, 60 seconds ago. Details: drawdown explain ACCOUNT"
    )


def test_the_most_urgent_comes_first_then_the_one_that_is_dry_sooner(publish: Publish) -> None:
    rows = [
        account(f"{severity}-{days}", severity, runway_days=days) for severity in SEVERITIES for days in (90.0, 60.5)
    ]
    rows += [account("ok-never"), account("ok-b", runway_days=90.0)]
    _, *shown = table(publish(rows).here("status").stdout)
    expected = [f"{severity}-{days}" for severity in URGENCY for days in (60.5, 90.0)]
    assert [row[0] for row in shown] == [*expected[:-1], "ok-90.0", "ok-b", "ok-never"]


def test_each_account_with_a_problem_has_a_sentence_with_the_reason(publish: Publish) -> None:
    done = publish([account(f"is-{severity}", severity) for severity in SEVERITIES]).here("status")
    sentences = done.stdout.split("\n\n")[1].splitlines()
    assert sentences[:-1] == [f"is-{severity}: The reason of is-{severity}." for severity in URGENCY[:-1]]
    assert sentences[-1].endswith(" UTC, 5 minutes ago. Details: drawdown explain ACCOUNT")


def test_nothing_that_matters_is_cut_at_80_columns(publish: Publish) -> None:
    name, reason = "a" * 63, "word " * 40 + "end."
    rows = [
        account(
            name,
            "critical",
            balance_amount=Decimal("-1234567890.125"),
            unit_code="voxpria-credit",
            vendor="voxpria",
            runway_days=3650.04,
            runway_p50_date=date(2036, 3, 18),
            reading_state="unknown",
            reason=reason,
        ),
        account("b"),
    ]
    done = publish(rows).here("status")
    _, *shown = table(done.stdout)
    # The names wrap; the numbers need more than 80 columns, and get them.
    assert "".join(row[0] for row in shown) == f"{name}b"
    assert {len(row[0]) for row in shown} == {16, 15, 1}
    assert shown[0][1:] == [
        "-1,234,567,890.13", "voxpria-credit", "3,650", "2036-03-18", "critical", "unknown"
    ]  # fmt: skip
    assert shown[-1][1:] == ["100.50", "EUR", "", "", "ok", "fresh"]
    assert " ".join(done.stdout.split("\n\n")[1].split()).startswith(f"{name}: {' '.join(reason.split())} As of ")


def test_numbers_are_complete_even_if_wider_than_the_terminal(publish: Publish) -> None:
    rows = [account("main", balance_amount=Decimal("9" * 18 + ".999999999"), unit_code="a" * 20 + "-" + "b" * 20)]
    _, shown = table(publish(rows).here("status", COLUMNS="40").stdout)
    assert shown[:3] == ["main", "1,000,000,000,000,000,000.00", "a" * 20 + "-" + "b" * 20]


def test_a_long_name_goes_on_in_the_next_line(publish: Publish) -> None:
    name = "the-account-" * 5
    _, *shown = table(publish([account(name), account("b")]).here("status").stdout)
    assert "".join(row[0] for row in shown) == f"b{name}"
    assert len(shown) > 2


def test_two_hundred_accounts_fit_80_columns_and_are_printed_at_once(publish: Publish) -> None:
    rows = [
        account(
            f"account-{number}" if number % 7 else "a" * 60 + f"{number:03}",
            URGENCY[number % 5],
            balance_amount=Decimal(10) ** (number % 7),
            unit_code=("EUR", "USD")[number % 2],
            runway_days=float(number),
        )
        for number in range(200)
    ]
    done = publish(rows).here("status")
    assert max(map(len, done.stdout.splitlines())) <= 80
    names = "".join(row[0] for row in table(done.stdout)[1:])
    assert all(row["account_id"] in names for row in rows)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "0.00"),
        ("0.004", "0.004"),
        ("-0.000000001", "-0.000000001"),
        ("0.005000001", "0.01"),
        ("-4.2", "-4.20"),
        ("1234.565", "1,234.57"),
        (None, ""),
    ],
)
def test_a_balance_that_is_not_nothing_never_looks_like_it(publish: Publish, amount: str | None, shown: str) -> None:
    balance = None if amount is None else Decimal(amount)
    _, row = table(publish([account("main", "unknown", balance_amount=balance)]).here("status").stdout)
    assert row[1] == shown


def test_numbers_are_aligned_right_and_texts_left(publish: Publish) -> None:
    done = publish([account("a", balance_amount=Decimal(5), runway_days=5.0), account("b", runway_days=100.0)])
    header, _, first, second = done.here("status").stdout.split("\n\n")[0].splitlines()
    for name in ("balance", "days"):
        end = header.index(name) + len(name)
        assert first[end - 1 : end + 2].strip() == first[end - 1]
        assert second[end - 1 : end + 2].strip() == second[end - 1]
    assert first.index("EUR") == second.index("EUR") == header.index("unit")


FLEET = {
    "reporting_unit_code": "EUR",
    "account_count": 5,
    "converted_account_count": 3,
    "reporting_balance_amount": Decimal("1234.565"),
    "reporting_burn_28d_amount": Decimal("12.5"),
    "burn_account_count": 3,
    "old_rate_account_count": 0,
    "unconverted_balances": "",
}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "1,234.57 EUR in 3 of 5 accounts, 12.50 EUR a day."),
        (
            {"reporting_burn_28d_amount": None, "account_count": 1, "converted_account_count": 1},
            "1,234.57 EUR in 1 of 1 account.",
        ),
        (
            {"oldest_fx_rate_date": date(2026, 3, 13)},
            "1,234.57 EUR in 3 of 5 accounts, 12.50 EUR a day (rates of 2026-03-13 or later).",
        ),
        (
            {"oldest_fx_rate_date": date(2026, 3, 13), "burn_account_count": 2, "old_rate_account_count": 1},
            "1,234.57 EUR in 3 of 5 accounts, 12.50 EUR a day in 2 of them (rates of 2026-03-13 or later; more than 7 "
            "days old for 1 account).",
        ),
        (
            {"unconverted_balances": "12314.5 INR, 3700 voxpria-credit"},
            "1,234.57 EUR in 3 of 5 accounts, 12.50 EUR a day; not converted: 12,314.50 INR, 3,700.00 voxpria-credit.",
        ),
        (
            {"reporting_balance_amount": None, "reporting_burn_28d_amount": None, "unconverted_balances": "0 unknown"},
            "no balance in the reporting currency; not converted: 0.00 unknown.",
        ),
    ],
)
def test_the_fleet_is_a_sentence_within_80_columns(publish: Publish, more: dict[str, Any], words: str) -> None:
    done = publish([account("main")], fleet=FLEET | more).here("status")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert " ".join(done.stdout.split("\n\n")[1].split()).startswith(f"Fleet: {words} As of ")


def test_no_account_is_no_fleet(publish: Publish) -> None:
    assert "Fleet" not in publish([], fleet=FLEET | {"account_count": 0}).here("status").stdout


def test_a_vendors_words_cannot_command_the_terminal(publish: Publish) -> None:
    done = publish([account("main", "critical", reason="one\x1b[2Jtwo\nthree\u202efour [bold]five[/bold]")]).here(
        "status"
    )
    assert "main: one\\x1b[2Jtwo\\nthree\\u202efour [bold]five[/bold]" in done.stdout


def test_without_a_terminal_there_is_no_colour_and_with_one_there_is(publish: Publish) -> None:
    desk = publish([account("ok", "critical")])
    assert "\x1b" not in desk("status").stdout
    coloured = desk("status", FORCE_COLOR="1", TERM="xterm").stdout
    assert "\x1b[1;31mcritical\x1b[0m" in coloured
    assert "\x1b" not in coloured.splitlines()[2].split("critical")[0].removesuffix("\x1b[1;31m")


def test_without_line_drawing_characters_the_rule_is_plain(publish: Publish) -> None:
    desk = publish([account("main", "critical", reason="caf\N{LATIN SMALL LETTER E WITH ACUTE}.")])
    process = desk.start("status", PYTHONIOENCODING="ascii")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[1].startswith("-------- --")
    assert "main: caf\\xe9." in out


def test_json_equals_sql(desk: Desk) -> None:
    status, names = desk.run_all(
        ["status", "--json", "--as-of", NOW.isoformat()],
        ["sql", "--format", "json", "SELECT column_name FROM (DESCRIBE marts.account_status)"],
    )
    accounts = json.loads(status.stdout, parse_float=Decimal)
    assert len(accounts) == 5
    times = [[account.pop(f"{name}_at_utc") for name in ("built", "read")] for account in accounts]
    assert {account.pop("as_of_utc") for account in accounts} == {"2026-03-18T13:37:00Z"}
    assert {read for _, read in times} == {"2026-03-18T13:37:00Z"}
    assert all(built > "2026-" for built, _ in times)
    of_runs = ("last_run_at_utc", "last_run_is_ok", "runs_failed_since_utc", "failed_run_count", "run_problems")
    assert {account["last_run_is_ok"] for account in accounts} == {True}
    for row in accounts:
        for name in of_runs:
            del row[name]
    columns = list(accounts[0])
    assert set(columns) < {each["column_name"] for each in json.loads(names.stdout)}
    query = f"SELECT {', '.join(columns)} FROM marts.account_status ORDER BY account_id"
    same = json.loads(desk("sql", "--format", "json", query).stdout, parse_float=Decimal)
    assert sorted(accounts, key=lambda each: each["account_id"]) == same
    assert [URGENCY.index(each["severity"]) for each in accounts] == sorted(
        URGENCY.index(each["severity"]) for each in accounts
    )


def test_without_an_account_there_is_a_table_without_a_line(publish: Publish) -> None:
    desk = publish([])
    plain, as_json = desk.run_all(["status"], ["status", "--json"])
    assert (plain.returncode, as_json.returncode) == (0, 0)
    assert len(table(plain.stdout)) == 1
    assert json.loads(as_json.stdout) == []
