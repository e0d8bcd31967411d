"""An independent stand-in for the documented APIs that shares no code with the sandbox, reached through base_url."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.bench import Bench, FirstRun

NOW = datetime(2031, 3, 9, 14, 30, tzinfo=UTC)
KEYS = {"STAND_IN_HOSTING": "canary-hosting-7f3a", "STAND_IN_VOICE": "canary-voice-91bc"}

TRANSACTIONS = [
    '{"id": 90017, "type": "renewal", "amount": -0.000000001, "created_at": "2031-03-08T23:59:59.999999Z"}',
    '{"id": "tx-string-id", "type": "deposit", "amount": "250.500000000", "created_at": "2031-03-01T00:00:00+02:00"}',
    '{"id": 90015, "type": "moon-phase-fee", "amount": -12.34, "created_at": "2031-02-20T08:00:00.000000Z"}',
    '{"id": 90014, "amount": -1e1, "created_at": "2031-02-19T08:00:00.000000Z"}',
    '{"id": 90013, "type": "renewal", "amount": -99.99, "status": "completed", "invoice": {"no": 7},'
    ' "created_at": "2031-01-31T22:00:00.000000Z"}',
]
PAGES = [TRANSACTIONS[:2], TRANSACTIONS[2:4], TRANSACTIONS[4:]]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """After one refresh; read-only."""
    with HTTPServer() as httpserver:
        made = _bench(tmp_path_factory.mktemp("standin"), httpserver)
        FirstRun(made, NOW)
        httpserver.check_assertions()
        yield made


def _bench(folder: Path, httpserver: HTTPServer) -> Bench:
    def json(body: str) -> Response:
        return Response(body, content_type="application/json")

    def hosting(request: Request) -> Response:
        assert request.headers["Authorization"] == f"Bearer {KEYS['STAND_IN_HOSTING']}"
        return json(
            '{"balance": -1234567890123.123456789, "estimated_funds": 431, "shortfall": 0, "currency": "EUR",'
            ' "has_valid_card": false, "last_deposit": null, "unconfirmed_bitcoin_deposits": []}'
        )

    def ledger(request: Request) -> Response:
        page = int(request.args["page"])
        following = f'"{httpserver.url_for("/panel/v1/balance/transactions")}?page={page + 1}"' if page < 3 else "null"
        return json(
            f'{{"data": [{", ".join(PAGES[page - 1])}], "links": {{"next": {following}}},'
            f' "meta": {{"current_page": {page}}}}}'
        )

    def usage(request: Request) -> Response:
        assert request.headers["Authorization"] == f"Bearer {KEYS['STAND_IN_VOICE']}"
        days = [("2031-03-09", 3, 9), ("2031-03-08", 120, 361), ("2031-03-05", 1, 2)]
        inside = [day for day in days if request.args["startDate"] <= day[0] <= request.args["endDate"]]
        rows = ", ".join(
            f'{{"date": "{day}", "calls": {calls}, "creditsUsed": {used}, "cost": "${used / 10:.2f}"}}'
            for day, calls, used in inside
        )
        total = sum(day[2] for day in inside)
        return json(
            f'{{"success": true, "data": {{"usage": [{rows}],'
            f' "total": {{"calls": 0, "creditsUsed": {total}, "cost": "$0"}}}}}}'
        )

    httpserver.expect_request("/panel/v1/balance").respond_with_handler(hosting)
    httpserver.expect_request("/panel/v1/balance/transactions").respond_with_handler(ledger)
    for listing in ("orders", "invoices", "servers"):
        httpserver.expect_request(f"/panel/v1/{listing}").respond_with_json({"message": "Not found."}, status=404)
    httpserver.expect_request("/voice/api/v1/credits").respond_with_json(
        {"success": True, "data": {"balance": 40123, "currency": "credits", "lastUpdated": "2031-03-09T14:00:00Z"}}
    )
    httpserver.expect_request("/voice/api/v1/credits/usage").respond_with_handler(usage)
    return Bench(
        folder,
        f"""
        reporting_currency = "EUR"
        allow_http_loopback = true

        [accounts.panel]
        vendor = "vpsbg"
        api_key_env = "STAND_IN_HOSTING"
        base_url = "{httpserver.url_for("/panel/v1")}"

        [accounts.phone]
        vendor = "voxpria"
        api_key_env = "STAND_IN_VOICE"
        base_url = "{httpserver.url_for("/voice/")}"
        """,
        KEYS,
    )


def test_every_figure_of_a_stand_in_is_exact_to_the_last_digit(bench: Bench) -> None:
    assert bench.rows(
        "SELECT account_id, balance_amount, limit_amount, unconfirmed_amount, unit_code, effective_at_utc "
        "FROM core.balance_snapshots ORDER BY account_id"
    ) == [
        ("panel", Decimal("-1234567890123.123456789"), None, None, "EUR", None),
        ("phone", Decimal(40123), None, None, "voxpria-credit", datetime(2031, 3, 9, 14, tzinfo=UTC)),
    ]
    assert bench.rows(
        "SELECT entry_id, effective_at_utc, entry_amount, entry_kind, entry_status, vendor_entry_type "
        "FROM core.ledger_entries ORDER BY effective_at_utc"
    ) == [
        ("90013", datetime(2031, 1, 31, 22, tzinfo=UTC), Decimal("-99.99"), "renewal", "settled", "renewal"),
        ("90014", datetime(2031, 2, 19, 8, tzinfo=UTC), Decimal(-10), "other", "settled", None),
        ("90015", datetime(2031, 2, 20, 8, tzinfo=UTC), Decimal("-12.34"), "other", "settled", "moon-phase-fee"),
        ("tx-string-id", datetime(2031, 2, 28, 22, tzinfo=UTC), Decimal("250.5"), "top_up", "settled", "deposit"),
        ("90017", datetime(2031, 3, 8, 23, 59, 59, 999999, tzinfo=UTC), Decimal("-0.000000001"), "renewal", "settled",
         "renewal"),
    ]  # fmt: skip
    assert bench.rows(
        "SELECT usage_date, usage_quantity, credits_amount, cost_amount, cost_unit_code, is_partial "
        "FROM core.usage_days ORDER BY usage_date"
    ) == [
        (date(2031, 3, 5), 1, Decimal(2), Decimal("0.2"), "USD", False),
        (date(2031, 3, 8), 120, Decimal(361), Decimal("36.1"), "USD", False),
        (date(2031, 3, 9), 3, Decimal(9), Decimal("0.9"), "USD", True),
    ]
    assert bench.rows(
        "SELECT claim, claim_amount, unit_code FROM core.vendor_claims WHERE account_id = 'panel' ORDER BY 1"
    ) == [
        ("estimated_expenses", Decimal(431), "EUR"),
        ("shortfall", Decimal(0), "EUR"),
    ]
    assert bench.rows("SELECT count(*) FROM staging.rejects") == [(0,)]
    assert bench.leaks() == []


def test_differences_from_the_documentation_are_drift(bench: Bench) -> None:
    assert bench.rows(
        "SELECT account_id, column_name, check_name FROM staging.schema_drift ORDER BY account_id, column_name"
    ) == [
        ("panel", "balance_limit", "missing_field"),
        ("panel", "estimated_funds", "renamed_field"),
        ("panel", "invoice", "unknown_field"),
    ]


def test_days_that_the_vendor_leaves_out_are_days_without_spend(bench: Bench) -> None:
    assert bench.rows(
        "SELECT spend_date, spend_amount, is_complete FROM core.spend_daily WHERE account_id = 'phone' ORDER BY 1"
    ) == [
        (date(2031, 3, 5), Decimal(2), True),
        (date(2031, 3, 6), Decimal(0), True),
        (date(2031, 3, 7), Decimal(0), True),
        (date(2031, 3, 8), Decimal(361), True),
        (date(2031, 3, 9), Decimal(9), False),
    ]
