"""A run's fetching: accounts concurrently, one file for each endpoint and batch, no failure affecting another account."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.landing import store
from pipeline.landing.fetching import Fetcher, FetchPolicy, Visit, calls_for
from pipeline.settings import load
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from tests.landing.walking import HURRIED, entry
from tests.staging.landed import NOW

_ACCOUNTS = ("one", "two", "broken")
_BALANCE = {"balance": 5, "currency": "EUR"}
_PATHS = {"orders": "/orders", "transactions": "/balance/transactions", "balance": "/balance"}


@pytest.fixture
def fetch(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Runs:
    """Runs over three accounts of one vendor, which does not know the third key."""
    lines = ["allow_http_loopback = true"]
    for account_id in _ACCOUNTS:
        variable = f"{account_id.upper()}_KEY"
        monkeypatch.setenv(variable, f"secret-of-{account_id}")
        url = httpserver.url_for("").rstrip("/")
        lines += [f"[accounts.{account_id}]", 'vendor = "vpsbg"', f'api_key_env = "{variable}"', f'base_url = "{url}"']
    path = tmp_path / "accounts.toml"
    path.write_text("\n".join(lines))

    def answer(request: Request) -> Response:
        if request.headers["Authorization"] == "Bearer secret-of-broken":
            return Response(json.dumps({"message": "Unauthenticated."}), status=401)
        rows = [entry(NOW.date() - timedelta(days=day)) for day in range(3)]
        page = {"data": rows, "links": {"next": None}, "meta": {}}
        body = page if request.path.endswith("transactions") else _BALANCE
        return Response(json.dumps(body), content_type="application/json")

    for name in ("/balance", "/balance/transactions"):
        httpserver.expect_request(name).respond_with_handler(answer)
    return _Runs(path, Home(tmp_path / "data"))


class _Runs:
    def __init__(self, accounts: Path, home: Home) -> None:
        self.accounts = accounts
        self.home = home
        self.seen: list[Visit] = []
        self.formerly: dict[str, tuple[str, ...]] = {}

    def __call__(
        self, run_id: str, *, days: int = 0, endpoints: tuple[str, ...] = ("balance", "transactions")
    ) -> list[Visit]:
        settings = load(self.accounts)
        policy = FetchPolicy(patience=HURRIED, on_visit=self.seen.append, is_limited=False, land_every_seconds=60)
        clock = Clock(NOW + timedelta(days=days))
        fetcher = Fetcher(
            home=self.home, clock=clock, run_id=run_id, allow_http_loopback=True, policy=policy, formerly=self.formerly
        )
        return fetcher.fetch(calls_for(settings.select([]), {("vpsbg", each) for each in endpoints}))

    def rows(self) -> list[dict[str, object]]:
        return [row for path in store.iterate(self.home.landing) for row in store.read(path).to_pylist()]


def test_a_batch_is_one_file_an_endpoint_for_any_number_of_accounts(fetch: _Runs) -> None:
    fetch("run-1")
    files = [path.relative_to(fetch.home.landing).parts[:5] for path in store.iterate(fetch.home.landing)]
    assert files == [("vpsbg", "balance", "2026", "03", "18"), ("vpsbg", "transactions", "2026", "03", "18")]
    assert len(fetch.rows()) == 6
    fetch("run-2")
    assert len(list(store.iterate(fetch.home.landing))) == 4


def test_a_refused_account_is_a_row_and_the_others_are_fetched(fetch: _Runs) -> None:
    visits = {(each.account_id, each.endpoint): each for each in fetch("run-1")}
    for account_id in ("one", "two"):
        assert visits[account_id, "balance"].is_ok
        assert visits[account_id, "transactions"].is_ok
    broken = visits["broken", "balance"]
    assert broken.outcome == "unauthorised"
    assert "BROKEN_KEY" in broken.reason
    row = next(each for each in fetch.rows() if each["account_id"] == "broken" and each["endpoint"] == "balance")
    assert (row["outcome"], row["status_code"], row["is_complete"]) == ("unauthorised", 401, False)
    assert json.loads(row["body"]) == {"message": "Unauthenticated."}  # type: ignore[arg-type]


def test_every_visit_is_reported_as_it_ends(fetch: _Runs) -> None:
    visits = fetch("run-1")
    assert sorted((each.account_id, each.endpoint) for each in fetch.seen) == sorted(
        (each.account_id, each.endpoint) for each in visits
    )


def test_fetch_ids_rise_in_the_order_of_the_answers_and_never_repeat(fetch: _Runs) -> None:
    for number in range(3):
        fetch(f"run-{number}")
    ids = [str(row["fetch_id"]) for row in fetch.rows()]
    assert len(set(ids)) == len(ids) == 18
    last = {
        run: max(str(row["fetch_id"]) for row in fetch.rows() if row["run_id"] == run) for run in ("run-0", "run-1")
    }
    first = {
        run: min(str(row["fetch_id"]) for row in fetch.rows() if row["run_id"] == run) for run in ("run-1", "run-2")
    }
    assert last["run-0"] < first["run-1"]
    assert last["run-1"] < first["run-2"]


def test_each_account_resumes_from_its_own_state(fetch: _Runs) -> None:
    fetch("run-1", days=-10)
    fetch("run-2")
    states = store.resume_states(fetch.home.landing, "vpsbg", "transactions", _ACCOUNTS)
    assert json.loads(states["one"]) == {"seen_through": "2026-03-18", "is_newest_first": True}
    assert json.loads(states["broken"]) == {}
    froms = [
        row["window_from_date"]
        for row in fetch.rows()
        if row["endpoint"] == "transactions" and row["run_id"] == "run-2"
    ]
    assert sorted(str(each) for each in froms) == ["2026-02-01", "2026-02-01", "None"]


@pytest.mark.faults(38)
def test_a_run_does_not_resume_from_one_whose_clock_was_ahead(fetch: _Runs) -> None:
    fetch("run-1", days=-10)
    fetch("run-ahead", days=365)
    fetch("run-2")
    froms = {
        str(row["window_from_date"])
        for row in fetch.rows()
        if (row["endpoint"], row["run_id"], row["account_id"]) == ("transactions", "run-2", "one")
    }
    # 35 days before the day of the first run, not before the future one.
    assert froms == {"2026-02-01"}


def test_a_renamed_account_continues_its_former_ids_walk(fetch: _Runs) -> None:
    fetch("run-1", days=-10)
    fetch.accounts.write_text(fetch.accounts.read_text().replace("[accounts.one]", "[accounts.renamed]"))
    fetch.formerly = {"renamed": ("one",)}
    fetch("run-2")
    froms = {
        row["account_id"]: str(row["window_from_date"])
        for row in fetch.rows()
        if (row["endpoint"], row["run_id"]) == ("transactions", "run-2")
    }
    assert froms == {"renamed": "2026-02-01", "two": "2026-02-01", "broken": "None"}


@pytest.mark.parametrize(
    ("endpoint", "status", "is_absent"),
    [
        ("orders", 403, True),
        ("transactions", 403, True),
        ("transactions", 404, True),
        ("transactions", 401, False),
        ("transactions", 500, False),
        ("orders", 404, True),
        # It is extra, and has never answered.
        ("orders", 401, True),
        ("orders", 500, True),
        ("balance", 403, False),
    ],
)
def test_only_a_refusal_of_what_is_optional_is_an_absence(
    fetch: _Runs, httpserver: HTTPServer, endpoint: str, status: int, is_absent: bool
) -> None:
    httpserver.clear()
    httpserver.expect_request(_PATHS[endpoint]).respond_with_data('{"message": "no"}', status=status)
    for visit in fetch("run-1", endpoints=(endpoint,)):
        assert (visit.is_ok, visit.is_absent, visit.is_failed) == (False, is_absent, not is_absent)
    # Landed like any other answer.
    assert {(row["status_code"], row["body"]) for row in fetch.rows()} == {(status, b'{"message": "no"}')}


def test_an_absence_is_news_when_it_begins_and_when_it_ends_and_never_in_between(
    fetch: _Runs, httpserver: HTTPServer
) -> None:
    news = []
    for number, status in enumerate([200, 403, 403, 500, 403, 200, 200, 403]):
        httpserver.clear()
        page = {"data": [], "links": {"next": None}, "meta": {}}
        httpserver.expect_request("/orders").respond_with_json(page if status == 200 else {}, status=status)
        news.append(fetch(f"run-{number}", endpoints=("orders",))[0].is_news)
    assert news == [False, True, False, False, False, True, False, True]


def test_a_listing_without_an_order_is_walked_whole_each_time(fetch: _Runs, httpserver: HTTPServer) -> None:
    def answer(request: Request) -> Response:
        page = int(request.args["page"])
        rows = [entry(NOW.date() - timedelta(days=400 * page + day)) for day in range(2)]
        link = httpserver.url_for(f"/servers?page={page + 1}") if page < 3 else None
        return Response(
            json.dumps({"data": rows, "links": {"next": link}, "meta": {}}), content_type="application/json"
        )

    httpserver.expect_request("/servers").respond_with_handler(answer)
    for number in range(3):
        assert {visit.fetch_count for visit in fetch(f"run-{number}", endpoints=("servers",))} == {3}


def test_no_secret_is_landed(fetch: _Runs) -> None:
    fetch("run-1")
    for path in store.iterate(fetch.home.landing):
        assert b"secret-of-" not in path.read_bytes()
    assert "secret-of-" not in repr(fetch.rows())


def test_a_secret_that_is_not_set_stops_the_run_before_any_request(fetch: _Runs, httpserver: HTTPServer) -> None:
    os.environ.pop("TWO_KEY")
    with pytest.raises(Exception, match="TWO_KEY is not set"):
        fetch("run-1")
    assert len(httpserver.log) == 0


def test_a_run_without_calls_lands_nothing(fetch: _Runs) -> None:
    assert fetch("run-1", endpoints=()) == []
    assert fetch.rows() == []
