#!/bin/sh
# DuckDB 1.5.5 and 2.0.0: reading a JSON number into a VARCHAR column does not return the digits of the file.
#
# One would guess that `read_json(..., columns = {amount: 'VARCHAR'})` and `->>` hand over a number's text, so that it
# can be cast to DECIMAL exactly. What happens: the number passes through a binary double first, so the text already has
# other digits, and a cast to DECIMAL(38,9) adds some more. Numbers in quotes are exact. Whoever lands exact amounts has to
# decode JSON elsewhere, or keep the body as a BLOB.
#
# Measured with duckdb 1.5.5 and 2.0.0 (Python packages). Source: DuckDB's pages "JSON Loading" and "JSON Processing
# Functions", neither of which mentions it.
# Needs Python 3.11.
set -eu
PYTHON="${PYTHON:-python3.11}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '{"amount": 12345678.123456789, "quoted": "12345678.123456789"}\n' > "$folder/balance.json"
for version in 1.5.5 2.0.0; do
    "$PYTHON" -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "duckdb==$version"
    FILE="$folder/balance.json" "$folder/venv/bin/python" - <<'PYTHON'
import os

import duckdb

path = os.environ["FILE"]
text = open(path, encoding="utf-8").read()
read = f"read_json('{path}', columns = {{amount: 'VARCHAR', quoted: 'VARCHAR'}})"
expected = {
    f"SELECT amount FROM {read}": "12345678.12345679",
    f"SELECT quoted FROM {read}": "12345678.123456789",
    f"SELECT CAST(amount AS DECIMAL(38,9)) FROM {read}": "12345678.123456790",
    f"SELECT '{text.strip()}'::JSON ->> 'amount'": "12345678.12345679",
}
failures = 0
for query, wanted in expected.items():
    found = str(duckdb.sql(query).fetchall()[0][0])
    print(f"duckdb {duckdb.__version__}  {found:22} {query.replace(path, 'balance.json')}")
    failures += found != wanted
raise SystemExit(f"changed: {failures} of {len(expected)} differ from what was measured" if failures else 0)
PYTHON
done
echo "as measured"
