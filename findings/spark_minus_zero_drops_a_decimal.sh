#!/bin/sh
# Spark 4.3.0: subtracting zero from a DECIMAL(38,9) drops its ninth decimal, and a comparison does not show it.
#
# One would guess that `x - 0` is `x`: DuckDB, PostgreSQL and polars keep all nine decimals, and DECIMAL(38,9) can hold
# the result. What happens: the sum of two DECIMAL(38,9) needs 39 digits by Spark's rules, 38 is the most there is, and
# `spark.sql.decimalOperations.allowPrecisionLoss` (true by default, also with ANSI mode on) gives up decimals first, so
# the result is DECIMAL(38,8) and is rounded half up. `x <> x - 0` is false all the same, since the literal 0 is cast
# before the comparison. DECIMAL(37,9) keeps the nine decimals; but the difference of two sums loses one from
# DECIMAL(28,9) on, because a sum widens its type by ten digits. DECIMAL(27,9) is the widest that is exact in both.
#
# Measured with pyspark 4.3.0 and Java 17. Source of the rule: Spark's documentation of ANSI compliance, section
# "Arithmetic Operations", and org.apache.spark.sql.catalyst.expressions.BinaryArithmetic.
# Needs Python 3.11 and Java 17; downloads 450 MB.
set -eu
PYTHON="${PYTHON:-python3.11}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$PYTHON" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyspark==4.3.0
"$folder/venv/bin/python" - <<'PYTHON'
from pyspark.sql import SparkSession

spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.ui.showConsoleProgress", "false")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")


def seen(expression: str, precision: int) -> str:
    row = spark.sql(
        f"SELECT typeof({expression}), CAST({expression} AS STRING) "
        f"FROM (SELECT CAST('812.123456789' AS DECIMAL({precision},9)) AS x)"
    ).first()
    return f"{row[0]} {row[1]}"


expected = {
    ("x - 0", 38): "decimal(38,8) 812.12345679",
    ("x - 0", 37): "decimal(38,9) 812.123456789",
    ("sum(x) - sum(x - x)", 28): "decimal(38,8) 812.12345679",
    ("sum(x) - sum(x)", 28): "decimal(38,8) 0.00000000",
    ("sum(x) - sum(x)", 27): "decimal(38,9) 0.000000000",
}
failures = 0
for (expression, precision), wanted in expected.items():
    found = seen(expression, precision)
    print(f"DECIMAL({precision},9)  {expression:20} {found}")
    failures += found != wanted
differs = spark.sql("SELECT x <> x - 0 FROM (SELECT CAST('812.123456789' AS DECIMAL(38,9)) AS x)").first()[0]
print("DECIMAL(38,9)  x <> x - 0          ", differs)
failures += differs is not False
spark.stop()
raise SystemExit(f"changed: {failures} of {len(expected) + 1} differ from what was measured" if failures else 0)
PYTHON
echo "as measured"
