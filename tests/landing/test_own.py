"""Drawdown's own entries follow one rule, also if a later version wrote them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from pipeline import __version__
from pipeline.alerts.journal import fold, land, landed_entries
from pipeline.alerts.state_machine import Acknowledgement
from pipeline.landing import store
from pipeline.landing.own import ALERTS, ENVELOPE, FORMATS, is_later_version, land_own, read_own
from pipeline.landing.runs import newest_record
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from pipeline.support.notices import collected, forward_uncollected
from tests.alerts.timelines import START

LATER = "9.9.9"


@contextmanager
def later(format_version: int) -> Iterator[None]:
    """Land entries as a later version does."""
    formats = dict.fromkeys(FORMATS, format_version)
    with patch("pipeline.landing.own.FORMATS", formats), patch.object(store, "__version__", LATER):
        yield


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_own_entries_have_the_version_that_wrote_them_and_their_format(home: Home) -> None:
    for kind, number in FORMATS.items():
        land_own(home, Clock(START), "r", kind, b"{}")
        [folder] = store.day_folders(home.landing, store.OWN, kind)
        [(_, table)] = store.each(folder, ENVELOPE)
        assert table.to_pylist() == [{"endpoint": kind, "version_id": __version__, "format_version": number}]


@pytest.mark.parametrize("format_version", [1, 2])
def test_an_entry_of_a_later_version_is_passed_over_with_one_warning_that_names_it(
    home: Home, format_version: int
) -> None:
    known = Acknowledgement(account_id="main", by="me", at=START)
    land(home, Clock(START), "r", known)
    with later(format_version):
        for _ in range(3):
            land_own(home, Clock(START), "r", ALERTS, b'{"type":"snoozed","account_id":"main"}')
    land(home, Clock(START), "r", known)

    with collected() as lines:
        entries = landed_entries(home.landing)

    assert [entry for _, entry in entries] == [known, known]
    assert len(fold(entries).waiting) == 2
    assert lines == [
        f"landing holds entries under _drawdown/alerts that Drawdown 9.9.9 wrote and this one, {__version__}, cannot "
        "read: they are skipped. Install Drawdown 9.9.9 or later to read them"
    ]


def test_a_body_of_a_later_format_is_not_read_even_where_it_looks_familiar() -> None:
    row = {"endpoint": ALERTS, "version_id": LATER, "format_version": 2, "fetch_id": "0", "body": b"1"}
    assert read_own(row, int) is None
    assert read_own({**row, "format_version": 1}, int) == 1
    # Landed before formats existed.
    assert read_own({**row, "format_version": None, "version_id": None}, int) == 1


def test_unreadable_entries_of_this_or_an_earlier_version_are_damaged() -> None:
    for version_id in (__version__, "0.0.1", None):
        row = {"endpoint": ALERTS, "version_id": version_id, "format_version": 1, "fetch_id": "7", "body": b"x"}
        with pytest.raises(ValueError, match="landing holds a damaged body under _drawdown/alerts: fetch 7"):
            read_own(row, int)


def test_a_run_record_of_a_later_version_is_not_compared_with(home: Home) -> None:
    land_own(home, Clock(START), "r", store.RUNS, b'{"accounts":{"main":{}}}')
    with later(2):
        land_own(home, Clock(START), "r", store.RUNS, b'{"accounts":{"other":{}}}')
    assert newest_record(home.landing, START) == {"accounts": {"main": {}}}


@pytest.mark.parametrize(
    ("version_id", "is_later"),
    [(__version__, False), ("0.0.9", False), (None, False), ("", False), ("9", True), ("0.10.0.dev1", True)],
)
def test_versions_are_compared_by_their_numbers(version_id: str | None, is_later: bool) -> None:
    assert is_later_version(version_id) is is_later


def test_an_uncollected_warning_is_a_line_of_the_command(home: Home) -> None:
    with later(2):
        land_own(home, Clock(START), "r", ALERTS, b"{}")
    lines: list[str] = []
    with patch.object(logging.getLogger("pipeline.support.notices"), "handlers", []):
        forward_uncollected(lines.append)
        landed_entries(home.landing)
        landed_entries(home.landing)
    assert len(lines) == 1
    assert lines[0].startswith("landing holds entries under _drawdown/alerts")
