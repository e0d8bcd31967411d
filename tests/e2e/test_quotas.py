"""A vendor with a quota behind a socket, over a reset: what is read, explained, forecast, published and said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.bench import Bench

pytestmark = pytest.mark.long

KEY = "canary-quotient-77c1"
SIZE, USED_A_DAY = 10_000, 240
FIRST = datetime(2026, 9, 20, 9, tzinfo=UTC)
RESETS = (datetime(2026, 10, 5, tzinfo=UTC), datetime(2026, 11, 5, tzinfo=UTC))

# The vendor as somebody would add it: a package, which a process finds among the vendors.
_CLIENT = """
from pipeline.http import RateLimit
from pipeline.vendors._port import AuthHeader, Endpoint, Once, Records, Vendor, instant, money

VENDOR = Vendor(
    name="quotient",
    title="Quotient",
    base_url="https://api.quotient.example",
    auth=(AuthHeader(name="X-Key", setting="api_key_env"),),
    rate_limit=RateLimit(requests=60, per_seconds=60, scope="key"),
    unit_code="quotient-character",
    endpoints=(
        Endpoint(
            name="subscription",
            doc="GET /subscription: what is left of the month's characters.",
            listing=Once(path="/subscription"),
            records=(
                Records(
                    kind="balances",
                    fields=(
                        money("balance_amount", "left", required=True),
                        money("quota_amount", "limit"),
                        instant("resets_at_utc", "next_reset_unix"),
                    ),
                ),
            ),
            refresh="hourly",
        ),
    ),
    assumptions=(),
)
"""
_SITE = "import pipeline.vendors\n\npipeline.vendors.__path__.append({folder!r})\n"


class Quotient:
    """The vendor's server: ten characters an hour are used, and the rest is set back at each reset."""

    def __init__(self) -> None:
        self.now = FIRST
        self.is_down = False

    def answer(self, request: Request) -> Response:
        if request.headers.get("X-Key") != KEY:
            return Response(status=401)
        if self.is_down:
            return Response(status=503)
        since = max(each for each in (FIRST - timedelta(days=15), *RESETS) if each <= self.now)
        body = {
            "left": SIZE - USED_A_DAY * (self.now - since) // timedelta(days=1),
            "limit": SIZE,
            "next_reset_unix": int(min(each for each in RESETS if each > self.now).timestamp()),
        }
        return Response(json.dumps(body), mimetype="application/json")


@pytest.fixture
def quotient(httpserver: HTTPServer) -> Quotient:
    world = Quotient()
    httpserver.expect_request("/subscription", method="GET").respond_with_handler(world.answer)
    return world


@pytest.fixture
def bench(tmp_path: Path, httpserver: HTTPServer) -> Iterator[Bench]:
    vendor = tmp_path / "vendors" / "quotient"
    vendor.mkdir(parents=True)
    (vendor / "__init__.py").write_text(_CLIENT, encoding="utf-8")
    (tmp_path / "sitecustomize.py").write_text(_SITE.format(folder=str(vendor.parent)), encoding="utf-8")
    toml = (
        'allow_http_loopback = true\n\n[accounts.voices]\nvendor = "quotient"\napi_key_env = "QUOTIENT_KEY"\n'
        f'base_url = "{httpserver.url_for("")}"\n'
    )
    made = Bench(tmp_path, toml, {"QUOTIENT_KEY": KEY})
    yield made
    assert made.leaks() == []


def drawdown(bench: Bench, *arguments: str, code: int = 0) -> str:
    """Run the command in a process that knows the vendor; return what it prints, in one line."""
    done = bench.new_process(*arguments, PYTHONPATH=str(bench.folder))
    assert done.returncode == code, done.stdout + done.stderr
    return " ".join(done.stdout.split())


def test_a_quota_is_set_back_and_nobody_is_told_to_top_it_up(bench: Bench, quotient: Quotient) -> None:
    def run(at: datetime, code: int = 0) -> None:
        quotient.now = at
        drawdown(bench, "run", "--as-of", at.isoformat(), code=code)

    for day in (0, 6, 14):
        run(FIRST + timedelta(days=day))
    status = "SELECT severity, reason_code, topup_advice, runway_days, balance_amount FROM marts.account_status"
    # 240 a day are used, and the reset is fifteen hours away.
    assert bench.rows(status) == [("ok", "lasts_until_reset", None, None, 3040)]
    [(reason, chance)] = bench.rows("SELECT reason, depleted_before_reset_probability FROM marts.account_status")
    assert chance < 0.01
    assert reason.startswith("Resets on 2026-10-05; under 0.1 % chance to be used up before; spend is 240.00 ")

    after = RESETS[0] + timedelta(hours=9)
    run(after)
    bridge = (
        "SELECT top_up_amount, refund_amount, usage_amount, quota_reset_amount, unexplained_amount, unexplained_class "
        "FROM core.balance_bridge ORDER BY closed_at_utc DESC LIMIT 1"
    )
    # Set back from 3,040 to 10,000, of which 90 were used in nine hours; the 150 before the reset are not known.
    assert bench.rows(bridge) == [(0, 0, -90, SIZE - 3040, 0, None)]
    monthly = "SELECT sum(top_up_amount), count(unexplained_class) FROM marts.balance_bridge_monthly"
    assert bench.rows(monthly) == [(0, 0)]
    assert bench.rows("SELECT count(*) FROM core.spend_daily WHERE spend_amount < 0") == [(0,)]
    amounts = "SELECT resets_at_utc, quota_amount, topup_advice, reporting_balance_amount FROM marts.account_status"
    assert bench.rows(amounts) == [(RESETS[1], SIZE, None, None)]
    assert bench.rows("SELECT count(*) FROM forecasts.topup_plan") == [(0,)]
    assert bench.rows("SELECT count(*) FROM alerts.events") == [(0,)]

    explained = drawdown(bench, "explain", "voices", "--as-of", after.isoformat())
    assert "quota resets 6,960.00 quotient-character" in explained
    assert "Resets on 2026-11-05: chance to be used up before " in explained
    assert "The vendor states its next reset for 2026-11-05 00:00" in explained
    asked = ("afford", "voices", "100", "--from", "2026-10-06", "--to", "2026-10-07", "--as-of", after.isoformat())
    assert "The balance is set back on 2026-11-05, which is included." in drawdown(bench, *asked)
    metrics = (bench.home.published / "metrics" / "drawdown.prom").read_text()
    values = {
        line.partition("{")[0]: line.rpartition(" ")[2] for line in metrics.splitlines() if 'account="voices"' in line
    }
    assert float(values["drawdown_account_quota_reset_timestamp_seconds"]) == RESETS[1].timestamp()
    assert 0 <= float(values["drawdown_account_quota_exhaustion_probability"]) < 0.5
    report = next((bench.home.published / "report").glob("*.html")).read_text()
    assert "No top-up is advised: the vendor sets the balance back." in report
    assert "Quota resets" in report

    stepwise = bench.checksums()
    drawdown(bench, "rebuild")
    assert bench.checksums() == stepwise

    # Read after the next reset without a run, and after a run to which the vendor gave no answer.
    later = RESETS[1] + timedelta(hours=2)
    silent = "Unknown since the reset of 2026-11-05 00:00 UTC: no reading has been made since then"
    aged = drawdown(bench, "status", "--as-of", later.isoformat())
    assert "voices 9,910.00 quotient-character unknown stale" in aged
    assert silent in aged
    quotient.is_down = True
    run(later, code=1)
    assert silent in drawdown(bench, "status", "--as-of", later.isoformat())
    unknown = (
        "SELECT severity, reading_state, stale_code, reason_code, runway_days, runway_p50_date, "
        "expected_balance_amount, topup_advice FROM marts.account_status"
    )
    assert bench.rows(unknown) == [("unknown", "stale", "request_failed", "reset_passed", None, None, None, None)]
    assert bench.rows("SELECT count(*) FROM alerts.events WHERE rule = 'runway'") == [(0,)]
