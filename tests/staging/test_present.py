"""Answers later than the clock of the newest run, and accounts with a changed name."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from pipeline.staging.load import LoadReport
from tests.staging.landed import NOW, NewWorkshop, Workshop

_AHEAD = NOW + timedelta(days=365)


def _balance(amount: object) -> dict[str, Any]:
    return {"balance": amount, "currency": "EUR"}


def _run(workshop: Workshop, amount: object, days: float, **settings: Any) -> LoadReport:
    """A run whose clock is some days after NOW: its record, a balance, and the load."""
    at = NOW + timedelta(days=days)
    names = settings.pop("names", ["main"])
    workshop.landing.run({name: {"vendor": "vpsbg", **settings} for name in names}, at=at)
    workshop.landing.answer("vpsbg", "balance", _balance(amount), account_id=names[0], at=at)
    report = workshop.load()
    workshop.recompute("core")
    return report


def _newest(workshop: Workshop) -> tuple[Any, ...]:
    return workshop.rows(
        "SELECT account_id, CAST(balance_amount AS INTEGER), observed_at_utc FROM core.balance_snapshots "
        "ORDER BY observed_at_utc DESC LIMIT 1"
    )[0]


def test_a_run_with_a_correct_clock_ignores_answers_of_a_clock_ahead(new_workshop: NewWorkshop) -> None:
    with new_workshop() as workshop:
        _run(workshop, 50, 0)
        _run(workshop, 999, 365)
        assert _newest(workshop) == ("main", 999, _AHEAD)

        report = _run(workshop, 40, 1)

        assert (report.is_reloaded, report.future_fetches) == (True, 1)
        assert _newest(workshop) == ("main", 40, NOW + timedelta(days=1))
        assert workshop.rows("SELECT count(*) FROM core.balance_snapshots") == [(2,)]
        # Once is enough.
        assert not _run(workshop, 30, 2).is_reloaded
        assert _newest(workshop) == ("main", 30, NOW + timedelta(days=2))


def test_loading_all_at_once_knows_the_same(new_workshop: NewWorkshop) -> None:
    with new_workshop() as stepwise, new_workshop() as whole:
        for amount, days in ((50, 0), (999, 2), (40, 1)):
            _run(stepwise, amount, days)
            whole.landing.run({"main": {"vendor": "vpsbg"}}, at=NOW + timedelta(days=days))
            whole.landing.answer("vpsbg", "balance", _balance(amount), at=NOW + timedelta(days=days))
        whole.load()
        whole.recompute("core")
        query = "SELECT account_id, balance_amount, observed_at_utc FROM core.balance_snapshots ORDER BY ALL"
        assert whole.rows(query) == stepwise.rows(query)
        assert len(whole.rows(query)) == 2


def test_answers_of_a_clock_ahead_count_when_their_time_has_come(new_workshop: NewWorkshop) -> None:
    with new_workshop() as workshop:
        _run(workshop, 999, 2)
        _run(workshop, 40, 1)
        assert _newest(workshop)[1] == 40

        report = _run(workshop, 30, 3)

        assert report.future_fetches == 0
        assert [row[0] for row in workshop.rows("SELECT CAST(balance_amount AS INTEGER) FROM core.balance_snapshots "
                                                "ORDER BY observed_at_utc")] == [40, 999, 30]  # fmt: skip


def test_an_id_from_the_future_is_from_a_clock_ahead_and_no_newest_run(new_workshop: NewWorkshop) -> None:
    with new_workshop() as workshop:
        later = f"{time.time_ns() + 86_400_000_000_000:016x}"
        _run(workshop, 50, 0)
        workshop.landing.run({"main": {"vendor": "vpsbg"}}, at=_AHEAD, fetch_id=later)
        workshop.landing.answer("vpsbg", "balance", _balance(999), at=_AHEAD, fetch_id=later[:-1] + "f")

        workshop.load()
        workshop.recompute("core")

        assert _newest(workshop)[1] == 50
        assert workshop.rows("SELECT as_of_utc FROM staging.build") == [(NOW,)]


def test_a_renamed_account_keeps_its_history_by_its_identity_or_by_formerly(new_workshop: NewWorkshop) -> None:
    for settings in ({"identity": "0123456789abcdef"}, {"formerly": ["main"]}):
        with new_workshop() as workshop:
            first = {key: value for key, value in settings.items() if key == "identity"}
            _run(workshop, 50, 0, **first)
            report = _run(workshop, 40, 1, names=["renamed"], **settings)

            assert report.is_reloaded
            assert workshop.rows("SELECT account_id, count(*) FROM core.balance_snapshots GROUP BY 1") == [
                ("renamed", 2)
            ]
            assert workshop.rows("SELECT account_id FROM core.accounts") == [("renamed",)]
            # The next run has nothing to load again.
            assert not _run(workshop, 30, 2, names=["renamed"], **settings).is_reloaded


def test_a_reused_name_gets_its_history_back(new_workshop: NewWorkshop) -> None:
    with new_workshop() as workshop:
        same = {"identity": "0123456789abcdef"}
        _run(workshop, 50, 0, **same)
        _run(workshop, 40, 1, names=["renamed"], **same)
        _run(workshop, 30, 2, **same)
        assert workshop.rows("SELECT account_id, count(*) FROM core.balance_snapshots GROUP BY 1") == [("main", 3)]


def test_another_account_of_the_same_vendor_is_no_rename(new_workshop: NewWorkshop) -> None:
    with new_workshop() as workshop:
        _run(workshop, 50, 0, identity="0123456789abcdef")
        _run(workshop, 40, 1, names=["other"], identity="fedcba9876543210")
        assert workshop.rows("SELECT account_id, count(*) FROM core.balance_snapshots GROUP BY 1 ORDER BY 1") == [
            ("main", 1),
            ("other", 1),
        ]
