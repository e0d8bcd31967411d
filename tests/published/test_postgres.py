"""The copy of a build in PostgreSQL: exact, whole, read-only for readers, and never torn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from pipeline.published.postgres import MARK, Waits, load_postgres
from pipeline.published.publishing_assets import postgres
from pipeline.settings.publish_targets import PostgresTarget
from pipeline.support.errors import DrawdownError, UsageError
from tests.bench import Bench
from tests.canary import found_in, postgres_contents
from tests.published.conftest import DEAD_DSN, DSN_VARIABLE, NOW, PASSWORD, Copy, Database, World, load_by_asset

VARIABLE = "TEST_POSTGRES_DSN"
QUICK = Waits(lock_seconds=0.3, swap_seconds=1.0)


@pytest.fixture
def load(database: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Load a build into the test's database."""

    def load(current: Path, dsn: str | None = None, waits: Waits | None = None, **settings: Any) -> Any:
        monkeypatch.setenv(VARIABLE, dsn or database.dsn)
        target = PostgresTarget(source="accounts.toml", dsn_variable=VARIABLE, **settings)
        return load_postgres(current, target, waits)

    return load


def build(link: Path, number: int, *statements: str, rows: int = 3) -> Path:
    """A made-up build of two tables that both hold its number."""
    path = link.with_name(f"{number:016x}.duckdb")
    with duckdb.connect(path) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for schema in ("core", "marts"):
            connection.execute(f"CREATE SCHEMA {schema}")
            connection.execute(
                f"CREATE TABLE {schema}.made AS SELECT {number}::BIGINT AS build_number, range AS row_number FROM range({rows})"
            )
        for statement in statements:
            connection.execute(statement)
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    return link


# -- what arrives -------------------------------------------------------------------------------------------------


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
    """The rows as psycopg2 tells them, whose time zones are others for the same instants."""
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


def test_a_type_without_a_counterpart_is_told_and_nothing_changes(
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


# -- who may read, and what is not ours ---------------------------------------------------------------------------


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


def test_the_readers_role_is_made_where_it_is_not_there(
    link: Path, database: Database, load: Callable[..., Any]
) -> None:
    role = database.own("readers")
    for number in (1, 2):
        load(build(link, number), reader_role=role)
    assert database.rows("SELECT rolcanlogin, rolinherit FROM pg_roles WHERE rolname = %s", role) == [(False, True)]
    assert database.rows("SELECT has_table_privilege(%s, 'core.made', 'SELECT')", role) == [(True,)]
    assert database.rows("SELECT has_table_privilege(%s, 'core.made', 'INSERT, UPDATE, DELETE')", role) == [(False,)]


def test_a_role_that_may_not_make_the_readers_says_what_to_run(
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


def test_a_schema_of_somebody_else_is_never_touched(link: Path, database: Database, load: Callable[..., Any]) -> None:
    database.rows("CREATE SCHEMA core")
    database.rows("CREATE TABLE core.made AS SELECT 'mine' AS text")

    with pytest.raises(DrawdownError, match=r"a schema core that is not Drawdown's.*schema_prefix"):
        load(build(link, 1))
    load(link, schema_prefix="drawdown_")

    assert database.rows("SELECT * FROM core.made") == [("mine",)]
    assert database.rows("SELECT DISTINCT build_number FROM drawdown_marts.made") == [(1,)]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE VIEW public.mine AS SELECT * FROM core.made", "view public.mine depends on table core.made"),
        ("CREATE VIEW marts.mine AS SELECT 1 AS one", "view marts.mine depends on schema marts"),
    ],
)
def test_what_others_built_on_the_tables_stops_the_swap_and_is_named(
    link: Path, database: Database, load: Callable[..., Any], statement: str, words: str
) -> None:
    load(build(link, 1))
    database.rows(statement)

    with pytest.raises(DrawdownError, match=f"{words}.*drop that first"):
        load(build(link, 2))
    assert database.rows("SELECT DISTINCT build_number FROM core.made") == [(1,)]


# -- readers and other loads --------------------------------------------------------------------------------------


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
        # Like a tool that stays connected: its plans outlive the tables that they were made for.
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
    # A swap takes milliseconds, and an attempt gives way after 0.6 s.
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
        # Neither it nor anybody else is held up, or sees anything else than before.
        for table in ("core.made", "marts.made"):
            cursor.execute(f"SELECT DISTINCT build_number FROM {table}")
            assert cursor.fetchall() == [(1,)]
        assert database.rows("SELECT DISTINCT build_number FROM core.made") == [(1,)]
    threading.Timer(0.8, slow.commit).start()

    load(link)

    assert database.rows("SELECT DISTINCT build_number FROM core.made") == [(2,)]
    slow.close()


def test_the_second_of_two_loads_waits_and_then_takes_what_is_newest(
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


# -- as a part of the run -----------------------------------------------------------------------------------------


def test_a_postgresql_that_is_down_costs_one_line_and_nothing_else(world: World) -> None:
    home = world.bench.home
    (line,) = [line for line in world.outcome.problems if "postgres" in line]

    assert line.startswith(f"{world.bench.accounts}: publish.postgres: dsn_env: {DSN_VARIABLE}: ")
    assert "127.0.0.1" in line
    assert "check its host, port and database" in line
    assert not [secret for secret in (PASSWORD, DEAD_DSN) if secret in line]
    assert world.bench.rows("SELECT count(*) FROM marts.account_status")[0][0] > 3
    assert (home.published / "focus").is_dir()
    assert (home.published / "metrics" / "drawdown.prom").is_file()
    assert world.bench.leaks() == []


def test_the_asset_loads_what_is_published_and_tells_no_secret(world: World, copy: Copy) -> None:
    (check,) = copy.result.get_asset_check_evaluations()
    query = "SELECT * FROM marts.build_info ORDER BY item"

    assert check.passed
    assert copy.database.rows(query) == world.bench.rows(query)
    (done,) = copy.result.asset_materializations_for_node("published__postgres")
    assert done.metadata["build"].value == world.bench.home.current.resolve().parent.name
    assert done.metadata["table_rows"].value["marts.build_info"] == len(world.bench.rows(query))
    told = "".join(str(event) for event in copy.result.all_events)
    assert "build" in told
    with copy.database.connect() as connection:
        kept = list(postgres_contents(connection))
    connection.close()
    assert "PostgreSQL: marts.account_status" in found_in(kept, ["vpsbg-main"])
    assert found_in([*kept, ("an event", told.encode())], world.bench.keys.values()) == []


def test_a_variable_that_is_not_set_is_told_before_any_request(world: World, tmp_path: Path) -> None:
    keys = {name: value for name, value in world.bench.keys.items() if name != DSN_VARIABLE}
    bench = Bench(tmp_path, world.bench.accounts_toml, keys)

    with pytest.raises(UsageError, match=f"dsn_env: the environment variable {DSN_VARIABLE} is not set"):
        bench.run(NOW)
    assert not bench.home.path.exists()


@pytest.mark.parametrize("accounts", ["without", "absent"])
def test_where_no_postgresql_is_named_nothing_is_done_and_that_is_said(world: World, accounts: str) -> None:
    if accounts == "absent":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DRAWDOWN_ACCOUNTS", "/nowhere/accounts.toml")
            result = dg.materialize([postgres], resources={"home": world.bench.home})
    else:
        result = load_by_asset(world, world.bench.accounts_toml.partition("\n")[2], DEAD_DSN)
    (check,) = result.get_asset_check_evaluations()

    assert check.passed
    assert check.description == "accounts.toml names no publish.postgres: nothing to do."


# -- what goes wrong ----------------------------------------------------------------------------------------------

CANARY = "canary-pg%2F7f3b%40Zq"


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        (f"postgresql://postgres:{CANARY}@127.0.0.1:1/x", "check its host, port and database"),
        (f"postgresql://nobody-here:{CANARY}@127.0.0.1:5432/postgres", "check its user and password"),
        (f"postgresql://postgres:{CANARY}@127.0.0.1:5432/not_there", "check its host, port and database"),
        (f"postgresql://postgres:{CANARY}@127.0.0.1:port/x", "its value is not shown"),
        ("postgresql://postgres:once@canary-pg@127.0.0.1:5432/x", "@ is written %40"),
        ("postgresql://postgres:canary-pg/7f3b@127.0.0.1:5432/x", "/ is %2F"),
        ("postgresql://postgres:12/canary-pg@127.0.0.1:5432/x", "/ is %2F"),
        (f"postgres {CANARY}", "its value is not shown"),
        (f"host=127.0.0.1 password={CANARY} sslmode=odd", "check its host, port and database"),
    ],
)
def test_what_cannot_be_connected_to_is_one_line_without_the_password(
    link: Path, load: Callable[..., Any], dsn: str, words: str
) -> None:
    with pytest.raises(DrawdownError) as caught:
        load(build(link, 1), dsn=dsn)

    text = str(caught.value)
    assert text.startswith(f"accounts.toml: publish.postgres: dsn_env: {VARIABLE}: ")
    assert words in text
    assert text.endswith("PostgreSQL keeps the build that it has")
    assert len(text.splitlines()) == 1
    assert not [form for form in (CANARY, "canary-pg", "7f3b") if form in text]
    assert caught.value.__cause__ is None
    # What the driver said is not printed along.
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_server_that_dies_during_the_load_leaves_the_old_build(
    link: Path, database: Database, load: Callable[..., Any]
) -> None:
    load(build(link, 1))
    build(link, 2, rows=1_000_000)
    administration = database.connect(database.dsn.replace(database.name, "postgres"))
    administration.autocommit = True
    ending = threading.Event()

    def kill() -> None:
        with administration.cursor() as cursor:
            while not ending.wait(0.01):
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'COPY%%'",
                    (database.name,),
                )

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(DrawdownError, match="PostgreSQL keeps the build that it has"):
        load(link)
    ending.set()
    thread.join()
    administration.close()
    assert database.rows("SELECT DISTINCT build_number FROM core.made") == [(1,)]
    assert load(link).table_rows["core.made"] == 1_000_000
