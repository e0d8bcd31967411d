"""Summaries of answers, updated by each load: what is known about all answers is read from a few rows."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import duckdb

from pipeline.models.discovery import discover
from pipeline.schema.render import quoted

_EVIDENCE: Final = "staging.evidence"
_FEW_RUNS: Final = 20

# Good answers of these runs, once for each kind of record that was read from them.
# The pages of one run are one listing.
_ANSWERS: Final = """
    CREATE OR REPLACE TEMP TABLE good AS
    SELECT fetch_id, run_id, vendor, account_id, endpoint, window_from_date, is_complete,
        coalesce(window_to_date, CAST(fetched_at_utc AT TIME ZONE 'UTC' AS DATE)) AS through_date
    FROM staging.fetches WHERE outcome = 'ok' AND run_id IN ({run_ids});
    CREATE OR REPLACE TEMP TABLE answers AS
    SELECT good.*, loads.record_kind, loads.accepted_rows > 0 OR loads.received_rows = 0 AS is_readable,
        sum(loads.received_rows) OVER (PARTITION BY good.account_id, good.run_id, loads.record_kind) > 0 AS has_rows
    FROM good LEFT JOIN staging.loads AS loads ON good.fetch_id = loads.fetch_id;
    DROP TABLE good
"""

# Both columns only grow with the answers that are known, so a run that is loaded in parts needs no correction.
_LISTINGS: Final = """
    CREATE OR REPLACE TEMP TABLE listed AS
    SELECT account_id, record_kind, has_rows, max(through_date) AS through_date, bool_or(is_readable) AS is_readable
    FROM (
        SELECT account_id, record_kind, has_rows, through_date, is_readable FROM staging.listings
        UNION ALL
        SELECT account_id, record_kind, has_rows, CASE WHEN is_complete AND is_readable THEN through_date END,
            is_readable
        FROM answers WHERE record_kind IN ('ledger_entries', 'orders', 'usage_days')
    ) GROUP BY account_id, record_kind, has_rows;
    DELETE FROM staging.listings;
    INSERT INTO staging.listings (account_id, record_kind, has_rows, through_date, is_readable) FROM listed;
    DROP TABLE listed
"""

_WINDOWS: Final = """
    CREATE OR REPLACE TEMP TABLE windows AS
    SELECT account_id, window_from_date, max(window_to_date) AS window_to_date
    FROM (
        SELECT account_id, window_from_date, through_date AS window_to_date FROM answers
        WHERE record_kind = 'usage_days' AND is_complete AND is_readable AND window_from_date IS NOT NULL
        UNION ALL
        SELECT account_id, window_from_date, window_to_date FROM staging.usage_windows
    )
    WHERE (account_id, window_from_date) IN (SELECT (account_id, window_from_date) FROM answers)
    GROUP BY account_id, window_from_date;
    DELETE FROM staging.usage_windows WHERE (account_id, window_from_date) IN
        (SELECT (account_id, window_from_date) FROM windows);
    INSERT INTO staging.usage_windows (account_id, window_from_date, window_to_date) FROM windows;
    DROP TABLE windows
"""

_NEWEST: Final = """
    CREATE OR REPLACE TEMP TABLE newest AS
    SELECT last.vendor, last.account_id, last.endpoint, last.run_id
    FROM (
        SELECT vendor, account_id, endpoint, max(fetch_id) AS fetch_id, arg_max(run_id, fetch_id) AS run_id
        FROM answers GROUP BY vendor, account_id, endpoint
    ) AS last
    LEFT JOIN (
        SELECT vendor, account_id, endpoint, max(fetch_id) AS fetch_id FROM staging.newest_answers
        GROUP BY vendor, account_id, endpoint
    ) AS known USING (vendor, account_id, endpoint)
    WHERE known.fetch_id IS NULL OR last.fetch_id >= known.fetch_id;
    DELETE FROM staging.newest_answers AS known USING newest
    WHERE known.vendor = newest.vendor AND known.account_id = newest.account_id AND known.endpoint = newest.endpoint;
    INSERT INTO staging.newest_answers (fetch_id, vendor, account_id, endpoint)
    SELECT DISTINCT answers.fetch_id, answers.vendor, answers.account_id, answers.endpoint
    FROM answers INNER JOIN newest USING (vendor, account_id, endpoint, run_id);
    DROP TABLE newest
"""


def summarize(connection: duckdb.DuckDBPyConnection, loaded_at: datetime | None = None) -> None:
    """Update the summaries by the answers that were loaded at `loaded_at`, or by all. Run inside a transaction.

    Updates staging.listings, staging.usage_windows, staging.newest_answers, and staging.evidence, which follows from
    the first two and from records.
    """
    is_new = f"loaded_at_utc = TIMESTAMPTZ '{loaded_at.isoformat()}'" if loaded_at else "true"
    # Month by month, because a first load may have millions of answers.
    for (month,) in connection.execute(
        f"SELECT DISTINCT strftime(fetched_at_utc, '%Y-%m') AS month FROM staging.fetches WHERE {is_new} ORDER BY month"
    ).fetchall():
        first_at = f"TIMESTAMPTZ '{month}-01 00:00:00+00'"
        is_of_month = f"fetched_at_utc >= {first_at} AND fetched_at_utc < {first_at} + INTERVAL 1 MONTH"
        runs = f"SELECT DISTINCT run_id FROM staging.fetches WHERE {is_new} AND {is_of_month}"
        run_ids = [run_id for (run_id,) in connection.execute(f"{runs} LIMIT {_FEW_RUNS + 1}").fetchall()]
        # DuckDB looks up a few constants in much less time than the rows of a query.
        listed = ", ".join(map(quoted, run_ids)) if len(run_ids) <= _FEW_RUNS else runs
        connection.execute(_ANSWERS.format(run_ids=listed))
        for statements in (_LISTINGS, _WINDOWS, _NEWEST):
            connection.execute(statements)
        connection.execute("DROP TABLE answers")
    evidence = discover()[_EVIDENCE]
    columns = ", ".join(evidence.table.column_names)
    connection.execute(f"DELETE FROM {_EVIDENCE}")
    connection.execute(f"INSERT INTO {_EVIDENCE} ({columns}) SELECT {columns} FROM ({evidence.select})")
