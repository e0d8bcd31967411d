#!/bin/sh
# DuckDB 1.5.5: one filter on the left side in the ON of a LEFT JOIN makes it compare every row with every other row.
#
# One would guess that a LEFT JOIN on equal keys is a hash join, and that a further condition in its ON, such as
# `AND days.basis = 'ledger'`, is tested on the pairs that the hash finds. What happens in 1.5.5: any condition that is
# not a comparison of one side with the other (a filter on the left side, an OR, an expression over both sides) turns the
# whole join into a BLOCKWISE_NL_JOIN, whose cost is the product of both row counts. A filter on the right side and the
# same filter in an INNER JOIN stay hash joins, and so does `CASE WHEN basis = 'ledger' THEN account_id END = ...`.
# DuckDB 2.0.0 plans all of them as hash joins, so a query that was written around it, or that was not, looks fine there.
#
# Measured with duckdb 1.5.5 and 2.0.0 (Python packages). Source: plans by EXPLAIN; duckdb/duckdb issues 10387 and 13718
# report the left-side filter for earlier versions. Needs Python 3.11.
set -eu
PYTHON="${PYTHON:-python3.11}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.5.5 2.0.0; do
    "$PYTHON" -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "duckdb==$version"
    "$folder/venv/bin/python" - <<'PYTHON'
import duckdb

connection = duckdb.connect()
connection.execute("CREATE TABLE days AS SELECT range AS id, range AS day, range % 3 AS basis FROM range(20000)")
connection.execute("CREATE TABLE spend AS SELECT range AS id, range AS day, range * 2 AS amount FROM range(20000)")
keys = "days.id = spend.id AND days.day = spend.day"
is_loop_in_1 = {
    f"LEFT JOIN spend ON {keys}": False,
    f"LEFT JOIN spend ON {keys} AND spend.amount > 5": False,
    f"LEFT JOIN spend ON {keys} AND days.basis = 1": True,
    f"JOIN spend ON {keys} AND days.basis = 1": False,
    "LEFT JOIN spend ON days.id = spend.id AND days.day <= spend.day": False,
    "LEFT JOIN spend ON days.id = spend.id AND (spend.day IS NULL OR days.day <= spend.day)": True,
    "LEFT JOIN spend ON days.id = spend.id AND days.day + spend.day > 5": True,
    "LEFT JOIN spend ON CASE WHEN days.basis = 1 THEN days.id END = spend.id AND days.day = spend.day": False,
}
failures = 0
for join, is_loop in is_loop_in_1.items():
    ((_, plan),) = connection.execute(f"EXPLAIN (FORMAT json) SELECT * FROM days {join}").fetchall()
    found = next(name for name in ("BLOCKWISE_NL_JOIN", "HASH_JOIN") if name in plan)
    wanted = "BLOCKWISE_NL_JOIN" if is_loop and duckdb.__version__ == "1.5.5" else "HASH_JOIN"
    print(f"duckdb {duckdb.__version__}  {found:17}  {join}")
    failures += found != wanted
raise SystemExit(f"changed: {failures} of {len(is_loop_in_1)} differ from what was measured" if failures else 0)
PYTHON
done
echo "as measured"
