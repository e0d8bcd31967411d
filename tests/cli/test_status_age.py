"""Age of a build and its readings when they are read, and its effect on the exit code."""

import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from pipeline.cli.status import Status, is_reached
from pipeline.schema.severities import SEVERITIES
from pipeline.support.wording import duration
from tests.cli.accounts import account, table
from tests.cli.conftest import Desk, Publish

REACHED = {
    "critical": {"critical"},
    "warning": {"critical", "warning"},
    "watch": {"critical", "warning", "watch"},
    "unknown": {"unknown"},
    "ok": {"ok"},
}


@pytest.mark.parametrize("wanted", SEVERITIES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_severity_is_reached_by_itself_and_by_more_urgent_ones(wanted: str, severity: str) -> None:
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


def test_an_old_build_turns_red(publish: Publish) -> None:
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
        "forecast": ["31", "ok", "fresh"], "mean": ["100", "ok", "fresh"], "new": ["", "unknown", "fresh"],
    }  # fmt: skip
    assert shown("--as-of", "2026-03-20T12:00:00Z") == {
        "forecast": ["29", "watch", "stale"], "mean": ["98", "ok", "fresh"], "new": ["", "unknown", "stale"],
    }  # fmt: skip
    # The 10 % quantile is a week away, and the expected balance is below the owner's limit.
    assert shown("--as-of", "2026-04-01T12:00:00Z") == {
        "forecast": ["17", "warning", "stale"], "mean": ["86", "warning", "fresh"], "new": ["", "unknown", "stale"],
    }  # fmt: skip
    assert shown()["forecast"] == ["0", "critical", "stale"]
    for at, code in {"2026-03-18T12:00:00Z": 0, "2026-03-20T12:00:00Z": 1}.items():
        assert desk.here("status", "--fail-on", "stale", "--as-of", at).returncode == code
    for at, code in {"2026-04-10": 0, "2026-04-11": 1}.items():
        assert desk.here("status", "--fail-on", "critical", "--as-of", at).returncode == code
    words = " ".join(desk.here("status", "--as-of", "2026-04-11").stdout.split())
    assert (
        "forecast: No new reading for 23 days. The reason of forecast. Since then it has become critical: 7 days left."
        in words
    )


def test_a_quota_is_unknown_from_its_reset_on_until_it_is_read_again(publish: Publish) -> None:
    made = datetime(2026, 3, 18, 12, tzinfo=UTC)
    reset = datetime(2026, 3, 19, tzinfo=UTC)
    rows = [
        account(
            "dry", "critical", runway_days=0.0, method="full", runway_p50_date=date(2026, 3, 18), observed_at_utc=made,
            stale_after_seconds=93600.0, age_seconds=0.0, balance_amount=Decimal(0), resets_at_utc=reset,
            reason_code="depleted",
        ),
        # Read again after the time that it still states.
        account(
            "late", "watch", runway_days=20.0, method="full", runway_p50_date=date(2026, 4, 7), observed_at_utc=made,
            stale_after_seconds=93600.0, age_seconds=0.0, resets_at_utc=made - timedelta(hours=1), reason_code="unknown",
        ),
    ]  # fmt: skip
    desk = publish(rows, as_of=made)

    def shown(at: str) -> dict[str, list[str]]:
        _, *lines = table(desk.here("status", "--as-of", at).stdout)
        return {line[0]: [line[3], line[5], line[6]] for line in lines}

    assert shown("2026-03-18T23:59:59Z") == {"dry": ["0", "critical", "fresh"], "late": ["20", "watch", "fresh"]}
    assert shown("2026-03-19T00:00:00Z") == {"dry": ["", "unknown", "stale"], "late": ["19", "watch", "fresh"]}
    words = " ".join(desk.here("status", "--as-of", "2026-03-19").stdout.split())
    assert (
        "dry: Unknown since the reset of 2026-03-19 00:00 UTC: no reading has been made since then; before it the "
        "balance was 0.00 EUR."
    ) in words


def test_an_order_whose_last_day_has_passed_since_the_build_is_overdue(publish: Publish) -> None:
    made = datetime(2026, 3, 18, 12, tzinfo=UTC)
    rows = [
        account("due", "critical", order_by_date=date(2026, 3, 20), topup_advice="Order 5.00 EUR by 20 March."),
        account("past", "critical", order_by_date=date(2026, 3, 18), topup_advice="Order 5.00 EUR now: it is late."),
    ]
    desk = publish(rows, as_of=made)

    def advice(at: str) -> list[str]:
        done = desk.here("status", "--as-of", at).stdout
        words = " ".join(done.split()).partition(" due: ")[2].partition(" As of ")[0]
        return words.split(" past: ")

    assert [each.endswith("order now.") for each in advice("2026-03-20T23:00:00Z")] == [False, False]
    overdue = "Order 5.00 EUR by 20 March. The last day to order has passed since: order now."
    due, past = advice("2026-03-21T01:00:00Z")
    assert due.endswith(overdue)
    assert past.endswith("Order 5.00 EUR now: it is late.")


def test_before_the_build_nothing_is_younger_than_in_it(publish: Publish) -> None:
    made = datetime(2026, 3, 18, 12, tzinfo=UTC)
    row = account("main", runway_days=31.0, observed_at_utc=made, stale_after_seconds=60.0, age_seconds=0.0)
    _, shown = table(publish([row], as_of=made).here("status", "--as-of", "2026-03-01").stdout)
    assert (shown[3], shown[5], shown[6]) == ("31", "ok", "fresh")


@pytest.mark.parametrize("command", [["status"], ["explain", "main"]])
def test_an_invalid_instant_is_refused(publish: Publish, command: list[str]) -> None:
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
def test_an_age_has_its_largest_whole_unit(age: timedelta, words: str) -> None:
    assert duration(age.total_seconds()) == words
