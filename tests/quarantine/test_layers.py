"""A fault in one account's rows, in each layer: the others are published, and that account keeps its last published
rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.alerts import alert_assets
from pipeline.forecasts import account_forecasts
from pipeline.models.discovery import discover
from pipeline.orchestration.refresh import rebuild
from tests.bench import Bench
from tests.changed_select import changed_select

NOW = datetime.fromisoformat("2026-10-07T09:00:00Z")
LATER = NOW + timedelta(hours=1)

ACCOUNTS = """
[accounts.even]
vendor = "manual"
path = "even.csv"

[accounts.odd]
vendor = "manual"
path = "odd.csv"
alert_below_amount = "50"
"""


def _write(bench: Bench, at: datetime) -> None:
    """Sixty days of two accounts; the newest reading is of the instant itself."""
    for name, first in {"even": 900, "odd": 700}.items():
        rows = [
            f"{at - timedelta(days=back):%Y-%m-%dT%H:%M:%SZ},{first + 5 * back}.25,EUR" for back in range(60, -1, -1)
        ]
        (bench.folder / f"{name}.csv").write_text("\n".join(["observed_at_utc,balance_amount,unit_code", *rows]) + "\n")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("built"), ACCOUNTS)
    _write(made, NOW)
    assert made.run(NOW).problems == []
    return made


@pytest.fixture
def bench(built: Bench, tmp_path: Path) -> Bench:
    """A copy of the good build, and new readings that no run has seen."""
    shutil.copytree(built.folder, tmp_path, dirs_exist_ok=True, symlinks=True)
    made = Bench(tmp_path, ACCOUNTS)
    _write(made, LATER)
    return made


def _select(name: str, wrap: Callable[[str], str]) -> AbstractContextManager[None]:
    """Another SELECT for a model: the fault is in the computation, not in the check."""
    return changed_select(name, wrap(discover()[name].select))


def _replaced(column: str, value: str, whose: str = "account_id") -> Callable[[str], str]:
    return lambda select: (
        f"select * replace (case when {whose} = 'odd' then {value} else {column} end as {column}) from ({select})"
    )


def _doubled(select: str) -> str:
    return f"with made as ({select}) select * from made union all select * from made where account_id = 'odd'"


@contextmanager
def _forecast_fails() -> Iterator[None]:
    real = account_forecasts.forecast_accounts

    def fails(inputs: Any, **more: Any) -> Any:
        if "odd" in inputs.account_ids:
            raise ZeroDivisionError("of this account")
        return real(inputs, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account_forecasts, "forecast_accounts", fails)
        yield


@contextmanager
def _rules_fail() -> Iterator[None]:
    real = alert_assets.findings

    def fails(reading: Any, policy: Any) -> Any:
        if reading.account_id == "odd":
            raise ZeroDivisionError("of this account")
        return real(reading, policy)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alert_assets, "findings", fails)
        yield


@dataclass(frozen=True)
class Fault:
    """A fault, its table, and the text of the rule."""

    inject: Callable[[], Any]
    table: str
    rule: str
    reaches_status: bool = True


FAULTS: Mapping[str, Fault] = {
    "a NULL in core": Fault(
        lambda: _select("core.spend_daily", _replaced("basis", "null")), "core.spend_daily", "basis is missing"
    ),
    "a value that is not allowed, in core": Fault(
        lambda: _select("core.balance_snapshots", _replaced("reading_state", "'odd'")),
        "core.balance_snapshots",
        "reading_state is not one of its allowed values",
    ),
    "arithmetic that raises, in core": Fault(
        lambda: _select("core.spend_daily", _replaced("spend_amount", "cast(account_id as decimal(38, 9))")),
        "core.spend_daily",
        "Could not convert string",
    ),
    "a key twice, in core": Fault(
        lambda: _select("core.accounts", _doubled),
        "core.accounts",
        "a key (account_id) occurs more than once",
    ),
    "a check that does not hold, in core": Fault(
        lambda: _select("core.balance_intervals", _replaced("closing_amount", "closing_amount + 1")),
        "core.balance_bridge",
        "telescope",
        # The status of an account does not depend on the bridge.
        reaches_status=False,
    ),
    "an exception in the forecast": Fault(
        _forecast_fails, "forecasts.current_runway", "the forecast fails with ZeroDivisionError"
    ),
    "a NULL in marts": Fault(
        lambda: _select("marts.account_status", _replaced("reason", "null")),
        "marts.account_status",
        "reason is missing",
    ),
    "an exception in the alerts' rules": Fault(
        _rules_fail, "alerts.states", "its rules fail with ZeroDivisionError", reaches_status=False
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_account_at_fault_stays_as_last_published_and_the_others_go_on(bench: Bench, name: str) -> None:
    fault = FAULTS[name]
    status = "SELECT account_id, observed_at_utc, balance_amount, reading_state, reason FROM marts.account_status"
    before = {row[0]: row[1:] for row in bench.rows(status)}

    with fault.inject():
        outcome = bench.run(LATER)

    # One line for the account at fault, and none for the other.
    (line,) = outcome.problems
    assert line.startswith("account odd: ")
    assert fault.table in line
    assert fault.rule in line
    assert "the other accounts are published" in line
    # A row that SQL can query.
    assert {row[:2] for row in bench.rows("SELECT account_id, table_name FROM staging.quarantine")} == {
        ("odd", fault.table)
    }
    after = {row[0]: row[1:] for row in bench.rows(status)}
    assert after["even"][:3] == (LATER, before["even"][1], "fresh")
    if not fault.reaches_status:
        assert after["odd"][2] == "fresh"
        return
    observed_at, balance_amount, reading_state, reason = after["odd"]
    assert (observed_at, balance_amount) == before["odd"][:2]
    assert reading_state == "stale"
    assert fault.rule in reason
    assert reason.endswith(before["odd"][3])

    # Without the fault the account is as if nothing had happened, which a rebuild confirms.
    healed = bench.run(LATER + timedelta(hours=1))
    assert healed.problems == []
    assert bench.rows("SELECT count(*) FROM staging.quarantine") == [(0,)]
    stepwise = bench.checksums()
    assert bench.command("rebuild").returncode == 0
    assert bench.checksums() == stepwise


def test_an_account_without_published_rows_has_one_row_with_the_reason(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ACCOUNTS)
    _write(bench, NOW)

    with _select("core.balance_snapshots", _replaced("fetch_id", "null")):
        outcome = bench.run(NOW)
        bench.run(LATER)
        stepwise = bench.checksums()
        rebuild(bench.home)

    assert len(outcome.problems) == 1
    # Only the start of the quarantine is unknown to a rebuild.
    assert bench.checksums() == stepwise
    rows = bench.rows(
        "SELECT account_id, reading_state, reason_code, severity, balance_amount FROM marts.account_status ORDER BY 1"
    )
    assert [row[:2] for row in rows] == [("even", "fresh"), ("odd", "unknown")]
    assert rows[1][2:] == ("quarantined", "unknown", None)
    assert bench.rows("SELECT account_id FROM core.balance_bridge GROUP BY 1") == [("even",)]


def test_a_rule_broken_without_an_account_blocks_publishing(bench: Bench) -> None:
    build = bench.home.current.resolve()

    with (
        _select("core.fx_rates", lambda select: f"select * replace (null as fx_source) from ({select})"),
        pytest.raises(Exception, match="fx_source"),
    ):
        # All rates are dirty only if the SELECT has changed, which it has.
        bench.run(LATER)

    assert bench.home.current.resolve() == build
