#!/bin/sh
# duckdb 1.5.5 (Python): a year of 365 or 366 days becomes 360 days, by the way in which the result is fetched.
#
# One would guess that INTERVAL '1 year' stays a year, or is refused where a type has no months. What happens: DuckDB keeps
# months, days and microseconds apart, but `fetchall` and `fetchnumpy` return a plain duration in which a month is 30 days,
# without a warning. Arrow keeps the months. A Parquet file that DuckDB writes keeps them too, but pyarrow reads the column
# as 12 opaque bytes. In SQL, INTERVAL '1 month' = INTERVAL '30 days' is true, although adding them to a date differs. So a
# date plus a fetched interval is another day than in SQL: cast the interval to VARCHAR, or add it in SQL.
#
# Measured with duckdb 1.5.5, pyarrow 26.0.1 and numpy 2.4.6. Source: duckdb.org/docs, "Interval Type" (months, days and
# microseconds) and the Python client's table of types, which names `datetime.timedelta`. Needs Python 3.11.
set -eu
PYTHON="${PYTHON:-python3.11}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$PYTHON" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==1.5.5 pyarrow==26.0.1 numpy==2.4.6
FOLDER="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import os
from datetime import date, timedelta

import duckdb
import pyarrow.parquet as parquet

QUERY = "SELECT INTERVAL '1 year' AS length"
file = os.environ["FOLDER"] + "/interval.parquet"
found = {
    "fetchall": duckdb.execute(QUERY).fetchall()[0][0],
    "fetchnumpy, days": int(duckdb.execute(QUERY).fetchnumpy()["length"][0].astype("timedelta64[D]").astype(int)),
    "Arrow, months": duckdb.execute(QUERY).to_arrow_table().column(0)[0].as_py().months,
    "2026-01-01 + it, in SQL": duckdb.execute("SELECT CAST(DATE '2026-01-01' + INTERVAL '1 year' AS DATE)").fetchall()[0][0],
    "2026-01-01 + it, in Python": date(2026, 1, 1) + duckdb.execute(QUERY).fetchall()[0][0],
    "a month = 30 days": duckdb.execute("SELECT INTERVAL '1 month' = INTERVAL '30 days'").fetchall()[0][0],
}
duckdb.execute(f"COPY ({QUERY}) TO '{file}'")
found["pyarrow's type of DuckDB's Parquet"] = str(parquet.read_schema(file).field("length").type)
for name, value in found.items():
    print(f"{name:36} {value}")
expected = [
    timedelta(days=360), 360, 12, date(2027, 1, 1), date(2026, 12, 27), True, "fixed_size_binary[12]",
]  # fmt: skip
raise SystemExit(None if list(found.values()) == expected else f"changed: expected {expected}")
PYTHON
echo "as measured"
