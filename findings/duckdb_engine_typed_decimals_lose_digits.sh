#!/bin/sh
# duckdb-engine 0.17.0: a typed SQLAlchemy column returns a decimal with other digits than the same query as text.
#
# One would guess that `Numeric(27, 9)`, which returns Python's Decimal, returns the digits of a DECIMAL(27, 9). What
# happens: the dialect does not declare `supports_native_decimal`, so SQLAlchemy formats the exact Decimal that DuckDB
# returns as a float and makes a new Decimal of that text. 24123456.123456789 becomes 24123456.123456787. Columns of the ORM, of
# reflected tables and of `text(...).columns(...)` are typed. `text()` without types is exact, and so is
# `Numeric(27, 9, asdecimal=False)`, which one would take for the one that returns floats. SQLAlchemy warns once for each type
# ("does *not* support Decimal objects natively"). pandas.read_sql makes floats by default: `coerce_float=False` is exact.
#
# Measured with duckdb 1.5.5, duckdb-engine 0.17.0, pandas 3.1.1, and SQLAlchemy 1.4.54 and 2.1.9; read_sql with 2.1.9 only,
# because pandas 3 does not support 1.4. Source: sqltypes.Numeric.result_processor of SQLAlchemy. Needs Python 3.11.
set -eu
PYTHON="${PYTHON:-python3.11}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.4.54 2.1.9; do
    "$PYTHON" -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
        duckdb==1.5.5 duckdb-engine==0.17.0 pandas==3.1.1 "sqlalchemy==$version"
    "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import pandas
import sqlalchemy
from sqlalchemy import Column, MetaData, Numeric, Table, text

EXACT, ROUNDED = "24123456.123456789", "24123456.123456787"
QUERY = "SELECT amount FROM balances"
engine = sqlalchemy.create_engine("duckdb:///:memory:")
with engine.connect() as connection:
    connection.execute(text(f"CREATE TABLE balances AS SELECT CAST({EXACT} AS DECIMAL(27, 9)) AS amount"))
    typed = Table("balances", MetaData(), Column("amount", Numeric(27, 9)))
    floats = Table("balances", MetaData(), Column("amount", Numeric(27, 9, asdecimal=False)))
    found = {
        "text()": (connection.execute(text(QUERY)).scalar(), EXACT),
        "text().columns(Numeric(27, 9))": (
            connection.execute(text(QUERY).columns(amount=Numeric(27, 9))).scalar(),
            ROUNDED,
        ),
        "Numeric(27, 9)": (connection.execute(typed.select()).scalar(), ROUNDED),
        "Numeric(27, 9, asdecimal=False)": (connection.execute(floats.select()).scalar(), EXACT),
    }
    if not sqlalchemy.__version__.startswith("1."):
        exact = pandas.read_sql(text(QUERY), connection, coerce_float=False)
        found["read_sql"] = (pandas.read_sql(text(QUERY), connection)["amount"].item(), ROUNDED)
        found["read_sql(coerce_float=False)"] = (exact["amount"].item(), EXACT)
failures = 0
for name, (value, wanted) in found.items():
    print(f"sqlalchemy {sqlalchemy.__version__}  {value!r:32} {name}")
    failures += str(value) != wanted
raise SystemExit(f"changed: {failures} of {len(found)} differ from what was measured" if failures else 0)
PYTHON
done
echo "as measured"
