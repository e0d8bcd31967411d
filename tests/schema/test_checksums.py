"""A table's checksum depends on its contents, and not on how it is stored or read."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.cli.checksum import ALL_TABLES, Checksum, checksums
from pipeline.schema.checksums import PER_BUILD_COLUMNS, PER_BUILD_TABLES
from pipeline.schema.columns import COLUMNS, Type
from pipeline.schema.tables import ALL
from pipeline.support.errors import DrawdownError

COLUMNS_DDL = (
    "word VARCHAR, amount DECIMAL(38,9), number BIGINT, ratio DOUBLE, flag BOOLEAN, day DATE, instant TIMESTAMPTZ"
)
NOON = datetime(2026, 3, 18, 12, tzinfo=UTC)
ROWS: list[tuple[Any, ...]] = [
    ("one", Decimal("12.5"), 7, 0.5, True, date(2026, 3, 18), NOON),
    ("", Decimal("-0.000000001"), -1, 1e300, False, date(1969, 12, 31), datetime(1969, 12, 31, tzinfo=UTC)),
    (None, None, None, None, None, None, None),
    ("Größe; 'é'\n|", Decimal("12345678901234567890123456789.123456789"), 0, 0.1, True, date(2026, 3, 18), NOON),
]
KNOWN = "753cb84967e72700015825c7eaa2713e"


def _file(
    path: Path, rows: Sequence[Sequence[Any]], *, ddl: str = COLUMNS_DDL, name: str = "t", setup: str = ""
) -> Path:
    with duckdb.connect(path) as connection:
        connection.execute(setup)
        connection.execute(f"CREATE TABLE {name} ({ddl})")
        if rows:
            connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' for _ in rows[0])})", rows)
    return path


@pytest.fixture
def checksum(tmp_path: Path) -> Any:
    count = iter(range(1000))

    def checksum(rows: Sequence[Sequence[Any]], **how: Any) -> str:
        return checksums(_file(tmp_path / f"{next(count)}.duckdb", rows, **how))[0].checksum

    return checksum


def _by_hand(rows: Sequence[Sequence[Any]]) -> str:
    """The same checksum, without DuckDB."""

    def text(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, datetime):
            return str((value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
        if isinstance(value, float):
            return f"{value:.17g}"
        if isinstance(value, Decimal):
            shown = f"{value:f}"
            return shown.rstrip("0").rstrip(".") if "." in shown else shown
        return str(value)

    names = [each.split()[0] for each in COLUMNS_DDL.split(", ")]
    sums = [0, 0, 0, 0]
    for row in rows:
        named = dict(zip(names, row, strict=True))
        fields = [
            "-" if value is None else f"{len(text(value).encode())}:{text(value)}" for _, value in sorted(named.items())
        ]
        digest = hashlib.sha256("".join(fields).encode()).hexdigest()
        sums = [each + int(digest[16 * lane : 16 * lane + 16], 16) for lane, each in enumerate(sums)]
    parts = [*sorted(names), str(len(rows)), *map(str, sums)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def test_a_checksum_follows_its_definition_in_every_version_of_duckdb(checksum: Any) -> None:
    assert checksum(ROWS) == _by_hand(ROWS) == KNOWN


def test_random_rows_agree_with_the_definition(checksum: Any) -> None:
    draw = random.Random(5)  # noqa: S311 - repeatable, not secret

    def maybe(value: Any) -> Any:
        return None if draw.random() < 0.2 else value

    rows = [
        (
            maybe("".join(draw.choices("ab:-0é\x00|", k=draw.randint(0, 5)))),
            maybe(Decimal(draw.randint(-(10**37), 10**37)).scaleb(-9)),
            maybe(draw.randint(-(2**63), 2**63 - 1)),
            maybe(draw.choice([draw.uniform(-1, 1), draw.uniform(0, 1) * 10.0 ** draw.randint(-300, 300)])),
            maybe(draw.random() < 0.5),
            maybe(date(1900, 1, 1) + timedelta(days=draw.randint(0, 80_000))),
            maybe(NOON + timedelta(microseconds=draw.randint(-5 * 10**16, 10**16))),
        )
        for _ in range(300)
    ]
    assert checksum(rows) == _by_hand(rows)


@pytest.mark.parametrize(
    "setup",
    ["SET threads = 1", "SET threads = 8", "SET TimeZone = 'Asia/Kolkata'", "SET preserve_insertion_order = false"],
)
def test_order_threads_and_time_zone_do_not_matter(checksum: Any, setup: str) -> None:
    assert checksum(ROWS[::-1], setup=setup) == KNOWN


def test_storage_row_groups_and_the_order_of_columns_do_not_matter(tmp_path: Path) -> None:
    with duckdb.connect(_file(tmp_path / "plain.duckdb", ROWS)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"ATTACH '{tmp_path}/old.duckdb' AS old (STORAGE_VERSION 'v1.0.0', BLOCK_SIZE 16384)")
        connection.execute("CREATE TABLE old.t AS SELECT instant, day, flag, ratio, number, amount, word FROM t")
        connection.execute("CREATE TABLE many AS SELECT range AS number FROM range(300000)")
        connection.execute("CREATE TABLE old.many AS SELECT number FROM many ORDER BY hash(number)")
    plain, old = checksums(tmp_path / "plain.duckdb"), checksums(tmp_path / "old.duckdb")
    assert plain == old
    assert [each.rows for each in plain] == [300_000, 4, 300_004]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param([("",)], [(None,)], id="absent is not empty"),
        pytest.param([("-",)], [(None,)], id="absent is no mark of its own"),
        pytest.param([("a",), ("a",)], [("a",)], id="a row that occurs twice"),
        pytest.param([("a",), ("a",)], [("b",), ("b",)], id="pairs do not cancel each other"),
        pytest.param([("a",), ("b",)], [("a",), ("c",)], id="another row"),
        pytest.param([], [(None,)], id="no row is not a row of nothing"),
        pytest.param([("1:a",)], [("a",)], id="a length in the text"),
        pytest.param([("a ",)], [("a",)], id="a blank"),
    ],
)
def test_different_contents_have_different_checksums(checksum: Any, one: list[Any], other: list[Any]) -> None:
    assert checksum(one, ddl="word VARCHAR") != checksum(other, ddl="word VARCHAR")


def test_values_do_not_flow_from_one_column_into_the_next(checksum: Any) -> None:
    ddl = "a VARCHAR, b VARCHAR"
    assert len({checksum([row], ddl=ddl) for row in [("ab", "c"), ("a", "bc"), ("abc", ""), ("abc", None)]}) == 4


def test_money_counts_to_its_last_digit_at_any_scale(checksum: Any) -> None:
    exact = "12345678901234567890123456789.123456789"
    near = "12345678901234567890123456789.123456788"
    assert checksum([(Decimal(exact),)], ddl="a DECIMAL(38,9)") != checksum([(Decimal(near),)], ddl="a DECIMAL(38,9)")
    assert checksum([(Decimal("1.5"),)], ddl="a DECIMAL(38,9)") == checksum([(Decimal("1.50"),)], ddl="a DECIMAL(9,2)")
    assert checksum([(Decimal(100),)], ddl="a DECIMAL(9,0)") == checksum([(Decimal(100),)], ddl="a DECIMAL(38,9)")
    assert checksum([(Decimal(100),)], ddl="a DECIMAL(9,0)") != checksum([(Decimal(1),)], ddl="a DECIMAL(9,0)")


def test_an_instant_is_the_same_wherever_it_was_written_down(checksum: Any) -> None:
    ddl = "a TIMESTAMPTZ"
    assert checksum([("2026-03-18 12:00:00+00",)], ddl=ddl) == checksum([("2026-03-18 14:00:00+02",)], ddl=ddl)
    assert checksum([("infinity",)], ddl=ddl) != checksum([("-infinity",)], ddl=ddl) != checksum([(None,)], ddl=ddl)


def test_a_floats_last_bit_counts_and_a_zeros_sign_does_not(checksum: Any) -> None:
    ddl = "a DOUBLE"
    assert checksum([(0.1,)], ddl=ddl) != checksum([(0.1 + 2**-56,)], ddl=ddl)
    assert checksum([(0.0,)], ddl=ddl) == checksum([(-0.0,)], ddl=ddl)


def test_a_column_counts_by_its_name(checksum: Any) -> None:
    assert checksum([], ddl="a BIGINT") != checksum([], ddl="b BIGINT")


def test_values_of_the_build_are_left_out(tmp_path: Path) -> None:
    for number, at in enumerate(("2026-01-01", "2026-02-02")):
        path = _file(tmp_path / f"{number}.duckdb", [("a", at)], ddl="word VARCHAR, loaded_at_utc TIMESTAMPTZ")
        with duckdb.connect(path) as connection:
            connection.execute("CREATE SCHEMA marts")
            connection.execute(f"CREATE TABLE marts.build_info AS SELECT '{at}' AS value")
    assert checksums(tmp_path / "0.duckdb") == checksums(tmp_path / "1.duckdb")
    assert set(PER_BUILD_COLUMNS) <= set(COLUMNS)
    assert set(PER_BUILD_TABLES) <= set(ALL)


def test_every_type_that_our_tables_use_has_a_checksum(checksum: Any) -> None:
    for each in Type:
        assert checksum([(None,)], ddl=f"a {each}")


def test_a_type_without_one_is_named(tmp_path: Path) -> None:
    path = _file(tmp_path / "odd.duckdb", [([1],)], ddl="list INTEGER[]")
    with pytest.raises(DrawdownError, match=r"odd\.duckdb: main\.t: column list is of type INTEGER\[\]"):
        checksums(path)


def test_the_last_line_is_over_all_tables(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        found.append(checksums(_file(tmp_path / f"{name}.duckdb", ROWS, name=name)))
        assert [each.table for each in found[-1]] == [f"main.{name}", ALL_TABLES]
    assert isinstance(found[0][0], Checksum)
    assert found[0][0].checksum == found[1][0].checksum == KNOWN
    assert found[0][-1].checksum != found[1][-1].checksum
