"""`drawdown explain`: everything that a published build knows about one account, with the evidence for each number.

Every section names its tables, the query that shows their rows, and the ids of the underlying answers.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final

import duckdb

from pipeline.models.status_at import status_at
from pipeline.schema.limits import SUMMARY_DAYS, TOTAL_HORIZONS
from pipeline.support.errors import UsageError
from pipeline.support.home import Home
from pipeline.support.printable import printable_lines
from pipeline.warehouse.reader import reading

Row = dict[str, Any]
Section = dict[str, Any]

COMPONENTS: Final = (
    "top_up", "refund", "usage", "renewal", "adjustment", "pending", "tax", "quota_reset", "unexplained",
)  # fmt: skip
"""Components between an opening and a closing balance, in the order of core.balance_bridge."""

_MOST_THINGS: Final = 5
_ANOMALY_DAYS: Final = 90
_SUMS: Final = ", ".join(f"sum({each}_amount) AS {each}_amount" for each in COMPONENTS)
_MOVED: Final = " OR ".join(f"{each}_amount <> 0" for each in COMPONENTS)


def explain(home: Home, account_id: str, at: datetime | None = None) -> Section:
    """Collect what the newest build knows of an account, by section; ages are judged by the clock, or by `at`.

    Raises UsageError for an unknown account, DrawdownError if there is no build, or one of another version.
    """
    with reading(home.current) as connection:
        try:
            return _Build(connection, account_id, at or datetime.now(UTC)).sections()
        except UsageError:
            from pipeline.cli.account_names import new_id

            now_called = new_id(home, account_id)
            if now_called is None:
                raise
            raise UsageError(
                f"account {account_id} is now called {now_called}, with all of its history: "
                f"drawdown explain {now_called}"
            ) from None


def write_bytes(home: Home, fetch_id: str, account_id: str) -> None:
    """Write the body of an account's answer byte for byte to stdout, and its description to stderr.

    Raises UsageError if landing has no such id or it belongs to another account, DrawdownError if its bytes have
    changed since they were landed.
    """
    from pipeline.cli.account_names import new_id
    from pipeline.landing.lookup import find_answer

    answer = find_answer(home.landing, fetch_id)
    owner = answer.account_id
    if owner != account_id and new_id(home, owner) != account_id:
        raise UsageError(
            f"the answer {fetch_id} is not {account_id}'s but {owner}'s: drawdown explain --bytes {fetch_id} {owner}"
        )
    what = (
        f"{answer.vendor} {answer.endpoint} for {answer.account_id}, {answer.fetched_at_utc:%Y-%m-%d %H:%M:%S} UTC: "
        f"{answer.outcome}, status {answer.status_code}",
        answer.request_url,
        f"{len(answer.body)} bytes, SHA-256 {answer.body_sha256}, checked",
    )
    print(printable_lines(what), file=sys.stderr)
    sys.stdout.flush()
    sys.stdout.buffer.write(answer.body)
    if sys.stdout.isatty():
        print()


class _Build:
    """One account in one build."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, account_id: str, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._account_id = account_id

    def sections(self) -> Section:
        status = self._status()
        [build] = self._rows("SELECT value FROM marts.build_info WHERE item = 'as_of_utc'")
        [account] = self._mine("SELECT ServiceProviderName FROM core.accounts WHERE account_id = $account")
        return {
            "account_id": self._account_id,
            "provider": account["ServiceProviderName"],
            "as_of_utc": datetime.fromisoformat(build["value"]),
            "read_at_utc": self._now,
            "status": self._in_short(status),
            "reading": self._reading(),
            "last_interval": self._interval("true"),
            "last_move": self._interval(_MOVED),
            "last_30_days": self._last_days(),
            "forecast": self._forecast(),
            "topup": self._topup(),
            "odd": self._odd(),
        }

    def _rows(self, query: str, *more: Any) -> list[Row]:
        result = self._connection.execute(query, list(more) or None)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def _mine(self, select: str) -> list[Row]:
        """Rows of a SELECT with `$account` bound to this account and `$as_of` to the build's instant."""
        as_of = "(SELECT CAST(value AS TIMESTAMPTZ) FROM marts.build_info WHERE item = 'as_of_utc')"
        return self._rows(select.replace("$account", f"'{self._account_id}'").replace("$as_of", as_of))

    def _query(self, table: str, more: str = "") -> str:
        """Statement for `drawdown sql` that shows the rows."""
        return f"from {table} where account_id = '{self._account_id}'{more}"

    def _status(self) -> Row:
        known = [row["account_id"] for row in self._rows("SELECT account_id FROM marts.account_status ORDER BY 1")]
        if self._account_id in known:
            aged = status_at(self._now)
            return self._mine(f"SELECT * EXCLUDE (as_of_utc) FROM ({aged}) WHERE account_id = $account")[0]
        if self._rows("SELECT 1 FROM core.accounts WHERE account_id = ?", self._account_id):
            raise UsageError(
                f"account {self._account_id} is no longer in accounts.toml; its history is in core: "
                f'drawdown sql "{self._query("core.balance_bridge")}"'
            )
        near = get_close_matches(self._account_id, known, n=3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(
            f"the newest build has no account {self._account_id[:63]!r}; {hint}known accounts: "
            f"{', '.join(known) or 'none'}"
        )

    def _in_short(self, status: Row) -> Section:
        """Section of the account's status, with the tables of the amounts that its reason names."""
        made = _section([status], "marts.account_status", self._query("marts.account_status"))
        if status["burn_28d_amount"] is not None:
            made["tables"].append("core.spend_daily")
        if status["method"] not in ("none", "mean_28d"):
            made["tables"].append("forecasts.current_runway")
        return made

    def _reading(self) -> Section:
        rows = self._mine(
            "SELECT observed_at_utc, balance_amount, unit_code, threshold_amount, limit_amount, unconfirmed_amount, "
            "resets_at_utc, quota_amount, effective_at_utc, fetch_id FROM core.balance_snapshots "
            "WHERE account_id = $account AND balance_amount IS NOT NULL ORDER BY observed_at_utc DESC LIMIT 1"
        )
        order = " order by observed_at_utc desc limit 1"
        made = _section(rows, "core.balance_snapshots", self._query("core.balance_snapshots", order))
        made["endpoints"] = self._mine(
            "SELECT endpoint, last_attempt_at_utc, last_observed_at_utc, outcome, status_code, reason, fetch_count, "
            "failed_fetch_count FROM marts.data_freshness WHERE account_id = $account ORDER BY endpoint"
        )
        made["tables"].append("marts.data_freshness")
        return made

    def _interval(self, condition: str) -> Section:
        rows = self._mine(
            f"SELECT * FROM core.balance_bridge WHERE account_id = $account AND ({condition}) "
            "ORDER BY closed_at_utc DESC LIMIT 1"
        )
        order = " order by closed_at_utc desc limit 1"
        made = _section(rows, "core.balance_bridge", self._query("core.balance_bridge", order))
        made["entries"] = []
        if rows and rows[0]["entry_ids"]:
            made["entries"] = self._rows(
                "SELECT entry_id, effective_at_utc, entry_amount, unit_code, entry_kind, entry_status, description, "
                "fetch_id FROM core.ledger_entries WHERE account_id = ? AND list_contains(string_split(?, ' '), "
                "entry_id) ORDER BY effective_at_utc, entry_id",
                self._account_id,
                rows[0]["entry_ids"],
            )
            made["tables"].append("core.ledger_entries")
            made["fetch_ids"] = _ids([*rows, *made["entries"]])
        return made

    def _last_days(self) -> Section:
        since = f"$as_of - INTERVAL {SUMMARY_DAYS} DAY"
        rows = self._mine(
            f"""
            SELECT unit_code, min(opened_at_utc) AS opened_at_utc, max(closed_at_utc) AS closed_at_utc,
                arg_min(opening_amount, closed_at_utc) AS opening_amount, {_SUMS},
                arg_max(closing_amount, closed_at_utc) AS closing_amount,
                sum(inferred_top_up_amount) AS inferred_top_up_amount, count(*) AS interval_count,
                sum(entry_count) AS entry_count, arg_min(opening_fetch_id, closed_at_utc) AS opening_fetch_id,
                arg_max(closing_fetch_id, closed_at_utc) AS closing_fetch_id
            FROM core.balance_bridge WHERE account_id = $account AND closed_at_utc > {since}
            GROUP BY unit_code ORDER BY max(closed_at_utc) DESC
            """
        )
        order = " order by closed_at_utc"
        made = _section(rows, "core.balance_bridge", self._query("core.balance_bridge", order))
        made["days"] = SUMMARY_DAYS
        made["other_units"] = rows[1:]
        made["spent_on"] = self._mine(
            f"""
            SELECT coalesce(description, entry_kind) AS what, entry_kind AS kind, sum(-entry_amount) AS spend_amount,
                unit_code, count(*) AS row_count, arg_max(fetch_id, effective_at_utc) AS fetch_id,
                'core.ledger_entries' AS table_name
            FROM core.ledger_entries
            WHERE account_id = $account AND effective_at_utc > {since} AND entry_status IN ('settled', 'unknown')
                AND entry_amount < 0
            GROUP BY coalesce(description, entry_kind), entry_kind, unit_code
            UNION ALL
            SELECT coalesce(resource_name, resource_id), resource_kind, sum(resource_amount), unit_code, count(*),
                arg_max(fetch_id, usage_date), 'core.resource_days'
            FROM core.resource_days
            WHERE account_id = $account AND usage_date > CAST({since} AS DATE) AND resource_amount > 0
            GROUP BY coalesce(resource_name, resource_id), resource_kind, unit_code
            UNION ALL
            SELECT strftime(usage_date, '%Y-%m-%d'), 'usage of the day', credits_amount, unit_code,
                1, fetch_id, 'core.usage_days'
            FROM core.usage_days
            WHERE account_id = $account AND usage_date > CAST({since} AS DATE) AND credits_amount > 0
                AND NOT EXISTS (SELECT 1 FROM core.resource_days WHERE account_id = $account AND resource_amount > 0)
            ORDER BY spend_amount DESC, what
            """
        )
        [known] = self._mine(
            "SELECT count(DISTINCT usage_date) AS days FROM core.resource_days "
            f"WHERE account_id = $account AND usage_date > CAST({since} AS DATE)"
        )
        made["resource_days"] = known["days"]
        made["spent_on_count"] = len(made["spent_on"])
        made["spent_on"] = made["spent_on"][:_MOST_THINGS]
        made["tables"] += dict.fromkeys(row["table_name"] for row in made["spent_on"])
        made["fetch_ids"] = _ids([*rows, *made["spent_on"]])
        return made

    def _forecast(self) -> Section:
        rows = self._mine("SELECT * FROM forecasts.current_runway WHERE account_id = $account")
        made = _section(rows, "forecasts.current_runway", self._query("forecasts.current_runway"))
        newest = "(SELECT max(issue_date) FROM forecasts.runway WHERE account_id = $account)"
        levels = "horizon_days, forecast_date, p10_amount, p50_amount, p90_amount, unit_code, issue_date, fetch_id"
        made["totals"] = self._mine(
            f"SELECT {levels} FROM forecasts.cost_total WHERE account_id = $account AND issue_date = {newest} "
            f"AND horizon_days IN {TOTAL_HORIZONS} ORDER BY horizon_days"
        )
        made["next_days"] = self._mine(
            f"SELECT {levels} FROM forecasts.cost_daily WHERE account_id = $account AND issue_date = {newest} "
            "AND horizon_days <= 7 ORDER BY horizon_days"
        )
        made["known_charges"] = self._mine(
            "SELECT due_date, charge_id, charge_amount, unit_code, cycle_months, description, is_automatic, fetch_id "
            "FROM core.known_charges WHERE account_id = $account ORDER BY due_date, charge_id"
        )
        made["planned"] = self._mine(
            "SELECT * FROM marts.planned_spend WHERE account_id = $account AND state <> 'over' "
            "ORDER BY from_date, plan_number"
        )
        if made["totals"]:
            made["tables"] += ["forecasts.cost_total", "forecasts.cost_daily"]
        if made["known_charges"]:
            made["tables"].append("core.known_charges")
        if made["planned"]:
            made["tables"].append("marts.planned_spend")
        if rows:
            made["fetch_ids"] = _ids([*made["totals"], *made["known_charges"]])
        return made

    def _topup(self) -> Section:
        rows = self._mine("SELECT * FROM forecasts.current_topup_plan WHERE account_id = $account")
        return _section(rows, "forecasts.current_topup_plan", self._query("forecasts.current_topup_plan"))

    def _odd(self) -> Section:
        made: Section = {
            "anomalies": self._mine(
                f"SELECT * FROM forecasts.anomalies WHERE account_id = $account "
                f"AND last_date > CAST($as_of AS DATE) - {_ANOMALY_DAYS} ORDER BY first_date DESC"
            ),
            "unexplained": self._mine(
                f"""
                SELECT unexplained_class, unit_code, count(*) AS interval_count,
                    sum(unexplained_amount) AS unexplained_amount, max(closed_at_utc) AS closed_at_utc,
                    arg_max(closing_fetch_id, closed_at_utc) AS fetch_id
                FROM core.balance_bridge
                WHERE account_id = $account AND unexplained_class IS NOT NULL
                    AND closed_at_utc > $as_of - INTERVAL {SUMMARY_DAYS} DAY
                GROUP BY unexplained_class, unit_code ORDER BY unexplained_class, unit_code
                """
            ),
            "rejects": self._mine(
                """
                SELECT endpoint, column_name, check_name, count(*) AS row_count, arg_max(redacted_value, fetch_id)
                    AS redacted_value, max(observed_at_utc) AS observed_at_utc, max(fetch_id) AS fetch_id
                FROM staging.rejects WHERE account_id = $account
                GROUP BY endpoint, column_name, check_name ORDER BY endpoint, column_name, check_name
                """
            ),
            "schema_drift": self._mine(
                "SELECT endpoint, column_name, check_name, redacted_value, first_observed_at_utc, fetch_id "
                "FROM staging.schema_drift WHERE account_id = $account AND check_name <> 'rounded_amount' "
                "ORDER BY endpoint, column_name, check_name"
            ),
            "failing_endpoints": self._mine(
                "SELECT endpoint, outcome, status_code, reason, last_attempt_at_utc, failed_fetch_count "
                "FROM marts.data_freshness WHERE account_id = $account AND outcome <> 'ok' ORDER BY endpoint"
            ),
        }
        tables = {
            "anomalies": "forecasts.anomalies",
            "unexplained": "core.balance_bridge",
            "rejects": "staging.rejects",
            "schema_drift": "staging.schema_drift",
            "failing_endpoints": "marts.data_freshness",
        }
        there = [table for name, table in tables.items() if made[name]]
        made["fetch_ids"] = _ids([row for name in ("unexplained", "rejects", "schema_drift") for row in made[name]])
        made["tables"] = there
        made["query"] = self._query(there[0]) if there else None
        return made


def _section(rows: list[Row], table: str, query: str) -> Section:
    return {
        "row": rows[0] if rows else None,
        "tables": [table],
        "fetch_ids": _ids(rows),
        "query": query,
    }


def _ids(rows: list[Row]) -> list[str]:
    """Ids of the answers behind rows, in order, without repetition."""
    names = ("opening_fetch_id", "closing_fetch_id", "fetch_id")
    return list(dict.fromkeys(row[name] for row in rows for name in names if row.get(name)))
