"""The catalogue of a real DuckDB: the writer's warehouse, and a published build."""

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pytest

from pipeline.models import discovery
from pipeline.models.lineage import direct_sources, record_lineage, vendor_fields
from pipeline.published.snapshot import publish
from pipeline.schema.columns import Type
from pipeline.schema.render import column_comment, duplicate_keys, table_comment
from pipeline.schema.tables import Table, published
from pipeline.warehouse.layout import LAYERS_IN_DUCKDB, layout
from pipeline.warehouse.reader import open_reader
from tests.staging.landed import NewWorkshop, Workshop


@dataclass(frozen=True)
class Databases:
    """A warehouse with every model computed from one run, and the build that was published from it."""

    workshop: Workshop
    build: duckdb.DuckDBPyConnection

    def both(self) -> dict[str, duckdb.DuckDBPyConnection]:
        return {"warehouse": self.workshop.connection, "build": self.build}


@pytest.fixture(scope="module")
def databases(new_workshop: NewWorkshop) -> Iterator[Databases]:
    with new_workshop() as workshop:
        workshop.landing.run({"main": {}})
        workshop.landing.answer("vpsbg", "balance", {"balance": 10, "currency": "EUR"})
        workshop.load()
        with workshop.warehouse.transaction() as connection:
            record_lineage(connection)
        workshop.recompute("core", "marts")
        publish(workshop.connection, workshop.home, published())
        with open_reader(workshop.home.current) as build:
            yield Databases(workshop, build)


def _defined() -> list[Table]:
    return layout()[0]


def test_every_table_and_column_carries_its_comment(databases: Databases) -> None:
    for place, connection in databases.both().items():
        tables = _defined() if place == "warehouse" else published()
        found_tables = dict(
            connection.sql("SELECT schema_name || '.' || table_name, comment FROM duckdb_tables()").fetchall()
        )
        found_columns = {
            (table, column): comment
            for table, column, comment in connection.sql(
                "SELECT schema_name || '.' || table_name, column_name, comment FROM duckdb_columns()"
            ).fetchall()
        }
        for made in tables:
            assert found_tables[made.full_name] == table_comment(made), place
            for column in made.columns:
                assert found_columns[made.full_name, column.name] == column_comment(column), place


def test_every_column_has_the_type_and_nullability_of_its_definition(databases: Databases) -> None:
    for place, connection in databases.both().items():
        for made in _defined() if place == "warehouse" else published():
            described = {row[0]: (row[1], row[2]) for row in connection.sql(f"DESCRIBE {made.full_name}").fetchall()}
            assert described == {
                column.name: (str(column.column.type), "YES" if column.is_nullable else "NO") for column in made.columns
            }, f"{place}: {made.full_name}"


def test_no_amount_is_a_float_in_any_schema(databases: Databases) -> None:
    query = (
        "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE column_name LIKE '%\\_amount' ESCAPE '\\' AND NOT internal"
    )
    for connection in databases.both().values():
        amounts = connection.sql(query).fetchall()
        assert len(amounts) > 10
        assert {row[3] for row in amounts} == {str(Type.MONEY)}
    # Tables and views alike: the warehouse's views are among duckdb_columns().
    views = databases.workshop.rows(
        "SELECT DISTINCT table_name FROM duckdb_columns() WHERE table_name = 'ledger_entries'"
    )
    assert views


def test_the_schemas_are_the_layers_and_the_build_has_the_published_tables(databases: Databases) -> None:
    found = {name for (name,) in databases.workshop.rows("SELECT DISTINCT schema_name FROM duckdb_tables()")}
    assert found - {"main"} <= set(LAYERS_IN_DUCKDB)
    names = {
        name
        for (name,) in databases.build.sql("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall()
    }
    assert names == {made.full_name for made in published()}
    assert not databases.build.sql("SELECT 1 FROM duckdb_views() WHERE NOT internal").fetchall()


def test_the_writer_has_exactly_the_defined_tables(databases: Databases) -> None:
    found = {
        name
        for (name,) in databases.workshop.rows(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE NOT temporary"
        )
    }
    assert found == {made.full_name for made in _defined()}


def test_the_data_dictionary_is_the_definitions(databases: Databases) -> None:
    wanted = {
        (
            made.full_name,
            column.name,
            str(column.column.type),
            column.column.unit,
            column.column.doc,
            column.is_nullable,
            column.name in made.key,
            ", ".join(direct_sources()[made.full_name][column.name]) or None,
            ", ".join(vendor_fields(made.full_name, column.name)) or None,
            table_comment(made),
        )
        for made in published()
        for column in made.columns
    }
    query = (
        "SELECT table_name, column_name, data_type, unit, doc, is_nullable, is_key, source, vendor_fields, table_doc "
        "FROM marts.data_dictionary"
    )
    for connection in databases.both().values():
        assert set(connection.sql(query).fetchall()) == wanted


def test_no_key_occurs_twice(databases: Databases) -> None:
    for made in _defined():
        assert databases.workshop.rows(duplicate_keys(made)) == [(0,)], made.full_name


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("INSERT INTO core.ledger_conventions VALUES ('a', 'sideways', 'stated', 'assumed', 0, 0, 0)", "CHECK"),
        ("INSERT INTO core.ledger_conventions VALUES ('a', 'signed', 'stated', 'assumed', -1, 0, 0)", "CHECK"),
        ("INSERT INTO core.ledger_conventions VALUES (NULL, 'signed', 'stated', 'assumed', 0, 0, 0)", "NOT NULL"),
        ("INSERT INTO marts.build_info VALUES (NULL, 'x')", "NOT NULL"),
    ],
)
def test_the_database_refuses_what_the_definitions_do_not_allow(
    databases: Databases, statement: str, words: str
) -> None:
    with pytest.raises(duckdb.ConstraintException, match=words):
        databases.workshop.connection.execute(statement)


def test_a_repeated_key_is_counted(databases: Databases) -> None:
    connection = databases.workshop.connection
    made = discovery.discover()["core.ledger_conventions"].table
    connection.execute("BEGIN")
    for _ in range(3):
        connection.execute("INSERT INTO core.ledger_conventions VALUES ('a', 'signed', 'stated', 'assumed', 0, 0, 0)")
    assert connection.sql(duplicate_keys(made)).fetchall() == [(1,)]
    connection.execute("INSERT INTO staging.build SELECT * FROM staging.build")
    build = next(table for table in _defined() if table.full_name == "staging.build")
    assert connection.sql(duplicate_keys(build)).fetchall() == [(1,)]
    connection.execute("ROLLBACK")
