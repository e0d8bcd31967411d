#!/bin/sh
# DuckDB 1.5.5: SUMMARIZE and approx_quantile round the quantiles of a DECIMAL column to whole numbers.
#
# One would guess that the median of a column of amounts that are all 0.50 is 0.50. What happens: SUMMARIZE calls
# approx_quantile, whose result for a DECIMAL has an integer type, so q25, q50 and q75 are 1, and the median of amounts
# below half a unit is 0. min, max, avg and std in the same row are right, and so are the quartiles of a DOUBLE column.
# DuckDB 2.0.0 keeps the decimals. In both versions the quartiles are estimates: median() and quantile_cont() are exact.
#
# Measured with duckdb 1.5.5 and 2.0.0 (Python packages). Source: this script; DuckDB's pages "Summarize" and
# "Aggregate Functions" do not mention it. Needs Python 3.11.
set -eu
PYTHON="${PYTHON:-python3.11}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.5.5 2.0.0; do
    "$PYTHON" -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "duckdb==$version"
    "$folder/venv/bin/python" - <<'PYTHON'
import duckdb

rounds = duckdb.__version__ == "1.5.5"
queries = {
    "SELECT q50 FROM (SUMMARIZE halves)": "1" if rounds else "0.500000000",
    "SELECT q50 FROM (SUMMARIZE cents)": "0" if rounds else "0.010000000",
    "SELECT typeof(approx_quantile(amount, 0.5)) FROM halves": "HUGEINT" if rounds else "DECIMAL(27,9)",
    "SELECT q50 FROM (SUMMARIZE (SELECT CAST(amount AS DOUBLE) AS amount FROM halves))": "0.5",
    "SELECT avg FROM (SUMMARIZE halves)": "0.5",
    "SELECT median(amount) FROM halves": "0.500000000",
    "SELECT quantile_cont(amount, 0.5) FROM cents": "0.010000000",
}
duckdb.execute("CREATE TABLE halves AS SELECT CAST(0.5 AS DECIMAL(27, 9)) AS amount FROM range(9)")
duckdb.execute("CREATE TABLE cents AS SELECT CAST(0.01 AS DECIMAL(27, 9)) AS amount FROM range(9)")
failures = 0
for query, wanted in queries.items():
    found = str(duckdb.sql(query).fetchall()[0][0])
    print(f"duckdb {duckdb.__version__}  {found:14} {query}")
    failures += found != wanted
raise SystemExit(f"changed: {failures} of {len(queries)} differ from what was measured" if failures else 0)
PYTHON
done
echo "as measured"
