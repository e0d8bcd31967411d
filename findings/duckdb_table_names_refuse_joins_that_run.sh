#!/bin/sh
# DuckDB's get_table_names() refuses queries that run, and with qualified=True answers with aliases in the names.
#
# One would guess that `connection.get_table_names(query)` parses a query and lists its tables, so that it works for each
# query that runs, and that `qualified=True` gives `schema.table`. What happens: it binds the query against tables without
# columns, so an ASOF JOIN ("Missing ASOF JOIN inequality") and a JOIN ... USING ("Column ... does not exist") fail,
# whether the tables exist or not. `qualified=True` keeps the alias: 'core.accounts AS owners', and lists a table that two
# parts of a query alias differently twice. json_serialize_sql() parses only: its BASE_TABLE nodes without the names of
# CTEs are the tables, for all of these queries.
#
# Measured with duckdb 1.5.5 and 2.0.0 (Python packages). Source: this script; the Python API reference says only
# "Extract the required table names from a query". Needs Python 3.11.
set -eu
PYTHON="${PYTHON:-python3.11}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.5.5 2.0.0; do
    "$PYTHON" -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "duckdb==$version"
    "$folder/venv/bin/python" - <<'PYTHON'
import json

import duckdb

connection = duckdb.connect()
connection.execute("CREATE SCHEMA core")
connection.execute("CREATE TABLE core.readings AS SELECT 1 AS id, 2 AS at")
connection.execute("CREATE TABLE core.prices AS SELECT 1 AS id, 1 AS at")


def parsed(query):
    document = json.loads(connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])
    found = set()

    def walk(part):
        if isinstance(part, dict):
            if part.get("type") == "BASE_TABLE":
                found.add(f"{part['schema_name']}.{part['table_name']}")
            part = list(part.values())
        if isinstance(part, list):
            for each in part:
                walk(each)

    walk(document["statements"])
    return sorted(found)


wanted = {
    "SELECT * FROM core.readings": ["core.readings"],
    "SELECT * FROM core.readings AS r": ["core.readings AS r"],
    "SELECT (SELECT max(a.id) FROM core.prices AS a) FROM core.prices AS b": ["core.prices AS a", "core.prices AS b"],
    "SELECT * FROM core.readings JOIN core.prices USING (id)": "Binder Error: Column",
    "SELECT * FROM core.readings AS r ASOF JOIN core.prices AS p ON r.id = p.id AND r.at >= p.at":
        "Binder Error: Missing ASOF JOIN inequality",
}
changed = 0
for query, expected in wanted.items():
    rows = connection.execute(query).fetchall()
    try:
        found = sorted(connection.get_table_names(query, qualified=True))
    except duckdb.Error as problem:
        found = str(problem)
    is_same = found.startswith(expected) if isinstance(expected, str) else found == expected
    changed += not is_same
    print(f"duckdb {duckdb.__version__}  {query}\n  runs: {len(rows)} row(s)\n  get_table_names: {found}\n  parsed: {parsed(query)}")
raise SystemExit(f"changed: {changed} of {len(wanted)} differ from what was measured" if changed else 0)
PYTHON
done
echo "as measured"
