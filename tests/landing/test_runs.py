"""Accounts as of the last run, read back from landing."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.landing import store
from pipeline.landing.compact import compact
from pipeline.landing.runs import holds_account, newest_record, recent_records
from pipeline.landing.store import OWN, RUNS, files
from pipeline.vendors import discover
from tests.staging.landed import NOW, Landing

DAY = timedelta(days=1)


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path / "landing")


def names(landing: Landing, now: datetime = NOW) -> list[str] | None:
    found = newest_record(landing.folder, now)
    return None if found is None else list(found["accounts"])


def test_before_the_first_run_there_is_none(landing: Landing) -> None:
    assert newest_record(landing.folder, NOW) is None
    assert recent_records(landing.folder, NOW, 7) == []


def test_the_newest_run_is_taken(landing: Landing) -> None:
    for account_id, at in (("first", NOW - 40 * DAY), ("later", NOW - DAY), ("last", NOW - timedelta(hours=1))):
        landing.run({account_id: {}}, at=at)
    assert names(landing) == ["last"]


def test_a_run_whose_clock_was_ahead_is_passed_over(landing: Landing) -> None:
    landing.run({"right": {}}, at=NOW - DAY)
    landing.run({"minutes": {}}, at=NOW + timedelta(minutes=5))
    landing.run({"a-year": {}}, at=NOW + 365 * DAY)
    assert names(landing) == ["right"]
    assert names(landing, NOW + timedelta(minutes=5)) == ["minutes"]
    assert [list(each["accounts"]) for each in recent_records(landing.folder, NOW, 7)] == [["right"]]


def test_compacted_answers_are_found_as_well(landing: Landing) -> None:
    for number in range(3):
        landing.run({f"run-{number}": {}}, at=NOW - DAY + timedelta(minutes=number))
    compact(landing.folder, NOW.date())
    assert names(landing) == ["run-2"]
    found = recent_records(landing.folder, NOW, 7)
    assert [list(each["accounts"]) for each in found] == [["run-0"], ["run-1"], ["run-2"]]


def test_a_run_that_is_merged_away_while_it_is_looked_for_is_found(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        landing.run({f"run-{number}": {}}, at=NOW - DAY + timedelta(minutes=number))
    listed = store.files
    merged: list[Path] = []

    def merged_after_the_listing(folder: Path) -> list[Path]:
        found = listed(folder)
        if not merged:
            merged.append(folder)
            compact(landing.folder, NOW.date())
        return found

    monkeypatch.setattr(store, "files", merged_after_the_listing)
    assert names(landing) == ["run-2"]
    merged.clear()
    landing.run({"run-3": {}}, at=NOW - DAY + timedelta(minutes=3))
    found = recent_records(landing.folder, NOW, 7)
    assert [list(each["accounts"]) for each in found] == [["run-0"], ["run-1"], ["run-2"], ["run-3"]]


def test_a_damaged_file_is_passed_over(landing: Landing) -> None:
    landing.run({"whole": {}}, at=NOW - DAY)
    landing.run({"damaged": {}}, at=NOW)
    [path] = files(landing.folder / OWN / RUNS / f"{NOW:%Y/%m/%d}")
    os.truncate(path, path.stat().st_size // 2)
    assert names(landing) == ["whole"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'{"accounts": []}', b"\xff"])
def test_a_body_that_is_no_record_is_skipped(landing: Landing, body: bytes) -> None:
    landing.run({"whole": {}}, at=NOW - DAY)
    landing.answer(OWN, RUNS, body, account_id="*", at=NOW)
    assert names(landing) == ["whole"]


def test_recent_records_are_those_of_the_days_before_the_newest_run_without_repeats(landing: Landing) -> None:
    for account_id, days in (("long-ago", 50), ("a", 37), ("a", 36), ("b", 35), ("a", 30), ("a", 30)):
        landing.run({account_id: {}}, at=NOW - days * DAY)
    found = recent_records(landing.folder, NOW, 7)
    assert [list(each["accounts"]) for each in found] == [["a"], ["b"], ["a"]]


def test_landing_has_an_account_by_its_vendor_or_by_hand(landing: Landing) -> None:
    vendors = discover()
    assert not holds_account(landing.folder, vendors["vpsbg"], "shop")
    landing.answer("vpsbg", "transactions", "refused", account_id="shop", at=NOW - 300 * DAY, outcome="forbidden")
    landing.answer("vpsbg", "balance", "{}", account_id="other", at=NOW)
    landing.answer("manual", "readings", "", account_id="kept", at=NOW)
    assert holds_account(landing.folder, vendors["vpsbg"], "shop")
    assert holds_account(landing.folder, vendors["vpsbg"], "kept")
    assert holds_account(landing.folder, vendors["manual"], "kept")
    assert not holds_account(landing.folder, vendors["hyperstack"], "shop")
    assert not holds_account(landing.folder, vendors["vpsbg"], "sho")
