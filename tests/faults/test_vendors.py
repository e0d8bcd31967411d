"""Faults of vendors in a complete refresh: each account meets one fault, all concurrently.

How the client waits, retries and reads is tested to the byte in tests/http, and how a listing is walked in
tests/landing. Here the same faults must become rows and sentences, and must affect neither other accounts nor earlier
data.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.aftermath import check
from tests.faults.storm import AFTER, BEFORE, FINE, Ledger, Redirect, Storm, Wallet, entry, raised, wallet
from tests.http.conftest import CANARY
from tests.http.fault_server import Script, cut, drip, flood, hang, pack, raw, reply

faults = pytest.mark.faults


_HALF = raw(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"current_balance": 2')
_GZIP = {"Content-Encoding": "gzip"}
_OK = b"HTTP/1.1 200 OK\r\n"


def _status(code: int) -> Script:
    return reply(code, echo=True)


# account, its vendor's script, outcome, number of requests
_RIDDEN_OUT = [
    pytest.param("wait-whole", (reply(429, headers={"Retry-After": "3"}), FINE), 2, marks=faults(1)),
    pytest.param("wait-fraction", (reply(429, headers={"Retry-After": "1.5"}), FINE), 2, marks=faults(3)),
    pytest.param("wait-negative", (reply(429, headers={"Retry-After": "-1"}), FINE), 2, marks=faults(3)),
    pytest.param(
        "wait-past", (reply(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), FINE), 2, marks=faults(3)
    ),
    pytest.param("wait-garbage", (reply(429, headers={"Retry-After": "nan"}), FINE), 2, marks=faults(3)),
    pytest.param("burst", (reply(500), reply(502), reply(503), FINE), 4, marks=faults(4)),
    pytest.param("gateway", (reply(504), FINE), 2, marks=faults(4)),
    pytest.param("hang-once", (hang(), FINE), 2, marks=faults(8)),
    pytest.param(
        "cut-length", (cut(_OK + b'Content-Length: 99\r\n\r\n{"current_balance": 7'), FINE), 2, marks=faults(10)
    ),
    pytest.param("cut-chunk", (cut(_OK + b'Transfer-Encoding: chunked\r\n\r\n40\r\n{"cur'), FINE), 2, marks=faults(10)),
    pytest.param("half-once", (_HALF, FINE), 2, marks=faults(11)),
    pytest.param("html-once", (reply(200, b"<!doctype html>"), FINE), 2, marks=faults(13)),
    pytest.param("gzip-once", (reply(200, pack(wallet("7"))[:-9], _GZIP), FINE), 2, marks=faults(16)),
    pytest.param(
        "unknown-field", (reply(200, b'{"current_balance": 200, "success": true, "tier": "x"}'),), 1, marks=faults(24)
    ),
]
_FAILED = [
    pytest.param("wait-long", (reply(429, headers={"Retry-After": "3600"}),), "rate_limited", 1, marks=faults(2)),
    pytest.param("down", (reply(503, b"<h1>down</h1>"),), "server_error", 4, marks=faults(5)),
    pytest.param("refused", (_status(401),), "unauthorised", 1, marks=faults(6)),
    pytest.param("forbidden", (_status(403),), "forbidden", 1, marks=faults(6)),
    pytest.param("disabled", (reply(400, b'{"detail": "Inactive client_id"}'),), "forbidden", 1, marks=faults(6)),
    pytest.param("gone", (_status(404),), "not_found", 1, marks=faults(7)),
    pytest.param("disliked", (_status(422),), "unprocessable", 1, marks=faults(7)),
    pytest.param("drips", (drip(_OK + b"Content-Length: 1000000\r\n\r\n"),), "deadline", 1, marks=faults(9)),
    pytest.param("half", (_HALF,), "not_json", 4, marks=faults(11)),
    pytest.param("html", (reply(200, b"<!doctype html>"),), "not_json", 4, marks=faults(13)),
    pytest.param("nothing", (reply(200, b""),), "not_json", 4, marks=faults(13)),
    pytest.param("no-content", (raw(b"HTTP/1.1 204 No Content\r\n\r\n"),), "not_json", 4, marks=faults(13)),
    pytest.param("not-utf8", (reply(200, b'{"current_balance": 7, "x": "\xff"}'),), "not_json", 4, marks=faults(14)),
    pytest.param("order-mark", (reply(200, b"\xef\xbb\xbf" + wallet("7")),), "not_json", 4, marks=faults(14)),
    pytest.param("nan", (reply(200, wallet("NaN")),), "not_json", 4, marks=faults(14)),
    pytest.param("nested", (reply(200, b"[" * 50_000 + b"]" * 50_000),), "not_json", 4, marks=faults(14)),
    pytest.param(
        "bomb", (flood(_OK + b"Content-Encoding: gzip\r\n\r\n", pack(b"\0" * 2**21)),), "too_large", 1, marks=faults(15)
    ),
    pytest.param("huge", (flood(_OK + b"\r\n"),), "too_large", 1, marks=faults(15)),
    pytest.param("gzip-cut", (reply(200, pack(wallet("7"))[:-9], _GZIP),), "bad_encoding", 4, marks=faults(16)),
    pytest.param("redirected", (Redirect(),), "redirect", 1, marks=faults(17)),
]
_UNREADABLE = [
    pytest.param("missing", b'{"success": true}', "missing_field", marks=faults(23)),
    pytest.param("renamed", b'{"current_balanse": 200, "success": true}', "unknown_field", marks=faults(23)),
    pytest.param("dollars", wallet('"$13.50"'), "unreadable_in_every_row", marks=faults(25)),
    pytest.param("grouped", wallet('"1,234.50"'), "unreadable_in_every_row", marks=faults(25)),
    pytest.param("words", wallet('"n/a"'), "unreadable_in_every_row", marks=faults(25)),
    pytest.param("null", wallet("null"), "unreadable_in_every_row", marks=faults(25)),
    pytest.param("overflow", wallet("1e999999"), "unreadable_in_every_row", marks=faults(26)),
    pytest.param("forty-digits", wallet("1234567890" * 4), "unreadable_in_every_row", marks=faults(26)),
    pytest.param("ten-decimals", wallet("12.3456789012"), "unreadable_in_every_row", marks=faults(26)),
]
_CERTIFICATES = {"good": ("ok", AFTER), "expired": ("tls", None), "wrong host": ("tls", None)}
_LEDGERS = {
    "stale-connection": Ledger({"1": ([entry(0), entry(1)], "{own}/balance/transactions?page=2"), "2": ([entry(2)], "")}, 1),
    "foreign-next": Ledger({"1": ([entry(0), entry(1)], "{elsewhere}/balance/transactions?page=2")}),
    "cyclic": Ledger(
        {
            "1": ([entry(0), entry(1)], "{own}/balance/transactions?page=2"),
            "2": ([entry(2)], "{own}/balance/transactions?page=1"),
        }
    ),
    "endless": Ledger(
        {
            "1": ([entry(0), entry(1)], "{own}/balance/transactions?page=2"),
            "2": ([entry(2)], "{own}/balance/transactions?page=3"),
            "3": ([], "{own}/balance/transactions?page=4"),
        }
    ),
    "links-to-itself": Ledger(
        {
            "1": ([entry(0), entry(1)], "{own}/balance/transactions?page=2"),
            "2": ([entry(2)], "{own}/balance/transactions?page=2"),
        }
    ),
    "twice": Ledger(
        {
            "1": ([entry(0), entry(0), entry(1)], "{own}/balance/transactions?page=2"),
            "2": ([entry(0), entry(1), entry(2)], ""),
        }
    ),
    "emptied": Ledger({"1": ([], "")}),
}  # fmt: skip


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storm]:
    wallets = {"calm-one": Wallet(scripts=(FINE,)), "calm-two": Wallet(scripts=(FINE,))}
    wallets |= {case.values[0]: Wallet(scripts=case.values[1]) for case in (*_RIDDEN_OUT, *_FAILED)}
    wallets |= {case.values[0]: Wallet(scripts=(reply(200, case.values[1]),)) for case in _UNREADABLE}
    wallets |= {_of(flaw): Wallet(scripts=(FINE,), tls=flaw) for flaw in _CERTIFICATES}
    with raised(tmp_path_factory.mktemp("storm"), wallets, _LEDGERS) as done:
        yield done


def _of(flaw: str) -> str:
    return f"tls-{flaw.replace(' ', '-')}"


@pytest.mark.parametrize(("account", "scripts", "requests"), _RIDDEN_OUT)
def test_transient_failures_are_retried(storm: Storm, account: str, scripts: object, requests: int) -> None:
    fetch = storm.fetches[account, "wallet"]
    assert (fetch["outcome"], fetch["attempts"]) == ("ok", requests)
    assert storm.status[account] == (AFTER, "fresh")
    assert not [line for line in storm.problems if account in line]
    if account == "wait-whole":
        assert fetch["elapsed_seconds"] >= 3


@pytest.mark.parametrize(("account", "scripts", "outcome", "requests"), _FAILED)
def test_a_rejected_answer_is_one_sentence_and_keeps_the_last_balance_with_its_age(
    storm: Storm, account: str, scripts: object, outcome: str, requests: int
) -> None:
    fetch = storm.fetches[account, "wallet"]
    assert (fetch["outcome"], fetch["attempts"]) == (outcome, requests)
    # One request in the calm, these in the storm, and none after them.
    assert len(storm.servers[account].requests) == 1 + requests
    [line] = [line for line in storm.problems if f"account {account}:" in line]
    assert line == fetch["reason"]
    assert storm.status[account] == (BEFORE, "stale")
    if outcome in ("unauthorised", "forbidden"):
        assert "STORM_KEY" in line
    if outcome == "rate_limited":
        # No sleep: the deadline is 15 s, and the wait would be an hour.
        assert fetch["elapsed_seconds"] < 8


@pytest.mark.faults(2)
@pytest.mark.parametrize("account", ["calm-one", "calm-two"])
def test_the_others_finish(storm: Storm, account: str) -> None:
    assert storm.status[account] == (AFTER, "fresh")
    assert storm.fetches[account, "wallet"]["elapsed_seconds"] < 15


@pytest.mark.parametrize(("account", "body", "drift"), _UNREADABLE)
def test_an_inexact_amount_is_rejected_with_a_reason_and_blocks_nothing(
    storm: Storm, account: str, body: bytes, drift: str
) -> None:
    assert storm.fetches[account, "wallet"]["outcome"] == "ok"
    assert [line for line in storm.problems if f"account {account}:" in line and "no row could be read" in line]
    assert storm.status[account] == (BEFORE, "stale")
    rows = storm.bench.rows
    assert rows(f"SELECT count(*) FROM staging.rejects WHERE account_id = '{account}'") == [(1,)]
    assert (drift,) in rows(f"SELECT check_name FROM staging.schema_drift WHERE account_id = '{account}'")
    # No part of it is written: the reading is recorded as unknown, and its number nowhere.
    readings = (
        f"SELECT balance_amount FROM core.balance_snapshots WHERE account_id = '{account}' ORDER BY observed_at_utc"
    )
    assert rows(readings) == [(BEFORE,), (None,)]


@pytest.mark.faults(24)
def test_an_unknown_field_is_a_note_and_no_problem(storm: Storm) -> None:
    query = (
        "SELECT column_name, check_name, redacted_value FROM staging.schema_drift WHERE account_id = 'unknown-field'"
    )
    assert storm.bench.rows(query) == [("tier", "unknown_field", "x")]


@pytest.mark.faults(41)
@pytest.mark.parametrize("flaw", _CERTIFICATES)
def test_a_certificate_is_trusted_for_its_host_and_its_time_alone(storm: Storm, flaw: str) -> None:
    outcome, balance = _CERTIFICATES[flaw]
    fetch = storm.fetches[_of(flaw), "wallet"]
    assert fetch["outcome"] == outcome
    assert storm.status[_of(flaw)][0] == balance
    if flaw != "good":
        assert storm.servers[_of(flaw)].requests == []


def _entries(storm: Storm, account: str) -> list[str]:
    query = f"SELECT entry_id FROM core.ledger_entries WHERE account_id = '{account}' ORDER BY entry_id"
    return [row[0] for row in storm.bench.rows(query)]


@pytest.mark.faults(12)
def test_a_connection_that_is_reset_costs_a_second_request_and_no_page(storm: Storm) -> None:
    asked = [
        request
        for request in storm.servers["stale-connection"].requests
        if request.target.startswith("/balance/transactions")
    ]
    first, reset, again = asked[-3:]
    assert ("page=1" in first.target, "page=2" in reset.target, "page=2" in again.target) == (True, True, True)
    assert again.connection != reset.connection
    assert storm.fetches["stale-connection", "transactions"]["attempts"] == 2
    assert _entries(storm, "stale-connection") == ["e0", "e1", "e2"]


@pytest.mark.faults(17)
@pytest.mark.faults(18)
def test_no_other_host_gets_a_request_or_the_key(storm: Storm) -> None:
    assert storm.fetches["foreign-next", "transactions"]["outcome"] == "foreign_origin"
    assert [line for line in storm.problems if "foreign-next" in line and "was not followed" in line]
    assert storm.elsewhere.connection_count == 0
    assert storm.elsewhere.received == b""


@pytest.mark.faults(19)
def test_a_cyclic_listing_fails_and_its_rows_are_kept(storm: Storm) -> None:
    assert storm.fetches["cyclic", "transactions"]["outcome"] == "pagination"
    assert [line for line in storm.problems if "account cyclic:" in line and "already walked" in line]
    assert _entries(storm, "cyclic") == ["e0", "e1", "e2"]


@pytest.mark.faults(19)
def test_an_empty_page_that_links_on_fails_and_the_rows_before_it_are_kept(storm: Storm) -> None:
    assert storm.fetches["endless", "transactions"]["outcome"] == "pagination"
    assert [line for line in storm.problems if "account endless:" in line and "holds no rows and yet links" in line]
    assert _entries(storm, "endless") == ["e0", "e1", "e2"]


@pytest.mark.faults(19)
def test_a_last_page_that_links_to_itself_is_the_last(storm: Storm) -> None:
    assert storm.fetches["links-to-itself", "transactions"]["outcome"] == "ok"
    assert not [line for line in storm.problems if "account links-to-itself:" in line]
    assert _entries(storm, "links-to-itself") == ["e0", "e1", "e2"]


@pytest.mark.faults(20)
def test_repeated_rows_are_one_row(storm: Storm) -> None:
    assert _entries(storm, "twice") == ["e0", "e1", "e2"]


@pytest.mark.faults(22)
def test_a_suddenly_empty_listing_removes_nothing_and_is_reported(storm: Storm) -> None:
    assert _entries(storm, "emptied") == ["e1", "e2"]
    assert [line for line in storm.problems if "emptied" in line and "the listing is empty" in line]


@pytest.mark.faults(6)
def test_the_storm_leaves_no_key_anywhere_not_even_in_dagsters_records(storm: Storm) -> None:
    """The refused account's vendor repeated the key in status line, headers and body."""
    assert CANARY in "".join(map(str, storm.servers["refused"].requests)), "the key is what was sent"
    records = [path for path in storm.home.dagster.rglob("*") if path.is_file()]
    assert [path for path in records if path.suffix == ".db"]
    check(storm.home, storm.keys.values(), storm.printed)
