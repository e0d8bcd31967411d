#!/bin/sh
# duckdb 1.5.5 (Python): extract_statements splits one PIVOT in two, and the first claims that it may return rows.
#
# One would guess that a text with one statement is extracted as one, and that `expected_result_type` tells which statements
# return rows. What happens: `PIVOT ... ON column` without IN is a CREATE of a hidden enum type, and a SELECT; the CREATE's
# expected results contain QUERY_RESULT, as those of every CREATE, INSERT, COPY and DELETE do. So a tool that runs statements
# one by one and shows each result that was expected shows two for a PIVOT. Only [QUERY_RESULT] alone means rows for certain.
# For UPDATE EXTENSIONS the property raises an internal error, because it does not know that kind of statement.
#
# Measured with duckdb 1.5.5. Source: duckdb.org/docs, "PIVOT Statement", section on internals (dynamic pivots create an
# enum), and the Python client's `extract_statements`. Needs Python 3.11.
set -eu
PYTHON="${PYTHON:-python3.11}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$PYTHON" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==1.5.5
"$folder/venv/bin/python" - <<'PYTHON'
import duckdb

connection = duckdb.connect()
connection.execute("CREATE TABLE spend AS SELECT unnest(['a', 'b', 'a']) AS account, 1 AS amount")
kinds = {}
for query in (
    "PIVOT spend ON account USING sum(amount)",
    "PIVOT spend ON account IN ('a', 'b') USING sum(amount)",
    "CREATE TEMP TABLE copy AS FROM spend",
    "FROM spend",
    "UPDATE EXTENSIONS",
):
    found = []
    for statement in connection.extract_statements(query):
        try:
            may = [str(each).rpartition(".")[2] for each in statement.expected_result_type]
        except duckdb.InternalException:
            may = ["InternalException"]
        found.append((str(statement.type).rpartition(".")[2], "QUERY_RESULT" in may, len(may)))
    kinds[query] = found
    print(f"{query:56} {found}")
pivot, fixed, create, select, update = kinds.values()
assert pivot == [("CREATE", True, 3), ("SELECT", True, 1)], pivot
assert fixed == [("SELECT", True, 1)], fixed
assert create == [("CREATE", True, 3)], create
assert select == [("SELECT", True, 1)], select
assert update[0][1:] == (False, 1), update
PYTHON
echo "as measured"
