#!/bin/sh
# DuckDB 1.5.5 and 2.0.0: `//`, the operator of integer division, returns fractions for decimals, as a DOUBLE.
#
# One would guess that 7.5 // 2 is 3, as in Python, or at least whole: DuckDB's manual lists `//` as "division
# (integer)". What happens: only integers are divided that way. For DECIMAL operands `//` is the same as `/`, so how many
# whole units a balance pays for comes out with a fraction, and as a binary double. `%` stays exact.
#
# Measured with duckdb 1.5.5 and 2.0.0 (Python packages). Source: DuckDB's page "Numeric Functions", table of operators.
# Needs Python 3.11.
set -eu
PYTHON="${PYTHON:-python3.11}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.5.5 2.0.0; do
    "$PYTHON" -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "duckdb==$version"
    "$folder/venv/bin/python" - <<'PYTHON'
import duckdb

expected = {
    "7 // 2": "INTEGER 3",
    "7.5 // 2": "DOUBLE 3.75",
    "7::DECIMAL(38,9) // 2::DECIMAL(38,9)": "DOUBLE 3.5",
    "100.00::DECIMAL(18,2) // 0.03::DECIMAL(18,2)": "DOUBLE 3333.3333333333335",
    "100.00::DECIMAL(18,2) % 0.03::DECIMAL(18,2)": "DECIMAL(18,2) 0.01",
}
failures = 0
for expression, wanted in expected.items():
    kind, value = duckdb.sql(f"SELECT typeof({expression}), CAST({expression} AS VARCHAR)").fetchall()[0]
    print(f"duckdb {duckdb.__version__}  {expression:46} {kind} {value}")
    failures += f"{kind} {value}" != wanted
raise SystemExit(f"changed: {failures} of {len(expected)} differ from what was measured" if failures else 0)
PYTHON
done
echo "as measured"
