#!/bin/sh
# DuckDB 1.5.5 takes a whole block of memory, 256 KiB, for each column of each small table whose row is replaced.
#
# One would guess that replacing one row in each of fifty tables costs next to nothing. What happens: the first insert
# into a new table starts with small segments, but an insert into a table that a checkpoint has written starts a segment
# of the file's block size for each column. So 50 tables x 15 columns x one row take some 210 MB more until the next
# checkpoint. With default_block_size = 16384, which files that are created under it keep, the same takes some 25 MB.
# DuckDB 2.0.0 takes 15 MB with either. Small blocks cost a large table compression: text of which each value differs
# took 2.5 times the space at 16 KiB.
#
# Measured with duckdb 1.5.5 and 2.0.0 (Python packages) on Linux. Source: this script; the documentation of
# `default_block_size` speaks of files only. Needs Python 3.11.
set -eu
PYTHON="${PYTHON:-python3.11}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.5.5 2.0.0; do
    "$PYTHON" -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "duckdb==$version"
    for block in 262144 16384; do
        "$folder/venv/bin/python" - "$folder/$version-$block.duckdb" "$block" <<'PYTHON'
import sys

import duckdb

TABLES, COLUMNS = 50, 15
path, block = sys.argv[1], int(sys.argv[2])


def resident_mb():
    with open("/proc/self/statm") as sizes:
        return int(sizes.read().split()[1]) * 4096 / 1e6


connection = duckdb.connect(path, config={"default_block_size": block})
columns = ", ".join(f"c{n} BIGINT" for n in range(COLUMNS))
for n in range(TABLES):
    connection.execute(f"CREATE TABLE t{n} ({columns})")
for n in range(TABLES):
    connection.execute(f"INSERT INTO t{n} VALUES ({', '.join('1' * COLUMNS)})")
connection.execute("CHECKPOINT")
before = resident_mb()
for n in range(TABLES):
    connection.execute(f"DELETE FROM t{n}")
    connection.execute(f"INSERT INTO t{n} VALUES ({', '.join('2' * COLUMNS)})")
grown = resident_mb() - before
print(f"duckdb {duckdb.__version__}  blocks of {block:6}: replacing {TABLES} rows of {TABLES} tables took {grown:.0f} MB")
is_large = block == 262144 and duckdb.__version__ == "1.5.5"
is_as_measured = grown > 150 if is_large else grown < 60
raise SystemExit(0 if is_as_measured else "changed: not what was measured")
PYTHON
    done
done
echo "as measured"
