"""Optional endpoints: their absence is reported once and stops nothing, and available data is exact."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.sandbox.world.hyperstack_world import HyperstackAccount
from pipeline.sandbox.world.vpsbg_world import VpsbgAccount
from pipeline.vendors import discover
from tests import sandbox_faults as sandboxes
from tests.bench import Bench, FirstRun, only
from tests.e2e.conftest import NOW
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long

LATER = NOW + timedelta(hours=2)
_ACCOUNTS = {"vpsbg": "vpsbg-main", "hyperstack": "hyperstack-main"}
_OPTIONAL = [
    (vendor, endpoint) for vendor in _ACCOUNTS for endpoint in discover()[vendor].endpoints if endpoint.is_optional
]


@pytest.fixture(scope="module")
def one_sandbox() -> Iterator[Sandbox]:
    # Opened within the first run's look-back, so that the world's books are completely known.
    with sandboxes.start(seed=3, days=60, now=NOW, vendors=list(_ACCOUNTS)) as world:
        yield world


@pytest.fixture
def bench(tmp_path: Path, sandbox: Sandbox) -> Iterator[Bench]:
    made = _bench(tmp_path, sandbox)
    yield made
    assert made.leaks() == []


@pytest.fixture(scope="module")
def first_run(one_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    return FirstRun(_bench(tmp_path_factory.mktemp("first"), one_sandbox), NOW)


def _bench(folder: Path, world: Sandbox) -> Bench:
    return Bench(folder, only(world.accounts_toml(), *_ACCOUNTS.values()), world.keys)


def _refuse(sandbox: Sandbox, *names: str, code: int = 403) -> None:
    for vendor, endpoint in _OPTIONAL:
        if not names or endpoint.name in names:
            sandbox.put_fault("status", vendor=vendor, path=endpoint.listing.path, exact=True, code=code)


def _levels(bench: Bench) -> dict[str, str]:
    return dict(bench.rows("SELECT account_id, evidence_level FROM core.accounts"))


def test_a_key_that_may_only_read_its_balance_works_and_is_reported_once(bench: Bench, sandbox: Sandbox) -> None:
    _refuse(sandbox)

    first = bench.command("run", "--as-of", NOW.isoformat())
    sandbox.move_clock(LATER)
    second = bench.command("run", "--as-of", LATER.isoformat())

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    said = [line for line in first.stderr.splitlines() if "continues without" in line]
    wanted = [
        f"{_ACCOUNTS[vendor]}: continues without {endpoint.name}, which is optional" for vendor, endpoint in _OPTIONAL
    ]
    assert sorted(": ".join(line.split(": ")[:2]) for line in said) == sorted(wanted)
    assert len(said) == len(_OPTIONAL) == 20
    assert not [line for line in second.stderr.splitlines() if "continues without" in line or "forbidden" in line]
    outcomes = dict(bench.rows("SELECT vendor || ' ' || endpoint, outcome FROM marts.data_freshness"))
    refused = {f"{vendor} {endpoint.name}" for vendor, endpoint in _OPTIONAL}
    assert {name for name, outcome in outcomes.items() if outcome == "forbidden"} == refused
    assert {name for name, outcome in outcomes.items() if outcome == "ok"} == {"vpsbg balance", "hyperstack credit"}
    assert _levels(bench) == {"vpsbg-main": "balance", "hyperstack-main": "balance"}

    sandbox.clear_faults()
    assert bench.run(LATER).is_ok
    assert _levels(bench) == {"vpsbg-main": "ledger", "hyperstack-main": "usage"}


def test_any_other_failure_of_an_endpoint_that_has_answered_is_a_failure(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox
) -> None:
    first_run(bench)
    failing = {"orders": 500, "history": 401, "transactions": 500}
    for name, code in failing.items():
        _refuse(sandbox, name, code=code)
    sandbox.move_clock(LATER)

    outcome = bench.run(LATER)

    assert len(outcome.problems) == len(failing)
    assert (
        len([line for line in outcome.problems if line.startswith("vpsbg account vpsbg-main") and "500" in line]) == 2
    )
    assert len([line for line in outcome.problems if line.startswith("hyperstack account hyperstack-main")]) == 1
    assert all("500" in line or "401" in line or "KEY" in line for line in outcome.problems)


@pytest.mark.parametrize("code", [403, 404])
def test_paid_orders_replace_a_ledger_that_the_key_may_not_read(bench: Bench, sandbox: Sandbox, code: int) -> None:
    _refuse(sandbox, "transactions", code=code)

    assert bench.run(NOW).problems == []

    account = sandbox.world.account("vpsbg-main")
    booked = [entry for entry in account.ledger(NOW) if entry.kind != "refund"]
    found = bench.rows(
        "SELECT entry_kind, entry_amount, effective_at_utc, entry_source FROM core.ledger_entries "
        "WHERE account_id = 'vpsbg-main'"
    )
    assert sorted(row[:3] for row in found) == sorted((each.kind, each.amount, each.at) for each in booked)
    assert {row[3] for row in found} == {"orders"}
    assert _levels(bench)["vpsbg-main"] == "ledger"
    ((spent,),) = bench.rows("SELECT sum(spend_amount) FROM core.spend_daily WHERE account_id = 'vpsbg-main'")
    assert spent == -sum(entry.amount for entry in booked if entry.kind != "top_up")

    # A ledger that answers later replaces them completely.
    sandbox.clear_faults()
    bench.run(NOW)
    assert bench.rows(
        "SELECT DISTINCT entry_source, count(*) FROM core.ledger_entries WHERE account_id = 'vpsbg-main' GROUP BY 1"
    ) == [("ledger", len(account.ledger(NOW)))]
    rebuilt = dict(bench.rows("SELECT spend_date, spend_amount FROM core.spend_daily WHERE account_id = 'vpsbg-main'"))
    assert sum(rebuilt.values()) == spent - sum(each.amount for each in account.ledger(NOW) if each.kind == "refund")


def test_billed_days_and_payments_explain_the_credit(bench: Bench, sandbox: Sandbox) -> None:
    sandbox.move_clock(LATER)
    assert bench.run(LATER).problems == []

    account = sandbox.world.account("hyperstack-main")
    assert isinstance(account, HyperstackAccount)
    assert _levels(bench)["hyperstack-main"] == "usage"
    truth = {day.day: day.amount for day in account.usage(LATER)}
    found = dict(
        bench.rows("SELECT spend_date, spend_amount FROM core.spend_daily WHERE account_id = 'hyperstack-main'")
    )
    assert all(abs(found[day] - amount) <= Decimal("1e-9") for day, amount in truth.items())
    assert all(found[day] == 0 for day in found.keys() - truth.keys())
    settled = {each.payment_id: each.amount for each in account.payments if each.status(LATER) == "completed"}
    top_ups = dict(
        bench.rows(
            "SELECT entry_id, entry_amount FROM core.ledger_entries "
            "WHERE account_id = 'hyperstack-main' AND entry_kind = 'top_up'"
        )
    )
    assert top_ups == settled
    statuses = {row[0] for row in bench.rows("SELECT payment_status FROM core.payments")}
    assert "pending" in statuses
    credit = sum(top_ups.values()) - sum(found.values())
    assert abs(credit - account.balance_at(LATER)) < Decimal("1e-6")
    # The claim of a day compared with the day itself.
    ((claimed, day),) = bench.rows(
        "SELECT claim_amount, covers_to_date FROM core.vendor_claims WHERE claim = 'last_day_cost'"
    )
    assert (day, claimed) == (LATER.date() - timedelta(days=1), found[day])
    assert bench.rows("SELECT is_on, threshold_amount, topup_amount FROM core.auto_topups") == [
        (True, account.topup_threshold, account.topup_amount)
    ]


def test_single_resources_are_listed_for_the_last_days(bench: Bench, first_run: FirstRun, sandbox: Sandbox) -> None:
    first_run(bench)

    account = sandbox.world.account("hyperstack-main")
    assert isinstance(account, HyperstackAccount)
    midnight = NOW.replace(hour=0)
    start = midnight - timedelta(days=2)
    truth = {
        each.uuid: each.bill(start, start + timedelta(days=1)).quantize(Decimal("1e-9"))
        for each in account.resources
        if each.bill(start, start + timedelta(days=1))
    }
    found = dict(
        bench.rows(f"SELECT resource_id, resource_amount FROM core.resource_days WHERE usage_date = '{start.date()}'")
    )
    assert found == truth
    assert bench.rows("SELECT DISTINCT usage_date FROM core.resource_days WHERE is_partial") == [(NOW.date(),)]
    days = {row[0] for row in bench.rows("SELECT usage_date FROM core.resource_days")}
    assert days == {(midnight - timedelta(days=back)).date() for back in range(3)}


def test_the_burn_of_this_moment_is_that_of_the_resources_that_are_on(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox
) -> None:
    first_run(bench)

    account = sandbox.world.account("hyperstack-main")
    assert isinstance(account, HyperstackAccount)
    on = [each for each in account.resources if each.is_active(NOW)]
    truth = sum((each.price.quantize(Decimal("1e-9")) for each in on), Decimal(0)) * 1440
    assert len(on) > 3
    assert bench.rows("SELECT account_id, burn_now_amount, billed_resource_count FROM marts.current_burn") == [
        ("hyperstack-main", truth, len(on))
    ]
    found = dict(bench.rows("SELECT resource_id, minute_amount FROM core.resource_rates"))
    assert found == {str(each.resource_id): each.price.quantize(Decimal("1e-9")) for each in on}
    [[claimed]] = bench.rows("SELECT claim_amount FROM core.vendor_claims WHERE claim = 'burn_now'")
    assert claimed == truth


def test_an_account_that_its_vendor_has_cut_off_is_critical_and_alerts(bench: Bench, sandbox: Sandbox) -> None:
    account = sandbox.world.account("hyperstack-main")
    assert isinstance(account, HyperstackAccount)
    threshold = account.threshold
    account.threshold = account.balance_at(NOW) + 1
    try:
        assert bench.run(NOW).problems == []
    finally:
        account.threshold = threshold

    [[severity, is_cut_off, reason]] = bench.rows(
        "SELECT severity, is_cut_off, reason FROM marts.account_status WHERE account_id = 'hyperstack-main'"
    )
    assert (severity, is_cut_off) == ("critical", True)
    assert "the vendor states that it no longer creates instances, because the balance is below its threshold" in reason
    alerts = bench.rows("SELECT severity FROM alerts.states WHERE account_id = 'hyperstack-main' AND rule = 'runway'")
    assert alerts == [("critical",)]
    # Another vendor says nothing about it.
    assert bench.rows("SELECT is_cut_off FROM marts.account_status WHERE account_id = 'vpsbg-main'") == [(None,)]


def test_known_charges_are_the_next_renewal_of_each_server(bench: Bench, first_run: FirstRun, sandbox: Sandbox) -> None:
    first_run(bench)

    account = sandbox.world.account("vpsbg-main")
    assert isinstance(account, VpsbgAccount)
    due = {}
    for server in account.servers:
        renewal = server.next_renewal(NOW)
        assert renewal is not None
        due[server.hostname] = (renewal.expiry_at, renewal.expiry_at.date(), server.renew_gross, "EUR", True)
    found = bench.rows(
        "SELECT description, due_at_utc, due_date, charge_amount, unit_code, is_automatic FROM core.known_charges"
    )
    assert {row[0]: row[1:] for row in found} == due
