"""Staging's views: the vendors' tables side by side, and how far each account's evidence reaches; and the rule by
which amounts are converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.schema.ages import age_words
from pipeline.schema.tables import RECORDS, Table
from pipeline.vendors import discover as discover_vendors
from pipeline.vendors._port import Vendor

EVIDENCE: Final = "staging.evidence"
_EVIDENCE_READS: Final = (
    "staging.balances",
    "staging.ledger_entries",
    "staging.orders",
    "staging.usage_days",
    "staging.fetches",
    "staging.loads",
)


def record_view(record: Table, vendors: Mapping[str, Vendor]) -> str:
    """`CREATE VIEW staging.<kind>`: the rows of every vendor that has such records.

    Where none has, the view is there all the same, and empty. Readings out of a file are those that the newest good
    version of it has, and those from before its first one: a row that was taken out, or given another time, is taken
    back, whatever the order in which the versions were loaded.
    """
    columns = ", ".join(record.column_names)
    selects = [
        f"SELECT '{name}' AS vendor, {columns} FROM staging.{name}_{record.name}"
        + (_of_newest_file(f"staging.{name}_{record.name}") if _is_of_files(record, vendor) else "")
        for name, vendor in vendors.items()
        if record.name in vendor.kinds
    ] or [
        "SELECT CAST(NULL AS VARCHAR) AS vendor, "
        + ", ".join(f"CAST(NULL AS {column.column.type}) AS {column.name}" for column in record.columns)
        + " WHERE false"
    ]
    return f"CREATE OR REPLACE VIEW {record.full_name} AS " + " UNION ALL ".join(selects)


def _is_of_files(record: Table, vendor: Vendor) -> bool:
    return record.name == "balances" and vendor.base_url is None


def _of_newest_file(table: str) -> str:
    """The condition under which a reading still counts: the newest file has it, or begins after it."""
    return f"""
        AS readings WHERE (
            SELECT readings.fetch_id = max(newest.fetch_id)
                OR readings.observed_at_utc < arg_max(newest.first_at_utc, newest.fetch_id)
            FROM (
                SELECT account_id, fetch_id, min(observed_at_utc) AS first_at_utc
                FROM {table} GROUP BY account_id, fetch_id
            ) AS newest
            WHERE newest.account_id = readings.account_id
        )"""


def evidence_view() -> str:
    """`CREATE VIEW staging.evidence`: each account's best evidence of spend, and its first and last day.

    A ledger or usage listing reaches from its first fact to the last day that a complete walk asked for; balances
    reach from the first good reading to the newest. A ledger listing is asked for whole, newest entries first, so one
    that is empty where entries were is no proof of days without spend. Usage that is asked for by days is known from
    the first day of the last unbroken row of windows on: nothing tells that days in a gap were free.

    `is_fallback`: the ledger is made of paid orders, because the vendor's own ledger never answered with one.
    """
    return """
    CREATE OR REPLACE VIEW staging.evidence AS
    WITH readings AS (
        SELECT account_id, min(observed_at_utc) AS first_at, max(observed_at_utc) AS last_at
        FROM staging.balances GROUP BY account_id
    ),
    listings AS (
        SELECT
            fetches.account_id,
            fetches.run_id,
            fetches.window_from_date,
            fetches.window_to_date,
            fetches.is_complete,
            CAST(fetches.fetched_at_utc AT TIME ZONE 'UTC' AS DATE) AS fetched_date,
            loads.record_kind,
            loads.received_rows,
            loads.accepted_rows
        FROM staging.fetches AS fetches
        INNER JOIN staging.loads AS loads ON fetches.fetch_id = loads.fetch_id
        WHERE loads.record_kind IN ('ledger_entries', 'orders', 'usage_days')
    ),
    own_ledgers AS (
        SELECT DISTINCT account_id FROM listings
        WHERE record_kind = 'ledger_entries' AND (accepted_rows > 0 OR received_rows = 0)
    ),
    facts AS (
        SELECT account_id, 'ledger_entries' AS record_kind,
            CAST(min(effective_at_utc) AT TIME ZONE 'UTC' AS DATE) AS first_date
        FROM staging.ledger_entries GROUP BY account_id
        UNION ALL
        SELECT account_id, 'orders' AS record_kind,
            CAST(min(coalesce(paid_at_utc, ordered_at_utc)) AT TIME ZONE 'UTC' AS DATE) AS first_date
        FROM staging.orders WHERE order_status = 'settled' GROUP BY account_id
        UNION ALL
        SELECT account_id, 'usage_days' AS record_kind, min(usage_date) AS first_date
        FROM staging.usage_days GROUP BY account_id
    ),
    answers AS (
        SELECT
            account_id,
            run_id,
            record_kind,
            sum(received_rows) AS received_rows,
            max(
                CASE WHEN is_complete AND (accepted_rows > 0 OR received_rows = 0) THEN
                    coalesce(window_to_date, fetched_date)
                END
            ) AS through_date
        FROM listings
        GROUP BY 1, 2, 3
    ),
    walks AS (
        SELECT answers.account_id, answers.record_kind, max(answers.through_date) AS through_date
        FROM answers
        LEFT JOIN facts ON answers.account_id = facts.account_id AND answers.record_kind = facts.record_kind
        LEFT JOIN own_ledgers ON answers.account_id = own_ledgers.account_id
        WHERE answers.through_date IS NOT NULL
            AND (answers.record_kind = 'usage_days' OR answers.received_rows > 0 OR facts.first_date IS NULL)
            AND (answers.record_kind <> 'orders' OR own_ledgers.account_id IS NULL)
        GROUP BY 1, 2
    ),
    windows AS (
        SELECT account_id, window_from_date,
            max(window_to_date) OVER (
                PARTITION BY account_id ORDER BY window_from_date, window_to_date
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS reached_date
        FROM listings
        WHERE record_kind = 'usage_days' AND is_complete AND (accepted_rows > 0 OR received_rows = 0)
    ),
    unbroken AS (
        SELECT account_id, max(window_from_date) AS from_date
        FROM windows
        WHERE reached_date IS NULL OR window_from_date > reached_date + 1
        GROUP BY account_id
    ),
    spans AS (
        SELECT walks.account_id,
            CASE walks.record_kind WHEN 'usage_days' THEN 'usage' ELSE 'ledger' END AS basis,
            walks.record_kind = 'orders' AS is_fallback,
            walks.through_date,
            greatest(
                least(
                    coalesce(facts.first_date, walks.through_date),
                    walks.through_date,
                    coalesce(CAST(readings.first_at AT TIME ZONE 'UTC' AS DATE), walks.through_date)
                ),
                CASE WHEN walks.record_kind = 'usage_days' THEN unbroken.from_date END
            ) AS first_date
        FROM walks
        LEFT JOIN facts ON walks.account_id = facts.account_id AND walks.record_kind = facts.record_kind
        LEFT JOIN readings ON walks.account_id = readings.account_id
        LEFT JOIN unbroken ON walks.account_id = unbroken.account_id
        UNION ALL
        SELECT account_id, 'balance', false, CAST(last_at AT TIME ZONE 'UTC' AS DATE),
            CAST(first_at AT TIME ZONE 'UTC' AS DATE)
        FROM readings
    ),
    ranked AS (
        SELECT *, row_number() OVER (
            PARTITION BY account_id
            ORDER BY CASE basis WHEN 'ledger' THEN 1 WHEN 'usage' THEN 2 ELSE 3 END, is_fallback
        ) AS place
        FROM spans
    )
    SELECT account_id, basis, is_fallback, first_date, through_date FROM ranked WHERE place = 1
    """


def status_macros() -> list[str]:
    """The macros that `marts.account_status` puts its reasons into words with."""
    return [f"CREATE OR REPLACE MACRO core.age_words(seconds) AS {age_words('seconds')}"]


def conversion_macros() -> list[str]:
    """`CREATE MACRO core.to_reporting` and what it is made of: the one rule by which an amount is converted.

    An amount of credits becomes money by the price of a credit, and money becomes the reporting currency by way of
    the euro. Each step is computed on whole numbers and cast back to nine decimals at once, halves away from zero.
    From ten digits before the point on, a product might not fit: such an amount stays unconverted (NULL).
    """
    return [
        """
        CREATE OR REPLACE MACRO core.billionths(value) AS
        CAST(CAST(value AS DECIMAL(28, 9)) * 1000000000 AS HUGEINT)
        """,
        # A division of decimals would be one of floats. The total is of less than 20 digits before the point.
        """
        CREATE OR REPLACE MACRO core.mean_of(total_amount, number) AS
        CAST(
            CASE WHEN total_amount < 0 THEN -1 ELSE 1 END
            * CAST((2 * core.billionths(abs(total_amount)) + number) // nullif(2 * number, 0) AS DECIMAL(29, 0))
            * CAST(0.000000001 AS DECIMAL(9, 9)) AS DECIMAL(38, 9)
        )
        """,
        """
        CREATE OR REPLACE MACRO core.at_price(amount, price_amount) AS
        CASE
            WHEN price_amount IS NULL THEN amount
            ELSE CAST(
                TRY_CAST(amount AS DECIMAL(19, 9)) * TRY_CAST(price_amount AS DECIMAL(19, 9)) AS DECIMAL(38, 9)
            )
        END
        """,
        """
        CREATE OR REPLACE MACRO core.at_rate(amount, eur_rate, reporting_eur_rate) AS
        CAST(
            TRY_CAST(
                CASE WHEN amount < 0 THEN -1 ELSE 1 END
                * (
                    (
                        2 * core.billionths(abs(TRY_CAST(amount AS DECIMAL(19, 9))))
                        * core.billionths(reporting_eur_rate)
                        + core.billionths(eur_rate)
                    )
                    // nullif(2 * core.billionths(eur_rate), 0)
                ) AS DECIMAL(29, 0)
            ) * CAST(0.000000001 AS DECIMAL(9, 9)) AS DECIMAL(38, 9)
        )
        """,
        """
        CREATE OR REPLACE MACRO core.to_reporting(
            amount, unit_code, reporting_unit_code, price_amount, price_unit_code, eur_rate, reporting_eur_rate
        ) AS
        CASE
            WHEN coalesce(price_unit_code, unit_code) = reporting_unit_code THEN core.at_price(amount, price_amount)
            ELSE core.at_rate(core.at_price(amount, price_amount), eur_rate, reporting_eur_rate)
        END
        """,
        """
        CREATE OR REPLACE MACRO core.source_of(
            converted_amount, unit_code, reporting_unit_code, price_unit_code, rate_source
        ) AS
        CASE
            WHEN converted_amount IS NULL THEN NULL
            WHEN price_unit_code = reporting_unit_code THEN 'credit_price'
            WHEN price_unit_code IS NOT NULL THEN 'credit_price+' || rate_source
            WHEN unit_code = reporting_unit_code THEN 'same_unit'
            ELSE rate_source
        END
        """,
    ]


def reads_of_view(name: str) -> tuple[str, ...]:
    """What a view of staging reads; empty for anything else."""
    if name == EVIDENCE:
        return _EVIDENCE_READS
    kind = name.removeprefix("staging.")
    if kind in RECORDS:
        return tuple(f"staging.{vendor.name}_{kind}" for vendor in discover_vendors().values() if kind in vendor.kinds)
    return ()
