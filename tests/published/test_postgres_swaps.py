"""Readers, concurrent loads and users' views while the tables are swapped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.published.postgres import Waits
from pipeline.support.errors import DrawdownError
from tests.published.builds import build
from tests.published.conftest import Database

QUICK = Waits(lock_seconds=0.3, swap_seconds=1.0)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE VIEW public.mine AS SELECT * FROM core.made", "view public.mine depends on table core.made"),
        ("CREATE VIEW marts.mine AS SELECT 1 AS one", "view marts.mine depends on schema marts"),
    ],
)
def test_foreign_views_on_the_tables_stop_the_swap_and_are_named(
    link: Path, database: Database, load: Callable[..., Any], statement: str, words: str
) -> None:
    load(build(link, 1))
    database.rows(statement)

    with pytest.raises(DrawdownError, match=f"{words}.*drop that first"):
        load(build(link, 2))
    assert database.rows("SELECT DISTINCT build_number FROM core.made") == [(1,)]


def test_swaps_under_load_cost_no_reader_an_error_or_a_torn_read(
    link: Path, database: Database, load: Callable[..., Any]
) -> None:
    load(build(link, 1, rows=2000))
    ending = threading.Event()
    errors: list[str] = []
    seen: list[set[int]] = []
    slowest = [0.0]

    def read(level: str, tables: tuple[str, str]) -> None:
        connection = database.connect()
        connection.set_session(isolation_level=level)
        # Like a tool that stays connected: its plans outlive their tables.
        while not ending.is_set():
            began = time.monotonic()
            try:
                with connection, connection.cursor() as cursor:
                    numbers = set()
                    for table in (*tables, tables[0]):
                        cursor.execute(f"SELECT DISTINCT build_number, count(*) FROM {table} GROUP BY 1")
                        rows = cursor.fetchall()
                        numbers |= {number if count == 2000 else -1 for number, count in rows} or {0}
                    cursor.execute(
                        f"SELECT one.build_number FROM {tables[0]} AS one INNER JOIN {tables[1]} AS two ON one.row_number = two.row_number LIMIT 1"
                    )
                    numbers.add(cursor.fetchone()[0])
                seen.append(numbers)
            except Exception as problem:
                errors.append(repr(problem))
                connection.rollback()
            slowest[0] = max(slowest[0], time.monotonic() - began)
            time.sleep(0.002)
        connection.close()

    both = ("core.made", "marts.made")
    threads = [
        threading.Thread(target=read, args=(level, tables))
        for level in ("READ COMMITTED", "REPEATABLE READ")
        for tables in (both, both[::-1])
    ]
    for thread in threads:
        thread.start()
    for number in range(2, 7):
        load(build(link, number, rows=2000))
    ending.set()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(seen) > 50
    assert [numbers for numbers in seen if len(numbers) != 1] == []
    assert {number for numbers in seen for number in numbers} >= {1, 6}
    # A swap takes milliseconds, and an attempt gives up after 0.6 s.
    assert slowest[0] < 5


def test_a_snapshot_older_than_the_load_finds_the_new_tables_full(
    link: Path, database: Database, load: Callable[..., Any]
) -> None:
    load(build(link, 1))
    early = database.connect()
    early.set_session(isolation_level="REPEATABLE READ")
    with early.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles")
        load(build(link, 2))
        cursor.execute("SELECT DISTINCT build_number FROM core.made")
        assert cursor.fetchall() == [(2,)]
    early.close()


def test_a_reader_in_a_long_transaction_keeps_its_build_and_is_named_when_the_wait_is_over(
    link: Path, database: Database, load: Callable[..., Any]
) -> None:
    load(build(link, 1))
    slow = database.connect(f"{database.dsn}?application_name=slow-dashboard")
    with slow.cursor() as cursor:
        cursor.execute("SELECT DISTINCT build_number FROM core.made")
        with pytest.raises(DrawdownError, match=r"readers kept the tables for longer than 1 s: .*\(slow-dashboard\)"):
            load(build(link, 2), waits=QUICK)
        # No reader is delayed, or sees anything different from before.
        for table in ("core.made", "marts.made"):
            cursor.execute(f"SELECT DISTINCT build_number FROM {table}")
            assert cursor.fetchall() == [(1,)]
        assert database.rows("SELECT DISTINCT build_number FROM core.made") == [(1,)]
    threading.Timer(0.8, slow.commit).start()

    load(link)

    assert database.rows("SELECT DISTINCT build_number FROM core.made") == [(2,)]
    slow.close()


def test_the_second_of_two_loads_waits_and_then_takes_the_newest_build(
    link: Path, database: Database, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(build(link, 1))
    other = database.connect(f"{database.dsn}?application_name=other-loader")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext('drawdown '))", (0x44726177,))
    with pytest.raises(DrawdownError, match=r"another load is under way: server process \d+ of .*\(other-loader\)"):
        load(build(link, 2), waits=QUICK)

    def publish_meanwhile() -> None:
        build(link, 3)
        other.commit()

    threading.Timer(0.5, publish_meanwhile).start()
    assert load(link).build == f"{3:016x}"
    other.close()
