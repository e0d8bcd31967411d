"""`drawdown status`: the account table."""

import json
import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pipeline.cli.status import Status, is_reached
from pipeline.schema.severities import SEVERITIES
from pipeline.support.wording import duration
from tests.cli.conftest import NOW, Desk, Publish

# A build whose clock was set is read by that clock.
AT_ONCE = ("--as-of", (NOW + timedelta(minutes=1)).isoformat())
URGENCY = ["critical", "warning", "unknown", "watch", "ok"]


def account(account_id: str, severity: str = "ok", **more: Any) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "vendor": "vpsbg",
        "balance_amount": Decimal("100.5"),
        "unit_code": "EUR",
        "reading_state": "fresh",
        "severity": severity,
        "reason": f"The reason of {account_id}.",
    } | more


def table(text: str) -> list[list[str]]:
    """The cells of the account table, cut where the rule under the header cuts."""
    header, rule, *lines = text.split("\n\n")[0].splitlines()
    starts = [index for index, sign in enumerate(rule) if sign == "─" and (index == 0 or rule[index - 1] == " ")]
    return [
        [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
        for line in [header, *lines]
    ]


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
    assert done.stdout.splitlines()[-1] == "As of 2026-03-18 13:37 UTC, 60 seconds ago."


def test_the_most_urgent_comes_first_then_the_one_that_is_dry_sooner(publish: Publish) -> None:
    rows = [
        account(f"{severity}-{days}", severity, runway_days=days) for severity in SEVERITIES for days in (90.0, 60.5)
    ]
    rows += [account("ok-never"), account("ok-b", runway_days=90.0)]
    _, *shown = table(publish(rows).here("status").stdout)
    expected = [f"{severity}-{days}" for severity in URGENCY for days in (60.5, 90.0)]
    assert [row[0] for row in shown] == [*expected[:-1], "ok-90.0", "ok-b", "ok-never"]


def test_a_sentence_says_why_for_each_account_that_is_not_fine(publish: Publish) -> None:
    done = publish([account(f"is-{severity}", severity) for severity in SEVERITIES]).here("status")
    sentences = done.stdout.split("\n\n")[1].splitlines()
    assert sentences[:-1] == [f"is-{severity}: The reason of is-{severity}." for severity in URGENCY[:-1]]
    assert sentences[-1].endswith(" UTC, 5 minutes ago.")


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
    # The names wrap; the numbers need more than 80 columns, and have them.
    assert "".join(row[0] for row in shown) == f"{name}b"
    assert {len(row[0]) for row in shown} == {16, 15, 1}
    assert shown[0][1:] == [
        "-1,234,567,890.12", "voxpria-credit", "3,650.0", "2036-03-18", "critical", "unknown"
    ]  # fmt: skip
    assert shown[-1][1:] == ["100.50", "EUR", "", "", "ok", "fresh"]
    assert " ".join(done.stdout.split("\n\n")[1].split()).startswith(f"{name}: {' '.join(reason.split())} As of ")


def test_numbers_are_whole_even_where_they_are_wider_than_the_terminal(publish: Publish) -> None:
    rows = [account("main", balance_amount=Decimal("9" * 29 + ".999999999"), unit_code="a" * 20 + "-" + "b" * 20)]
    _, shown = table(publish(rows).here("status", COLUMNS="40").stdout)
    assert shown[:3] == ["main", "100,000,000,000,000,000,000,000,000,000.00", "a" * 20 + "-" + "b" * 20]


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
        ("1234.565", "1,234.56"),
        (None, ""),
    ],
)
def test_a_balance_that_is_not_nothing_never_looks_like_it(publish: Publish, amount: str | None, shown: str) -> None:
    balance = None if amount is None else Decimal(amount)
    _, row = table(publish([account("main", "unknown", balance_amount=balance)]).here("status").stdout)
    assert row[1] == shown


def test_numbers_stand_right_and_words_left(publish: Publish) -> None:
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
    "unconverted_balances": "",
}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "1,234.56 EUR in 3 of 5 accounts, 12.50 EUR a day."),
        (
            {"reporting_burn_28d_amount": None, "account_count": 1, "converted_account_count": 1},
            "1,234.56 EUR in 1 of 1 account.",
        ),
        (
            {"oldest_fx_rate_date": date(2026, 3, 13)},
            "1,234.56 EUR in 3 of 5 accounts, 12.50 EUR a day (rates of 2026-03-13 or later).",
        ),
        (
            {"unconverted_balances": "12314.5 INR, 3700 voxpria-credit"},
            "1,234.56 EUR in 3 of 5 accounts, 12.50 EUR a day; not converted: 12,314.50 INR, 3,700.00 voxpria-credit.",
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


def test_where_line_drawing_cannot_be_written_the_rule_is_plain(publish: Publish) -> None:
    done = publish([account("main", "critical", reason="caf\N{LATIN SMALL LETTER E WITH ACUTE}.")])(
        "status", PYTHONIOENCODING="ascii"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].startswith("-------- --")
    assert "main: caf\\xe9." in done.stdout


def test_json_holds_what_sql_holds(desk: Desk) -> None:
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
    for account in accounts:
        for name in of_runs:
            del account[name]
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


REACHED = {
    "critical": {"critical"},
    "warning": {"critical", "warning"},
    "watch": {"critical", "warning", "watch"},
    "unknown": {"unknown"},
    "ok": {"ok"},
}


@pytest.mark.parametrize("wanted", SEVERITIES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_severity_is_reached_by_itself_and_by_what_is_more_urgent(wanted: str, severity: str) -> None:
    found = Status([account("main", severity)], datetime.now(UTC))
    assert is_reached(found, [wanted]) == (severity in REACHED[wanted])
    assert is_reached(found, [wanted, "unknown"]) == (severity in REACHED[wanted] | {"unknown"})
    assert not is_reached(found, [])
    assert not is_reached(Status([], datetime.now(UTC)), [wanted])


def test_fail_on_is_an_exit_code_and_still_shows_the_table(publish: Publish) -> None:
    desk = publish([account("a", "watch"), account("b", "ok")])
    wrong, both = desk.run_all(
        ["status", "--fail-on", "urgent"], ["status", "--fail-on", "critical", "--fail-on", "watch"]
    )
    done = [*(desk.here("status", "--fail-on", severity) for severity in SEVERITIES), both]
    assert [each.returncode for each in done] == [1, 1, 0, 0, 0, 1]
    assert {each.stderr for each in done} == {""}
    assert len({each.stdout for each in done}) == 1
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == (
        "drawdown: --fail-on urgent: must be one of ok, watch, warning, critical, unknown, stale, run_failed\n"
    )


@pytest.mark.parametrize(
    ("wanted", "reached"), [("stale", True), ("unknown", True), ("ok", True), ("watch", False), ("critical", False)]
)
def test_a_reading_that_is_not_fresh_reaches_stale_and_unknown(wanted: str, reached: bool) -> None:
    found = Status([account("main", "ok", reading_state="stale")], datetime.now(UTC))
    assert is_reached(found, [wanted]) == reached
    fine = Status([account("main", "ok")], datetime.now(UTC))
    assert is_reached(fine, [wanted]) == (wanted == "ok")


def test_a_new_account_of_which_nothing_is_known_is_unknown_and_not_stale() -> None:
    found = Status([account("main", "unknown")], datetime.now(UTC))
    assert is_reached(found, ["unknown"])
    assert not is_reached(found, ["stale"])


def test_a_build_that_nobody_renews_turns_red_by_itself(publish: Publish) -> None:
    made = datetime(2026, 3, 18, 12, tzinfo=UTC)
    rows = [
        account(
            "forecast", runway_days=31.0, method="full", runway_p10_date=date(2026, 4, 8),
            runway_p50_date=date(2026, 4, 18), observed_at_utc=made, stale_after_seconds=93600.0, age_seconds=0.0,
        ),
        account(
            "mean", runway_days=100.0, method="mean_28d", observed_at_utc=made, stale_after_seconds=3888000.0,
            burn_28d_amount=Decimal("1.005"), alert_below_amount=Decimal(90), age_seconds=0.0,
        ),
        account("new", "unknown", observed_at_utc=made, stale_after_seconds=93600.0, age_seconds=0.0),
    ]  # fmt: skip
    desk = publish(rows, as_of=made)

    def shown(*more: str) -> dict[str, list[str]]:
        _, *lines = table(desk.here("status", *more).stdout)
        return {line[0]: [line[3], line[5], line[6]] for line in lines}

    assert shown("--as-of", "2026-03-18T12:00:00Z") == {
        "forecast": ["31.0", "ok", "fresh"], "mean": ["100.0", "ok", "fresh"], "new": ["", "unknown", "fresh"],
    }  # fmt: skip
    assert shown("--as-of", "2026-03-20T12:00:00Z") == {
        "forecast": ["29.0", "watch", "stale"], "mean": ["98.0", "ok", "fresh"], "new": ["", "unknown", "stale"],
    }  # fmt: skip
    # The forecast's 1 chance in 10 is a week away, and the owner's limit is passed by what is expected.
    assert shown("--as-of", "2026-04-01T12:00:00Z") == {
        "forecast": ["17.0", "warning", "stale"], "mean": ["86.0", "warning", "fresh"], "new": ["", "unknown", "stale"],
    }  # fmt: skip
    assert shown()["forecast"] == ["0.0", "critical", "stale"]
    for at, code in {"2026-03-18T12:00:00Z": 0, "2026-03-20T12:00:00Z": 1}.items():
        assert desk.here("status", "--fail-on", "stale", "--as-of", at).returncode == code
    for at, code in {"2026-04-10": 0, "2026-04-11": 1}.items():
        assert desk.here("status", "--fail-on", "critical", "--as-of", at).returncode == code
    words = " ".join(desk.here("status", "--as-of", "2026-04-11").stdout.split())
    assert "forecast: No newer reading for 24 days. The reason of forecast. Since then it has become critical" in words


def test_before_the_build_nothing_is_younger_than_in_it(publish: Publish) -> None:
    made = datetime(2026, 3, 18, 12, tzinfo=UTC)
    row = account("main", runway_days=31.0, observed_at_utc=made, stale_after_seconds=60.0, age_seconds=0.0)
    _, shown = table(publish([row], as_of=made).here("status", "--as-of", "2026-03-01").stdout)
    assert (shown[3], shown[5], shown[6]) == ("31.0", "ok", "fresh")


@pytest.mark.parametrize("command", [["status"], ["explain", "main"]])
def test_an_instant_that_is_none_is_refused(publish: Publish, command: list[str]) -> None:
    done = publish([account("main")]).here(*command, "--as-of", "yesterday")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("drawdown: --as-of: 'yesterday' is not an instant; write it as 2026-")


def test_before_the_first_build_the_command_that_makes_it_is_named(empty_desk: Desk) -> None:
    for done in empty_desk.run_all(["status"], ["status", "--json"], ["sql", "SELECT 1"]):
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"drawdown: {empty_desk.home}/published/current.duckdb does not exist: nothing is published yet. "
            "`drawdown run` makes the first build, `drawdown demo` one to look at; or set DRAWDOWN_HOME to the folder "
            "that has one\n"
        )
    assert not empty_desk.home.exists()


def test_a_build_of_another_version_or_none_at_all_is_one_line(publish: Publish) -> None:
    import duckdb

    desk = publish([account("main")])
    path = desk.home / "published" / "current.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("ALTER TABLE marts.account_status RENAME COLUMN runway_days TO days")
    done = desk("status")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"drawdown: {path} was published by another version of Drawdown (")
    assert done.stderr.endswith("); `drawdown run` makes a new build\n")
    assert '"runway_days" not found' in done.stderr
    path.write_bytes(os.urandom(8192))
    for done in desk.run_all(["status"], ["sql", "SELECT 1"]):
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("drawdown: ")
        assert "valid DuckDB database" in line


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(seconds=-9), "0 seconds"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=119), "119 seconds"),
        (timedelta(minutes=2), "2 minutes"),
        (timedelta(hours=1), "60 minutes"),
        (timedelta(hours=23), "23 hours"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=247, hours=5), "247 days"),
    ],
)
def test_an_age_is_told_as_people_say_it(age: timedelta, words: str) -> None:
    assert duration(age.total_seconds()) == words
