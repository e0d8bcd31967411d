"""The accounts as Prometheus metrics, in both of its text formats, written by prometheus-client.

A sample is a float64, as everywhere in Prometheus: exact amounts are in SQL. All families are gauges, because
node_exporter refuses a type that only OpenMetrics has. Unknown values have no sample: a missing balance is never 0.
`drawdown_account_reading_fresh` exists for every account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from pipeline import __version__
from pipeline.models.status_at import status_at
from pipeline.schema.limits import SUMMARY_DAYS
from pipeline.schema.scopes import NO_TEAM
from pipeline.schema.severities import SEVERITIES
from pipeline.support.home import Home, atomic_file
from pipeline.support.last_run import LastRun
from pipeline.warehouse.reader import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A family of samples: one for each row (account, endpoint, build) and each value of its own label."""

    name: str
    """Without the prefix; ends with its unit."""
    doc: str
    value: Mapping[str, str]
    """Values of `label`, and the SQL expression of each; a single entry with an empty name if there is no label."""
    label: str = ""


Samples = Iterable[tuple[Sequence[str], float]]
"""Label values, and the number."""


def _gauge(name: str, doc: str, labels: Sequence[str] = (), samples: Samples = ()) -> GaugeMetricFamily:
    unit = "seconds" if name.endswith("_seconds") else ""
    family = GaugeMetricFamily(f"drawdown_{name}", doc, labels=labels, unit=unit)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _one(name: str, expression: str, doc: str) -> Metric:
    return Metric(name=name, doc=doc, value={"": expression})


def _instant(expression: str) -> str:
    """Seconds since 1970 of an instant or a day."""
    return f"epoch(CAST({expression} AS TIMESTAMPTZ))"


ACCOUNTS: Final = (
    _one(
        "account_balance",
        "balance_amount",
        "The balance as last read, in the unit of its label; absent if unknown.",
    ),
    _one("account_threshold", "threshold_amount", "The threshold that the vendor holds for the account."),
    _one(
        "account_quota_reset_timestamp_seconds",
        _instant("resets_at_utc"),
        "When the vendor sets the balance back to its full size, as last stated; absent if it never does.",
    ),
    _one(
        "account_quota_exhaustion_probability",
        "depleted_before_reset_probability",
        "Probability that the quota is used up before its next reset; from 0 to 1.",
    ),
    _one(
        "account_reading_fresh",
        "CASE WHEN reading_state = 'fresh' THEN 1 ELSE 0 END",
        "1 if the reading is fresh; 0 if it is stale or there is none.",
    ),
    _one(
        "account_stale_after_seconds",
        "stale_after_seconds",
        "The age from which a reading of the account is stale.",
    ),
    _one(
        "account_reading_age_seconds",
        "age_seconds",
        "Age of the newest good reading when these metrics were made.",
    ),
    _one("account_reading_timestamp_seconds", _instant("observed_at_utc"), "When the newest good reading was made."),
    Metric(
        name="account_depletion_probability",
        label="horizon_days",
        doc="Probability that the account runs dry within this many days of its reading; from 0 to 1.",
        value={"7": "depleted_7d_probability", "30": "depleted_30d_probability"},
    ),
    Metric(
        name="account_runway_seconds",
        label="percentile",
        doc="Time from the reading to the day by which the account has run dry with this probability in percent.",
        value={
            each: f"(runway_p{each}_date - CAST(observed_at_utc AT TIME ZONE 'UTC' AS DATE)) * 86400"
            for each in ("10", "50", "90")
        },
    ),
    Metric(
        name="account_depletion_timestamp_seconds",
        label="percentile",
        doc="Midnight of the UTC day by which the account has run dry with this probability in percent.",
        value={each: _instant(f"runway_p{each}_date") for each in ("10", "50", "90")},
    ),
    Metric(
        name="account_daily_spend",
        label="window_days",
        doc="Mean spend a day over this many complete, observed days.",
        value={"7": "burn_7d_amount", "28": "burn_28d_amount"},
    ),
    Metric(
        name="account_unexplained",
        label="window_days",
        doc="Sum of unexplained balance changes, up or down, in intervals that closed within this many days.",
        value={str(SUMMARY_DAYS): "unexplained_amount"},
    ),
    Metric(
        name="account_severity",
        label="severity",
        doc="1 for the severity of the account by its last good balance, also if that is stale; 0 for the others.",
        value={each: f"CASE WHEN severity = '{each}' THEN 1 ELSE 0 END" for each in SEVERITIES},
    ),
    _one(
        "account_topup",
        "coalesce(topup_gross_amount, topup_amount)",
        "The amount of the next top-up, with tax if its rate is known.",
    ),
    _one(
        "account_topup_order_timestamp_seconds",
        _instant("order_by_date"),
        "Midnight of the last UTC day to order the top-up.",
    ),
)
"""Labelled by account, vendor, team and unit."""

ENDPOINTS: Final = (
    _one(
        "endpoint_last_success_timestamp_seconds",
        _instant("last_observed_at_utc"),
        "When an endpoint of the account last succeeded.",
    ),
    _one(
        "endpoint_last_attempt_timestamp_seconds",
        _instant("last_attempt_at_utc"),
        "When an endpoint of the account was last requested.",
    ),
)
"""Labelled by account, vendor and endpoint."""

MONTHS: Final = (
    Metric(
        name="month_spend",
        label="percentile",
        doc="Spend of the running UTC month as expected at its end, not exceeded with this probability in percent.",
        value={each: f"total_p{each}_amount" for each in ("10", "50", "90")},
    ),
    _one("month_spent", "spent_amount", "Spend of the complete days of the running UTC month."),
    _one("month_budget", "budget_amount", "Budget of the running UTC month, in budget_unit."),
    _one(
        "month_over_budget_probability",
        "over_budget_probability",
        "Probability that the month's spend exceeds its budget; from 0 to 1.",
    ),
)
"""Labelled by scope (account, team, fleet), its id, unit and the budget's unit."""

BUILDS: Final = (
    _one("build_timestamp_seconds", _instant("built_at_utc"), "When the published build was made."),
    _one("build_as_of_timestamp_seconds", _instant("as_of_utc"), "The instant that the published build describes."),
)

_UNEXPLAINED = f"""
    SELECT account_id, unit_code, sum(abs(unexplained_amount)) AS unexplained_amount
    FROM core.balance_bridge
    WHERE closed_at_utc > (SELECT CAST(value AS TIMESTAMPTZ) FROM marts.build_info WHERE item = 'as_of_utc')
        - INTERVAL {SUMMARY_DAYS} DAY
    GROUP BY account_id, unit_code
"""
_RUNNING_MONTHS = "SELECT *, scope_id AS account_id FROM marts.month_outlook WHERE month_state = 'running'"
_BUILD_ROW = """
    SELECT
        max(CASE WHEN item = 'built_at_utc' THEN value END) AS built_at_utc,
        max(CASE WHEN item = 'as_of_utc' THEN value END) AS as_of_utc,
        max(CASE WHEN item = 'reporting_unit_code' THEN value END) AS reporting_unit_code,
        max(CASE WHEN item = 'version_id' THEN value END) AS version_id
    FROM marts.build_info
"""


class Metrics(Collector):
    """Families of samples, as prometheus-client's encoders expect them."""

    def __init__(self, families: Sequence[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Sequence[GaugeMetricFamily]:
        """All families, in their order."""
        return self._families


def read_metrics(current: Path, now: datetime, last_run: LastRun | None = None) -> Metrics:
    """Metrics of the newest build, and of the last run; ages are counted to `now`.

    Raises DrawdownError if nothing is published, or the build is of another version.
    """
    with reading(current) as connection:
        return metrics_of(connection, now, last_run)


def publish_metrics(home: Home, now: datetime, last_run: LastRun | None) -> Path:
    """Write `published/metrics/drawdown.prom` from the current build and the result of the last run, replaced whole.

    Raises DrawdownError as `read_metrics` does, or OSError; the file is then unchanged.
    """
    path = home.published / "metrics" / "drawdown.prom"
    text = generate_latest(read_metrics(home.current, now, last_run))
    with atomic_file(path) as temporary:
        temporary.write_bytes(text)
    return path


def metrics_of(connection: duckdb.DuckDBPyConnection, now: datetime, last_run: LastRun | None = None) -> Metrics:
    """Metrics of an open build, with ages and severities as of `now`."""
    accounts = (
        f"SELECT status.*, unexplained.unexplained_amount FROM ({status_at(now)}) AS status LEFT JOIN ({_UNEXPLAINED}) "
        "AS unexplained ON status.account_id = unexplained.account_id AND status.unit_code = unexplained.unit_code"
    )
    failed: set[str] = set()
    own = {"account": "account_id", "vendor": "vendor", "team": f"coalesce(team, '{NO_TEAM}')", "unit": "unit_code"}
    of_accounts = _families(connection, ACCOUNTS, accounts, own, failed)
    own = {"account": "account_id", "vendor": "vendor", "endpoint": "endpoint"}
    of_endpoints = _families(connection, ENDPOINTS, "SELECT * FROM marts.data_freshness", own, failed)
    own = {
        "scope": "scope",
        "id": "scope_id",
        "unit": "unit_code",
        "budget_unit": "coalesce(budget_unit_code, unit_code)",
    }
    of_months = _families(connection, MONTHS, _RUNNING_MONTHS, own, failed)
    names = connection.execute("SELECT account_id FROM marts.account_status ORDER BY account_id").fetchall()
    complete = _gauge(
        "account_metrics_complete",
        "1 if all samples of the account could be computed; 0 if some are missing.",
        ["account"],
        [([name], int(name not in failed)) for (name,) in names],
    )
    made = connection.execute(f"SELECT version_id, reporting_unit_code FROM ({_BUILD_ROW})").fetchall()
    info = _gauge(
        "build_info",
        "Version that made the published build, and currency of fleet totals; always 1.",
        ["version", "reporting_unit"],
        [([version or __version__, reporting or "unknown"], 1) for version, reporting in made],
    )
    of_builds = _families(connection, BUILDS, _BUILD_ROW, {}, failed)
    of_runs = _of_runs(last_run) if last_run else ()
    return Metrics([*of_accounts, complete, *of_endpoints, *of_months, *of_builds, info, *of_runs])


def _of_runs(last_run: LastRun) -> list[GaugeMetricFamily]:
    """Metrics of the last run, not of the build."""
    doc = "1 if the last run failed, so that the build is from an earlier run; otherwise 0."
    return [
        _gauge("last_run_failed", doc, samples=[((), not last_run.is_ok)]),
        _gauge(
            "last_run_timestamp_seconds",
            "When the last run ended, by its own clock.",
            samples=[((), last_run.ended_at_utc.timestamp())],
        ),
        _gauge(
            "failed_runs_in_a_row",
            "Consecutive failed runs since a build was last published.",
            samples=[((), last_run.failed_run_count)],
        ),
    ]


def _families(
    connection: duckdb.DuckDBPyConnection,
    metrics: Sequence[Metric],
    rows: str,
    labels: Mapping[str, str],
    failed: set[str],
) -> list[GaugeMetricFamily]:
    """Families of one kind of row, in the order of the rows' labels, of which the first is the account.

    Samples that cannot be computed for an account are left out for it, and it joins `failed`.
    """
    expressions = [expression for metric in metrics for expression in metric.value.values()]
    order = f" ORDER BY {', '.join(str(place) for place in range(1, len(labels) + 1))}" if labels else ""
    query = f"SELECT {', '.join([*labels.values(), *expressions])} FROM ({rows})"
    found = _rows(connection, query, order, failed) if labels else connection.execute(query).fetchall()
    families = []
    place = len(labels)
    for metric in metrics:
        names = [*labels, *filter(None, [metric.label])]
        samples = [
            ([*row[: len(labels)], *filter(None, [label])], float(row[place + offset]))
            for row in found
            for offset, label in enumerate(metric.value)
            if row[place + offset] is not None
        ]
        families.append(_gauge(metric.name, metric.doc, names, samples))
        place += len(metric.value)
    return families


def _rows(connection: duckdb.DuckDBPyConnection, query: str, order: str, failed: set[str]) -> list[tuple[Any, ...]]:
    """Rows of all accounts except those whose part of the query fails."""
    try:
        return connection.execute(query + order).fetchall()
    except (duckdb.CatalogException, duckdb.BinderException):
        raise
    except duckdb.Error:
        pass
    found: list[tuple[Any, ...]] = []
    for (account_id,) in connection.execute("SELECT account_id FROM marts.account_status ORDER BY 1").fetchall():
        try:
            found += connection.execute(f"{query} WHERE account_id = ?{order}", [account_id]).fetchall()
        except duckdb.Error:
            failed.add(account_id)
    return found
