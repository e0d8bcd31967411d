"""The copy of a build in PostgreSQL: exact, complete, read-only for readers, and never torn."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.published.postgres import MARK
from pipeline.support.errors import DrawdownError
from tests.bench import Bench
from tests.published.builds import build
from tests.published.conftest import Copy, Database


def test_every_published_table_arrives_with_its_rows_types_and_words(published: Bench, copy: Copy) -> None:
    database = copy.database
    wanted = published.rows(
        "SELECT schema_name || '.' || table_name, column_name, data_type, NOT is_nullable, comment FROM duckdb_columns() "
        "WHERE database_name = current_database() ORDER BY schema_name, table_name, column_index"
    )
    types = {
        "VARCHAR": "text", "BOOLEAN": "boolean", "BIGINT": "bigint", "DATE": "date", "DOUBLE": "double precision",
        "TIMESTAMP WITH TIME ZONE": "timestamp with time zone", "DECIMAL(27,9)": "numeric(27,9)",
        "DECIMAL(18,9)": "numeric(18,9)",
    }  # fmt: skip
    there = database.rows(
        """
        SELECT nspname || '.' || relname, attname, format_type(atttypid, atttypmod), attnotnull,
            col_description(attrelid, attnum)
        FROM pg_attribute INNER JOIN pg_class ON attrelid = pg_class.oid
        INNER JOIN pg_namespace ON relnamespace = pg_namespace.oid
        WHERE relkind = 'r' AND attnum > 0 AND obj_description(pg_namespace.oid, 'pg_namespace') LIKE %s
        """,
        f"{MARK}%",
    )
    assert len(wanted) > 400
    assert {(name, column, types[kind], is_key, words) for name, column, kind, is_key, words in wanted} == set(there)

    tables = published.tables()
    assert {name for name, *_ in there} == {*tables, "marts.build_info"}
    for name, rows in tables.items():
        assert sorted(database.rows(f"SELECT * FROM {name}"), key=repr) == _by_driver(rows), name
    comments = dict(database.rows("SELECT relname, obj_description(oid, 'pg_class') FROM pg_class WHERE relkind = 'r'"))
    assert comments["account_status"].endswith("Key: account_id.")
    keys = database.rows("SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'p'")
    assert ("marts.account_status",) in keys


def _by_driver(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows as psycopg2 returns them, with other time zones for the same instants."""
    return sorted(
        (tuple(each.astimezone(UTC) if isinstance(each, datetime) else each for each in row) for row in rows), key=repr
    )


def test_sums_of_money_are_equal_to_the_last_digit(published: Bench, copy: Copy) -> None:
    for query in (
        "SELECT account_id, unit_code, sum(spend_amount), count(*) FROM core.spend_daily GROUP BY 1, 2 ORDER BY 1, 2",
        "SELECT account_id, sum(unexplained_amount), sum(closing_amount - opening_amount) FROM core.balance_bridge "
        "GROUP BY 1 ORDER BY 1",
        'SELECT sum("BilledCost"), sum("EffectiveCost") FROM marts.focus_cost_and_usage',
    ):
        assert copy.database.rows(query) == published.rows(query)


def test_values_that_are_hard_to_carry_arrive_as_they_are(
    link: Path, database: Database, load: Callable[..., Any]
) -> None:
    build(
        link, 1,
        """CREATE TABLE core.hard (key_number BIGINT NOT NULL, text VARCHAR, amount DECIMAL(38,9), ratio DOUBLE,
            instant TIMESTAMPTZ, day DATE, flag BOOLEAN, "Camel x""y" VARCHAR, names VARCHAR[], amounts DECIMAL(18,9)[],
            tags MAP(VARCHAR, VARCHAR), nested STRUCT(a INTEGER, b VARCHAR[]), lists INTEGER[][], kind ENUM('a', 'b'))""",
        """INSERT INTO core.hard VALUES
            (1, '', -99999999999999999999999999999.999999999, 1e-300, '2026-01-01 00:00:00.000001Z', '1999-12-31', true,
             'x', ['', 'a"b', 'c\\d', NULL, '{,}'], [1.5, -0.000000001], MAP {'k"': 'v'}, {'a': 1, 'b': ['z']}, [[1], [2, 3]], 'b'),
            (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
            (3, E'\\\\.\\n,"é\t\\\\N' || chr(0) || '!', 0.000000001, 'NaN', '2026-06-30 23:59:59.999999+02', '2026-02-28', false,
             'NULL', [], [], MAP {}, {'a': NULL, 'b': NULL}, [], 'a')""",
        "COMMENT ON TABLE core.hard IS 'It''s 100 % \"hard\".'",
    )  # fmt: skip

    load(link)

    rows = database.rows(
        'SELECT text, amount::text, ratio::text, instant::text, day::text, flag, "Camel x""y", names, amounts::text, tags, '
        "nested, lists, kind FROM core.hard ORDER BY key_number"
    )
    assert rows == [
        ("", "-99999999999999999999999999999.999999999", "1e-300", "2026-01-01 00:00:00.000001+00", "1999-12-31", True, "x",
         ["", 'a"b', "c\\d", None, "{,}"], "{1.500000000,-0.000000001}", {'k"': "v"}, {"a": 1, "b": ["z"]}, [[1], [2, 3]], "b"),
        (None,) * 13,
        ('\\.\n,"é\t\\N\ufffd!', "0.000000001", "NaN", "2026-06-30 21:59:59.999999+00", "2026-02-28", False, "NULL",
         [], "{}", {}, {"a": None, "b": None}, [], "a"),
    ]  # fmt: skip
    assert database.rows("SELECT obj_description('core.hard'::regclass)") == [('It\'s 100 % "hard".',)]


def test_a_type_without_a_counterpart_is_reported_and_nothing_changes(
    link: Path, database: Database, load: Callable[..., Any]
) -> None:
    load(build(link, 1))
    with pytest.raises(DrawdownError, match=r"marts\.odd: span: DuckDB's type INTERVAL"):
        load(build(link, 2, "CREATE TABLE marts.odd AS SELECT INTERVAL 1 DAY AS span"))
    assert database.rows("SELECT DISTINCT build_number FROM core.made") == [(1,)]


def test_a_table_that_is_no_longer_published_is_gone_after_the_next_load(
    link: Path, database: Database, load: Callable[..., Any]
) -> None:
    load(build(link, 1, "CREATE TABLE core.old AS SELECT 1 AS one"))
    load(build(link, 2))

    assert database.rows("SELECT to_regclass('core.old')") == [(None,)]
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1"
    assert database.rows(schemas) == [("core",), ("information_schema",), ("marts",), ("public",)]


def test_readers_read_everything_and_write_nothing(published: Bench, copy: Copy) -> None:
    import psycopg2

    database = copy.database
    analyst = database.role("analyst", f"LOGIN IN ROLE {copy.reader_role}")
    stranger = database.role("stranger", "LOGIN")

    for name, rows in published.tables().items():
        assert database.rows(f"SELECT count(*) FROM {name}", dsn=database.dsn_of(analyst)) == [(len(rows),)]
    for statement in (
        "DELETE FROM marts.account_status",
        "UPDATE marts.account_status SET vendor = 'x'",
        "INSERT INTO marts.build_info VALUES ('x', 'y')",
        "TRUNCATE core.spend_daily",
        "DROP TABLE core.spend_daily",
        "CREATE TABLE marts.mine (one integer)",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            database.rows(statement, dsn=database.dsn_of(analyst))
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.rows("SELECT * FROM marts.build_info", dsn=database.dsn_of(stranger))


def test_a_missing_readers_role_is_created(link: Path, database: Database, load: Callable[..., Any]) -> None:
    role = database.own("readers")
    for number in (1, 2):
        load(build(link, number), reader_role=role)
    assert database.rows("SELECT rolcanlogin, rolinherit FROM pg_roles WHERE rolname = %s", role) == [(False, True)]
    assert database.rows("SELECT has_table_privilege(%s, 'core.made', 'SELECT')", role) == [(True,)]
    assert database.rows("SELECT has_table_privilege(%s, 'core.made', 'INSERT, UPDATE, DELETE')", role) == [(False,)]


def test_a_role_that_may_not_create_the_readers_role_names_the_command(
    link: Path, database: Database, load: Callable[..., Any]
) -> None:
    owner = database.role("owner", "LOGIN")
    with pytest.raises(DrawdownError, match="the role needs CREATE on the database"):
        load(build(link, 1), dsn=database.dsn_of(owner))
    database.rows(f"GRANT CREATE ON DATABASE {database.name} TO {owner}")
    role = database.own("readers")
    with pytest.raises(DrawdownError, match=f"run CREATE ROLE {role} NOLOGIN"):
        load(link, dsn=database.dsn_of(owner), reader_role=role)
    assert database.rows("SELECT to_regnamespace('core')") == [(None,)]

    load(link, dsn=database.dsn_of(owner))
    assert load(build(link, 2), dsn=database.dsn_of(owner)).build == f"{2:016x}"


def test_a_foreign_schema_is_never_changed(link: Path, database: Database, load: Callable[..., Any]) -> None:
    database.rows("CREATE SCHEMA core")
    database.rows("CREATE TABLE core.made AS SELECT 'mine' AS text")

    with pytest.raises(DrawdownError, match=r"a schema core that is not Drawdown's.*schema_prefix"):
        load(build(link, 1))
    load(link, schema_prefix="drawdown_")

    assert database.rows("SELECT * FROM core.made") == [("mine",)]
    assert database.rows("SELECT DISTINCT build_number FROM drawdown_marts.made") == [(1,)]
