#!/bin/sh
# DuckDB 1.5.5 and 2.0.0: an ASOF JOIN compares every row with every other row if its left side went through a range.
#
# One would guess that ASOF JOIN always sorts and merges, as its documentation describes it, so that its cost grows with
# n log n. What happens: if the optimiser expects fewer than 64 rows on the left side (asof_loop_join_threshold), it plans
# a NESTED_LOOP_JOIN with an aggregate instead. Behind a comparison with a table of one row, such as a range of days in
# `CROSS JOIN span WHERE moment >= span.first`, it expects one row, however many there are: 100,000 rows against 8,000
# take seconds instead of milliseconds, and ten times the rows a hundred times as long. The same range as constants is
# estimated well. `SET asof_loop_join_threshold = 0` keeps the ASOF JOIN.
#
# Measured with duckdb 1.5.5 and 2.0.0 (Python packages) on two threads. Source: EXPLAIN, and the description of the
# setting in duckdb_settings(). Needs Python 3.11.
set -eu
PYTHON="${PYTHON:-python3.11}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.5.5 2.0.0; do
    "$PYTHON" -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "duckdb==$version"
    "$folder/venv/bin/python" - <<'PYTHON'
import time

import duckdb

connection = duckdb.connect()
connection.execute("SET threads = 2")
connection.execute("CREATE TABLE entries AS SELECT range % 20 AS account, range AS moment FROM range(100000)")
connection.execute("CREATE TABLE readings AS SELECT range % 20 AS account, range * 13 AS moment FROM range(8000)")
connection.execute("CREATE TABLE span AS SELECT 0 AS first, 10000000 AS last")
by_constants = "SELECT * FROM entries WHERE moment >= 0 AND moment < 10000000"
by_a_row = "SELECT entries.* FROM entries CROSS JOIN span WHERE moment >= span.first AND moment < span.last"
cases = [
    ("range of constants", by_constants, 64, "ASOF_JOIN"),
    ("range in a row", by_a_row, 64, "NESTED_LOOP_JOIN"),
    ("range in a row", by_a_row, 0, "ASOF_JOIN"),
]
failures, counts = 0, set()
for name, left, threshold, expected in cases:
    connection.execute(f"SET asof_loop_join_threshold = {threshold}")
    select = f"""
        SELECT count(*) FROM ({left}) AS placed
        ASOF JOIN readings ON placed.account = readings.account AND placed.moment <= readings.moment
    """
    ((_, plan),) = connection.execute(f"EXPLAIN (FORMAT json) {select}").fetchall()
    began = time.perf_counter()
    counts.add(connection.execute(select).fetchone())
    seconds = time.perf_counter() - began
    # The cross join with one row is itself planned as a loop, which costs nothing.
    found = "ASOF_JOIN" if '"ASOF_JOIN"' in plan else "NESTED_LOOP_JOIN"
    print(f"duckdb {duckdb.__version__}  threshold {threshold:2}  {name:18}  {found:16}  {seconds:6.2f} s")
    failures += found != expected
if failures or len(counts) != 1:
    raise SystemExit(f"changed: {failures} of {len(cases)} plans differ from what was measured; counts {counts}")
PYTHON
done
echo "as measured"
