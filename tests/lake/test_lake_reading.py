"""Reading of builds: by Drawdown's sealed readers, by BI tools that open the file, and by other engines."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.cli.checksum import checksums
from pipeline.cli.query import show
from pipeline.lake.build_pointers import BuildPointer
from pipeline.lake.lake_reading import write_view_file
from pipeline.lake.lake_tables import Lake
from pipeline.schema.columns import Type
from pipeline.schema.render import column_comment, table_comment
from pipeline.schema.tables import Table, published
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home
from pipeline.warehouse.reader import open_reader, reading
from tests.lake.conftest import SECRET, Place, needs
from tests.lake.lake_commits import DAILY, FEBRUARY, JANUARY, TABLES, WHOLE, commit, simple
from tests.lake.lake_rows import VALUES, comparable, load, made_table, rows_of, within


@pytest.fixture(autouse=True)
def _iceberg() -> None:
    needs("pyiceberg")


def _view_file(lake: Lake, pointer: BuildPointer, place: Place, tables: tuple[Table, ...] = TABLES) -> Path:
    path = place.folder / pointer.build_id / "drawdown.duckdb"
    write_view_file(pointer, lake.store, tables, path)
    return path


@settings(max_examples=1, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_build_of_all_published_tables_has_their_checksums(place: Place, data: st.DataObject) -> None:
    unique = os.urandom(6).hex()
    lake, tables = Lake(f"{place.url}/{unique}", place.folder / unique), published()
    plain = place.folder / f"{unique}.duckdb"
    contents = {}
    with duckdb.connect(plain) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in tables:
            month = JANUARY if table.published_by else None
            rows = [_row(table, month, data) for _ in range(2)]
            contents[table.full_name, 0, month] = rows
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.layer}")
            columns = ", ".join(f"{each.name} {each.column.type}" for each in table.columns)
            connection.execute(f"CREATE TABLE {table.full_name} ({columns})")
            connection.execute(f"INSERT INTO {table.full_name} SELECT * FROM {load(connection, table, rows)}")
    path = _view_file(lake, commit(lake, contents, tables), place, tables)
    assert checksums(path) == checksums(plain)
    assert checksums(path)[-1].rows > 2 * len(tables) - 10


def _row(table: Table, month: date | None, data: st.DataObject) -> tuple[object, ...]:
    """A row with the least or a random value of each column's type; NULL in half of the columns where it may be."""
    values = []
    for number, column in enumerate(table.columns):
        kind = column.column.type
        if column.is_nullable and number % 2:
            values.append(None)
        elif month is not None and column.name == table.published_by:
            values.append(data.draw(within(kind, month)))
        else:
            values.append(data.draw(VALUES[kind]))
    return tuple(values)


def test_the_file_looks_like_a_published_build(place: Place) -> None:
    lake = Lake(place.url, place.folder / "state", tables=TABLES)
    path = _view_file(lake, commit(lake, simple(1)), place)
    with open_reader(path) as connection:
        assert connection.execute("SELECT current_database()").fetchall() == [("drawdown",)]
        for table in TABLES:
            named = f"schema_name = '{table.layer}' AND %s = '{table.name}'"
            [comment] = connection.execute(f"SELECT comment FROM duckdb_views() WHERE {named % 'view_name'}").fetchall()
            assert comment == (table_comment(table),)
            columns = f"SELECT column_name, data_type, comment FROM duckdb_columns() WHERE {named % 'table_name'} ORDER BY column_index"
            assert connection.execute(columns).fetchall() == [
                (column.name, str(column.column.type), column_comment(column, "VIEW")) for column in table.columns
            ]
        assert connection.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchall() == [
            (len(TABLES),)
        ]


REFUSED = [
    "COPY (SELECT 1) TO '{url}/tables/new.parquet'",
    "COPY (SELECT 1) TO '{file}'",
    "COPY (SELECT 1) TO '{folder}/new.csv'",
    "EXPORT DATABASE '{url}/export'",
    "ATTACH '{url}/new.duckdb' AS new",
    "ATTACH '{folder}/new.duckdb' AS new",
    "FROM read_text('/etc/hostname')",
    "FROM read_text('file:///etc/hostname')",
    "FROM read_text('{url}/current.json')",
    "FROM read_text('{url}/builds/*')",
    "FROM read_parquet('{url}/tables/core/daily/data/*')",
    "FROM glob('{url}/**')",
    "FROM read_text('{url}/../secret')",
    "CREATE TABLE core.new (x INTEGER)",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "LOAD httpfs",
    "INSTALL httpfs",
    "FROM duckdb_secrets()",
]


def _said(connection: duckdb.DuckDBPyConnection, statement: str) -> str:
    try:
        return str(connection.execute(statement).fetchall())
    except duckdb.Error as problem:
        return str(problem)


def test_a_reader_reads_the_build_and_nothing_else(place: Place) -> None:
    lake = Lake(place.url, place.folder / "state", tables=TABLES)
    pointer = commit(lake, simple(1))
    path = _view_file(lake, pointer, place)
    (place.folder / "secret").write_text("secret")
    file = lake.store.location(pointer.tables[DAILY.full_name].files[0].key)
    before = {each.key: lake.store.read(each.key) for each in lake.store.list()}
    with open_reader(path) as connection:
        for statement in REFUSED:
            text = statement.format(url=place.url, file=file, folder=place.folder)
            said = _said(connection, text)
            assert said == "[]" or "Error" in said or "requires extension" in said, text
            assert SECRET not in said
        assert connection.execute(f"SELECT count(*) FROM read_parquet('{file}')").fetchall() == [(1,)]
        assert connection.execute(f"SELECT count(*) FROM {DAILY.full_name}").fetchall() == [(4,)]
    assert {each.key: lake.store.read(each.key) for each in lake.store.list()} == before
    assert not (place.folder / "new.csv").exists()
    assert not (place.folder / "new.duckdb").exists()


def test_sql_of_the_command_line_reads_the_lake(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    lake = Lake(place.url, place.folder / "state", tables=TABLES)
    path = _view_file(lake, commit(lake, simple(1)), place)
    home = Home(place.folder / "home")
    home.published.mkdir(parents=True)
    home.current.symlink_to(path)
    show(home, f"SELECT account_id, sum(c0) AS total FROM {DAILY.full_name} GROUP BY ALL ORDER BY ALL", "csv")
    assert capsys.readouterr().out.splitlines() == [
        "account_id,total",
        "account-0,2.000000000",
        "account-1,2.000000000",
    ]
    with pytest.raises(DrawdownError, match="read-only"):
        show(home, "CREATE TABLE core.new (x INTEGER)", "csv")


def test_an_open_reader_keeps_its_build_while_others_are_made(place: Place) -> None:
    lake = Lake(place.url, place.folder / "state", tables=TABLES)
    with open_reader(_view_file(lake, commit(lake, simple(1)), place)) as connection:
        total = f"SELECT sum(c0) FROM {DAILY.full_name}"
        for number in (2, 3):
            commit(lake, simple(number))
            lake.remove_unneeded()
            assert connection.execute(total).fetchall() == [(4,)]


def test_a_build_that_is_gone_is_named(place: Place) -> None:
    lake = Lake(place.url, place.folder / "state", tables=TABLES)
    path = _view_file(lake, commit(lake, simple(1)), place)
    commit(lake, simple(2))
    lake.remove_unneeded(kept_builds=1)
    with pytest.raises(DrawdownError, match=r"does not have build .* any more"):
        open_reader(path)


def test_a_file_that_is_gone_is_an_error_and_no_missing_rows(tmp_path: Path) -> None:
    lake = Lake(f"file://{tmp_path}/storage", tmp_path / "state", tables=TABLES)
    pointer = commit(lake, simple(1))
    path = _view_file(lake, pointer, Place(lake.store.url, tmp_path))
    lake.store.delete(pointer.tables[DAILY.full_name].files[-1].key)
    with pytest.raises(DrawdownError, match="cannot be read"), reading(path) as connection:
        connection.execute(f"SELECT sum(c0) FROM {DAILY.full_name}").fetchall()


def test_a_reader_of_s3_without_keys_names_the_variable(s3_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(s3_place.url, s3_place.folder / "state", tables=TABLES)
    path = _view_file(lake, commit(lake, simple(1)), s3_place)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UsageError, match="AWS_SECRET_ACCESS_KEY is not set"):
        open_reader(path)


def test_a_damaged_note_of_the_storage_is_named(tmp_path: Path) -> None:
    lake = Lake(f"file://{tmp_path}/storage", tmp_path / "state", tables=TABLES)
    path = _view_file(lake, commit(lake, simple(1)), Place(lake.store.url, tmp_path))
    path.with_name("lake.json").write_text("{")
    with pytest.raises(DrawdownError, match=r"lake.json cannot be read"):
        open_reader(path)


# -- other readers ------------------------------------------------------------------------------------------------

EVERY = (made_table("daily", by=Type.DATE), made_table("moments", by=Type.INSTANT), made_table("whole"))


def _extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension of DuckDB from its package, without the network."""
    needs(f"duckdb_extension_{name}")
    folder = Path(str(importlib.import_module(f"duckdb_extension_{name}").__file__)).parent
    path = folder / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not path.exists():
        pytest.skip(f"{path.name} is of another version of DuckDB than {duckdb.__version__}")
    connection.execute(f"LOAD '{path}'")


def _with_s3(connection: duckdb.DuckDBPyConnection, place: Place) -> None:
    if place.url.startswith("s3:"):
        _extension(connection, "httpfs")
        endpoint = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID 'x', SECRET 'y', REGION 'eu-central-1', ENDPOINT '{endpoint}', USE_SSL false, URL_STYLE 'path')"
        )


def _duckdb_iceberg(location: str, place: Place) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _with_s3(connection, place)
        for name in ("avro", "iceberg"):
            _extension(connection, name)
        return connection.execute(f"FROM iceberg_scan('{location}')").fetchall()


def _polars_iceberg(location: str, place: Place) -> list[tuple[object, ...]]:
    os.environ["POLARS_ICEBERG_PLANNER"] = "pyiceberg"  # its own planner is another package
    options = {}
    if place.url.startswith("s3:"):
        options = {"s3.endpoint": os.environ["AWS_ENDPOINT_URL"], "s3.region": "eu-central-1"}
    return pl.scan_iceberg(location, storage_options=options).collect().rows()


@pytest.mark.parametrize("reader", [_duckdb_iceberg, _polars_iceberg])
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_other_engines_read_the_same_rows(
    reader: Callable[[str, Place], list[tuple[object, ...]]], place: Place, data: st.DataObject
) -> None:
    unique = os.urandom(6).hex()
    lake = Lake(f"{place.url}/{unique}", place.folder / unique, tables=EVERY)
    keys = [
        (table.full_name, shard, month)
        for table in EVERY
        for shard in (0, 1)
        for month in ([JANUARY, FEBRUARY] if table.published_by else [None])
    ]
    by_name = {table.full_name: table for table in EVERY}
    given = {key: data.draw(rows_of(by_name[key[0]], key[2])) for key in keys}
    commit(lake, given, EVERY)
    again = {key: data.draw(rows_of(by_name[key[0]], key[2])) for key in keys[::3]}
    pointer = commit(lake, again, EVERY)
    for table in EVERY:
        rows = [(*row, key[1]) for key, found in (given | again).items() if key[0] == table.full_name for row in found]
        location = pointer.tables[table.full_name].metadata_location
        if pointer.tables[table.full_name].snapshot_id is None:
            assert rows == []
            continue
        assert comparable(reader(location, place)) == comparable(rows)


def test_a_client_of_duckdb_opens_the_file(place: Place) -> None:
    lake = Lake(place.url, place.folder / "state", tables=TABLES)
    path = _view_file(lake, commit(lake, simple(1)), place)
    with duckdb.connect(path, read_only=True) as connection:
        _with_s3(connection, place)
        assert connection.execute(f"SELECT count(*), sum(c0) FROM {DAILY.full_name}").fetchall() == [(4, 4)]
        assert connection.execute(f"SELECT account_id FROM {WHOLE.full_name} ORDER BY ALL").fetchall() == [
            ("account-0",),
            ("account-1",),
        ]
