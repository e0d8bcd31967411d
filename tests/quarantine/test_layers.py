"""A fault in an account's rows, in each layer: the others are published, and that account keeps its last published
rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.alerts import alert_assets
from pipeline.forecasts import refresh_forecasts
from pipeline.models.discovery import discover
from pipeline.orchestration.refresh import rebuild
from tests.bench import Bench
from tests.changed_select import changed_select

pytestmark = pytest.mark.long

NOW = datetime.fromisoformat("2026-10-07T09:00:00Z")
LATER = NOW + timedelta(hours=1)


def _select(name: str, wrap: Callable[[str], str]) -> AbstractContextManager[None]:
    """Another SELECT for a model: the fault is in the computation, not in the check."""
    return changed_select(name, wrap(discover()[name].select))


def _replaced(account_id: str, column: str, value: str) -> Callable[[str], str]:
    return lambda select: (
        f"select * replace (case when account_id = '{account_id}' then {value} else {column} end as {column}) "
        f"from ({select})"
    )


def _doubled(account_id: str) -> Callable[[str], str]:
    return lambda select: (
        f"with made as ({select}) select * from made union all select * from made where account_id = '{account_id}'"
    )


@contextmanager
def _forecast_fails(account_id: str) -> Iterator[None]:
    real = refresh_forecasts.forecast_accounts

    def fails(inputs: Any, pool: Any, **more: Any) -> Any:
        if account_id in inputs.account_ids:
            raise ZeroDivisionError("of this account")
        return real(inputs, pool, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refresh_forecasts, "forecast_accounts", fails)
        yield


@contextmanager
def _rules_fail(account_id: str) -> Iterator[None]:
    real = alert_assets.findings

    def fails(reading: Any, policy: Any) -> Any:
        if reading.account_id == account_id:
            raise ZeroDivisionError("of this account")
        return real(reading, policy)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alert_assets, "findings", fails)
        yield


@dataclass(frozen=True)
class Fault:
    """A fault of one account, its table, and the text of the rule."""

    inject: Callable[[str], AbstractContextManager[None]]
    table: str
    rule: str
    reaches_status: bool = True


FAULTS: Mapping[str, Fault] = {
    "null-in-core": Fault(
        lambda account: _select("core.spend_daily", _replaced(account, "basis", "null")),
        "core.spend_daily",
        "basis is missing",
    ),
    "odd-value-in-core": Fault(
        lambda account: _select("core.balance_snapshots", _replaced(account, "reading_state", "'odd'")),
        "core.balance_snapshots",
        "reading_state is not one of its allowed values",
    ),
    "raises-in-core": Fault(
        lambda account: _select(
            "core.spend_daily", _replaced(account, "spend_amount", "cast(account_id as decimal(38, 9))")
        ),
        "core.spend_daily",
        "Could not convert string",
    ),
    "key-twice-in-core": Fault(
        lambda account: _select("core.accounts", _doubled(account)),
        "core.accounts",
        "a key (account_id) occurs more than once",
    ),
    "breaks-a-check-in-core": Fault(
        lambda account: _select("core.balance_intervals", _replaced(account, "closing_amount", "closing_amount + 1")),
        "core.balance_bridge",
        "telescope",
        # The status of an account does not depend on the bridge.
        reaches_status=False,
    ),
    "raises-in-the-forecast": Fault(
        _forecast_fails, "forecasts.current_runway", "the forecast fails with ZeroDivisionError"
    ),
    "null-in-marts": Fault(
        lambda account: _select("marts.account_status", _replaced(account, "reason", "null")),
        "marts.account_status",
        "reason is missing",
    ),
    "raises-in-the-rules": Fault(
        _rules_fail, "alerts.states", "its rules fail with ZeroDivisionError", reaches_status=False
    ),
}
"""By the account that has it, all at once."""


def _accounts(*names: str) -> str:
    return "\n".join(
        f'[accounts.{name}]\nvendor = "manual"\npath = "{name}.csv"\nalert_below_amount = "50"\n' for name in names
    )


TWO = _accounts("even", "odd")
EVERY = _accounts("even", *FAULTS)


def _write(bench: Bench, at: datetime) -> None:
    """Sixty days of each account; the newest reading is of the instant itself."""
    for number, (_, *lines) in enumerate(part.splitlines() for part in bench.accounts_toml.split("[accounts.")[1:]):
        rows = [
            f"{at - timedelta(days=back):%Y-%m-%dT%H:%M:%SZ},{900 - 20 * number + 5 * back}.25,EUR"
            for back in range(60, -1, -1)
        ]
        path = bench.folder / lines[1].split('"')[1]
        path.write_text("\n".join(["observed_at_utc,balance_amount,unit_code", *rows]) + "\n")


@dataclass
class Faulty:
    """A good build, a run in which each account but one is at fault, one without a fault, and a rebuild."""

    before: dict[str, tuple[Any, ...]]
    """Status by account."""
    problems: list[str]
    quarantined: list[tuple[str, str]]
    """Account and table."""
    after: dict[str, tuple[Any, ...]]
    healed_problems: list[str]
    healed_quarantine_count: int
    healed_checksums: dict[str, str]
    rebuilt_checksums: dict[str, str]


def _status(bench: Bench) -> dict[str, tuple[Any, ...]]:
    rows = bench.rows(
        "SELECT account_id, observed_at_utc, balance_amount, reading_state, reason FROM marts.account_status"
    )
    return {row[0]: row[1:] for row in rows}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Faulty:
    bench = Bench(tmp_path_factory.mktemp("faulty"), EVERY)
    _write(bench, NOW)
    assert bench.run(NOW).problems == []
    before = _status(bench)
    _write(bench, LATER)
    with ExitStack() as stack:
        for account_id, fault in FAULTS.items():
            stack.enter_context(fault.inject(account_id))
        problems = bench.run(LATER).problems
    quarantined = bench.rows("SELECT DISTINCT account_id, table_name FROM staging.quarantine ORDER BY ALL")
    after = _status(bench)
    healed = bench.run(LATER + timedelta(hours=1)).problems
    [(count,)] = bench.rows("SELECT count(*) FROM staging.quarantine")
    checksums = bench.checksums()
    assert bench.command("rebuild").returncode == 0
    return Faulty(before, problems, quarantined, after, healed, count, checksums, bench.checksums())  # type: ignore[arg-type]


@pytest.mark.parametrize("account_id", FAULTS)
def test_an_account_at_fault_stays_as_last_published(faulty: Faulty, account_id: str) -> None:
    fault, before, after = FAULTS[account_id], faulty.before[account_id], faulty.after[account_id]
    (line,) = [line for line in faulty.problems if line.startswith(f"account {account_id}: ")]
    assert fault.table in line
    assert fault.rule in line
    assert "the other accounts are published" in line
    # A row that SQL can query.
    assert [table for account, table in faulty.quarantined if account == account_id] == [fault.table]
    if not fault.reaches_status:
        assert after[2] == "fresh"
        return
    observed_at, balance_amount, reading_state, reason = after
    assert (observed_at, balance_amount) == before[:2]
    assert reading_state == "stale"
    assert fault.rule in reason
    assert reason.endswith(before[3])


def test_an_account_without_a_fault_goes_on_without_a_line(faulty: Faulty) -> None:
    assert faulty.after["even"][:3] == (LATER, faulty.before["even"][1], "fresh")
    assert len(faulty.problems) == len(FAULTS)
    assert {account for account, _ in faulty.quarantined} == set(FAULTS)


def test_without_the_faults_the_accounts_are_as_if_nothing_had_happened_which_a_rebuild_confirms(
    faulty: Faulty,
) -> None:
    assert faulty.healed_problems == []
    assert faulty.healed_quarantine_count == 0
    assert faulty.rebuilt_checksums == faulty.healed_checksums


def test_an_account_without_published_rows_has_one_row_with_the_reason(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TWO)
    _write(bench, NOW)

    with _select("core.balance_snapshots", _replaced("odd", "fetch_id", "null")):
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


_HISTORY = """
SELECT status_date, severity, reading_state, reason_code, stale_code, balance_amount FROM marts.status_history
WHERE account_id = 'odd' ORDER BY status_date
"""


def test_a_day_in_quarantine_has_the_status_that_was_published(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TWO)
    days = [NOW + timedelta(days=day) for day in range(4)]

    def go_on(day: datetime) -> list[tuple[Any, ...]]:
        _write(bench, day)
        bench.run(day)
        return bench.rows(
            "SELECT DATE '" + day.date().isoformat() + "', severity, reading_state, reason_code, stale_code, "
            "balance_amount FROM marts.account_status WHERE account_id = 'odd'"
        )

    with _select("core.balance_snapshots", _replaced("odd", "fetch_id", "null")):
        never = go_on(days[0])
    good = go_on(days[1])
    with _select("core.spend_daily", _replaced("odd", "basis", "null")):
        kept = go_on(days[2])
    healed = go_on(days[3])
    assert never[0][1:] == ("unknown", "unknown", "quarantined", None, None)
    assert kept[0][1:] == (good[0][1], "stale", good[0][3], "quarantined", good[0][5])
    assert healed[0][2] == "fresh"
    published = bench.rows(_HISTORY)
    assert published == [*never, *good, *kept, *healed]
    rebuild(bench.home)
    assert bench.rows(_HISTORY) == published


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("built"), TWO)
    _write(made, NOW)
    assert made.run(NOW).problems == []
    return made


def test_one_account_at_fault_alone_stays_and_the_other_goes_on(built: Bench, tmp_path: Path) -> None:
    shutil.copytree(built.folder, tmp_path, dirs_exist_ok=True, symlinks=True)
    bench = Bench(tmp_path, TWO)
    _write(bench, LATER)

    with _select("core.spend_daily", _replaced("odd", "spend_amount", "cast(account_id as decimal(38, 9))")):
        outcome = bench.run(LATER)

    (line,) = outcome.problems
    assert line.startswith("account odd: core.spend_daily: ")
    assert "Could not convert string" in line
    assert {account: row[2] for account, row in _status(bench).items()} == {"even": "fresh", "odd": "stale"}


def test_a_rule_broken_without_an_account_blocks_publishing(built: Bench) -> None:
    build = built.home.current.resolve()
    _write(built, LATER)

    with (
        _select("core.fx_rates", lambda select: f"select * replace (null as fx_source) from ({select})"),
        pytest.raises(Exception, match="fx_source"),
    ):
        # All rates are dirty only if the SELECT has changed, which it has.
        built.run(LATER)

    assert built.home.current.resolve() == build
