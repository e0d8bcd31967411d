"""The accounts as metrics: OpenMetrics text that Prometheus' older text format reads as the same.

Written here and not by a metrics library, because those turn each value into a float: what is DECIMAL stands here with
every digit. All families are gauges, for a type that only OpenMetrics knows would be an error to node_exporter.

What is not known has no sample: no balance is never 0. `drawdown_account_reading_fresh` is there for every account.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import duckdb

from pipeline import __version__
from pipeline.models.status_at import status_at
from pipeline.schema.severities import SEVERITIES
from pipeline.support.home import Home, atomic_file
from pipeline.support.last_run import LastRun
from pipeline.warehouse.reader import reading

OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""The content type of the text."""
PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The content type of the same text for those who know only the older format."""

UNEXPLAINED_DAYS: Final = 30
_PREFIX = "drawdown_"
# A unit of OpenMetrics is the end of the name.
_UNITS = ("seconds",)
_QUALITY = re.compile(r"q=(0(\.\d{1,3})?|1(\.0{1,3})?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A family of samples, one for each account (or endpoint, or build) and value of its own label."""

    name: str
    """Without the prefix; its end tells its unit."""
    doc: str
    value: Mapping[str, str] = field(default_factory=dict)
    """Values of `label`, and the SQL expression of each; one entry under an empty name where there is no label."""
    label: str = ""


def _one(name: str, expression: str, doc: str) -> Metric:
    return Metric(name=name, doc=doc, value={"": expression})


def _instant(expression: str) -> str:
    """Seconds since 1970 of an instant or a day, exact to the microsecond."""
    return f"CAST(epoch_us(CAST({expression} AS TIMESTAMPTZ)) AS DECIMAL(20, 0)) * 0.000001"


ACCOUNTS: Final = (
    _one(
        "account_balance",
        "balance_amount",
        "The balance as last read, in the unit of its label; absent where none is known.",
    ),
    _one("account_threshold", "threshold_amount", "The threshold that the vendor holds for the account."),
    _one(
        "account_reading_fresh",
        "CASE WHEN reading_state = 'fresh' THEN 1 ELSE 0 END",
        "1 where the newest request gave the balance and is not old; 0 where the reading is stale or there is none.",
    ),
    _one(
        "account_stale_after_seconds",
        "stale_after_seconds",
        "The age at which a reading of the account no longer says how things are now.",
    ),
    _one(
        "account_reading_age_seconds",
        "age_seconds",
        "Age of the newest good reading when this text was made.",
    ),
    _one("account_reading_timestamp_seconds", _instant("observed_at_utc"), "When the newest good reading was made."),
    Metric(
        name="account_depletion_probability",
        label="horizon_days",
        doc="Probability that the account runs dry within so many days of its reading; from 0 to 1.",
        value={"7": "depleted_7d_probability", "30": "depleted_30d_probability"},
    ),
    Metric(
        name="account_runway_seconds",
        label="percentile",
        doc="From the day of the reading to the day by which the account has run dry with this chance in a hundred.",
        value={
            each: f"(runway_p{each}_date - CAST(observed_at_utc AT TIME ZONE 'UTC' AS DATE)) * 86400"
            for each in ("10", "50", "90")
        },
    ),
    Metric(
        name="account_depletion_timestamp_seconds",
        label="percentile",
        doc="The UTC day by which the account has run dry with this chance in a hundred, its midnight.",
        value={each: _instant(f"runway_p{each}_date") for each in ("10", "50", "90")},
    ),
    Metric(
        name="account_daily_spend",
        label="window_days",
        doc="Mean spend a day over so many complete, observed days.",
        value={"7": "burn_7d_amount", "28": "burn_28d_amount"},
    ),
    Metric(
        name="account_unexplained",
        label="window_days",
        doc="Sum of what the balance moved by beyond all that is known, up or down, in intervals closed in these days.",
        value={str(UNEXPLAINED_DAYS): "unexplained_amount"},
    ),
    Metric(
        name="account_severity",
        label="severity",
        doc="1 for how urgent the account is by its last good balance, also where that is stale; 0 for all else.",
        value={each: f"CASE WHEN severity = '{each}' THEN 1 ELSE 0 END" for each in SEVERITIES},
    ),
    _one(
        "account_topup",
        "coalesce(topup_gross_amount, topup_amount)",
        "The next top-up as it is to be paid: with tax where its rate is known.",
    ),
    _one(
        "account_topup_order_timestamp_seconds", _instant("order_by_date"), "The UTC day to order it by, its midnight."
    ),
)
"""Labelled by account, vendor, team and unit."""

ENDPOINTS: Final = (
    _one(
        "endpoint_last_success_timestamp_seconds",
        _instant("last_observed_at_utc"),
        "When an endpoint of the account last answered well.",
    ),
    _one(
        "endpoint_last_attempt_timestamp_seconds",
        _instant("last_attempt_at_utc"),
        "When an endpoint of the account was last asked.",
    ),
)
"""Labelled by account, vendor and endpoint."""

BUILDS: Final = (
    _one("build_timestamp_seconds", _instant("built_at_utc"), "When the published build was made."),
    _one("build_as_of_timestamp_seconds", _instant("as_of_utc"), "The instant that the published build speaks of."),
)

RUNS: Final = (
    _one("last_run_failed", "", "1 where the last run failed and the build is that of a run before it; else 0."),
    _one("last_run_timestamp_seconds", "", "When the last run ended, by its own clock."),
    _one("failed_runs_in_a_row", "", "How many runs have failed since one last published a build."),
)
"""Not of the build but of how the last run ended; absent where nothing tells."""

_UNEXPLAINED = f"""
    SELECT account_id, unit_code, sum(abs(unexplained_amount)) AS unexplained_amount
    FROM core.balance_bridge
    WHERE closed_at_utc > (SELECT CAST(value AS TIMESTAMPTZ) FROM marts.build_info WHERE item = 'as_of_utc')
        - INTERVAL {UNEXPLAINED_DAYS} DAY
    GROUP BY account_id, unit_code
"""
_BUILD_ROW = """
    SELECT
        max(CASE WHEN item = 'built_at_utc' THEN value END) AS built_at_utc,
        max(CASE WHEN item = 'as_of_utc' THEN value END) AS as_of_utc,
        max(CASE WHEN item = 'reporting_unit_code' THEN value END) AS reporting_unit_code,
        max(CASE WHEN item = 'version_id' THEN value END) AS version_id
    FROM marts.build_info
"""


def read_metrics(current: Path, now: datetime, last_run: LastRun | None = None) -> str:
    """The metrics of the newest build, and of how the last run ended; `now` is what ages are counted to.

    Raises DrawdownError where nothing is published, or what is there is another version's.
    """
    with reading(current) as connection:
        return metrics_text(connection, now, last_run)


def publish_metrics(home: Home, now: datetime, last_run: LastRun | None) -> Path:
    """Write `published/metrics/drawdown.prom` from the current build and how the last run ended, replaced whole.

    Raises DrawdownError as `read_metrics` does, OSError; then the file stays as it was.
    """
    path = home.published / "metrics" / "drawdown.prom"
    text = read_metrics(home.current, now, last_run)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def metrics_text(connection: duckdb.DuckDBPyConnection, now: datetime, last_run: LastRun | None = None) -> str:
    """The metrics of an open build, ages and severities as they are at `now`."""
    lines: list[str] = []
    accounts = (
        f"SELECT status.*, unexplained.unexplained_amount FROM ({status_at(now)}) AS status LEFT JOIN ({_UNEXPLAINED}) "
        "AS unexplained ON status.account_id = unexplained.account_id AND status.unit_code = unexplained.unit_code"
    )
    own = {"account": "account_id", "vendor": "vendor", "team": "coalesce(team, 'unassigned')", "unit": "unit_code"}
    of_accounts = _families(connection, ACCOUNTS, accounts, own)
    of_endpoints = _families(
        connection,
        ENDPOINTS,
        "SELECT * FROM marts.data_freshness",
        {"account": "account_id", "vendor": "vendor", "endpoint": "endpoint"},
    )
    lines += of_accounts.lines
    lines += _completeness(connection, of_accounts.failed | of_endpoints.failed)
    lines += of_endpoints.lines
    lines += _families(connection, BUILDS, _BUILD_ROW, {}).lines
    info = Metric(name="build_info", doc="What made the published build, and what fleet totals are in; always 1.")
    made = connection.execute(f"SELECT reporting_unit_code, version_id FROM ({_BUILD_ROW})").fetchall()
    lines += _header(info)
    lines += [
        _sample(info, {"version": version or __version__, "reporting_unit": reporting or "unknown"}, 1)
        for reporting, version in made
    ]
    lines += _of_runs(last_run)
    return "\n".join([*lines, "# EOF\n"])


def _of_runs(last_run: LastRun | None) -> list[str]:
    if last_run is None:
        return []
    ended = Decimal(round(last_run.ended_at_utc.timestamp() * 1_000_000)).scaleb(-6)
    values: tuple[Decimal | int, ...] = (int(not last_run.is_ok), ended, last_run.failed_run_count)
    return [
        line
        for metric, value in zip(RUNS, values, strict=True)
        for line in (*_header(metric), _sample(metric, {}, value))
    ]


@dataclass(frozen=True, slots=True)
class _Families:
    """Lines of text, and the accounts whose samples are not all among them."""

    lines: list[str]
    failed: set[str]


def _families(
    connection: duckdb.DuckDBPyConnection, metrics: Iterable[Metric], rows: str, labels: Mapping[str, str]
) -> _Families:
    """The families of one kind of row, each with its header, in the order of the rows' labels.

    The first label is the account. What cannot be computed or spelled of one account is left out for that account.
    """
    metrics = list(metrics)
    expressions = [expression for metric in metrics for expression in metric.value.values()]
    order = f" ORDER BY {', '.join(str(place) for place in range(1, len(labels) + 1))}" if labels else ""
    query = f"SELECT {', '.join([*labels.values(), *expressions])} FROM ({rows})"
    found, failed = _rows(connection, query, order, is_by_account=bool(labels))
    lines = []
    place = len(labels)
    for metric in metrics:
        lines += _header(metric)
        for row in found:
            for offset, label in enumerate(metric.value):
                value = row[place + offset]
                if value is not None:
                    own = {metric.label: label} if metric.label else {}
                    try:
                        lines.append(_sample(metric, {**dict(zip(labels, row, strict=False)), **own}, value))
                    except Exception:
                        failed.add(row[0])
        place += len(metric.value)
    return _Families(lines, failed)


def _rows(
    connection: duckdb.DuckDBPyConnection, query: str, order: str, *, is_by_account: bool
) -> tuple[list[tuple[Any, ...]], set[str]]:
    """The rows of all accounts, and the accounts whose rows cannot be computed: their part of the query fails."""
    try:
        return connection.execute(query + order).fetchall(), set()
    except (duckdb.CatalogException, duckdb.BinderException):
        raise
    except duckdb.Error:
        if not is_by_account:
            raise
    found: list[tuple[Any, ...]] = []
    failed = set()
    for (account_id,) in connection.execute("SELECT account_id FROM marts.account_status ORDER BY 1").fetchall():
        try:
            found += connection.execute(f"{query} WHERE account_id = ?{order}", [account_id]).fetchall()
        except duckdb.Error:
            failed.add(account_id)
    return found, failed


def _completeness(connection: duckdb.DuckDBPyConnection, failed: set[str]) -> list[str]:
    """Whether each account's samples are all there."""
    metric = Metric(
        name="account_metrics_complete",
        doc="1 where all samples of the account could be made; 0 where some are missing for a reason of its own.",
    )
    accounts = connection.execute("SELECT account_id FROM marts.account_status ORDER BY account_id").fetchall()
    return _header(metric) + [_sample(metric, {"account": name}, int(name not in failed)) for (name,) in accounts]


def _header(metric: Metric) -> list[str]:
    name = _PREFIX + metric.name
    unit = next((unit for unit in _UNITS if name.endswith(f"_{unit}")), None)
    return [
        f"# HELP {name} {_escaped(metric.doc)}",
        f"# TYPE {name} gauge",
        *([f"# UNIT {name} {unit}"] if unit else []),
    ]


def _sample(metric: Metric, labels: Mapping[str, Any], value: Decimal | float) -> str:
    inside = ",".join(f'{name}="{_escaped(str(text))}"' for name, text in labels.items())
    return f"{_PREFIX}{metric.name}{f'{{{inside}}}' if inside else ''} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: Decimal | float) -> str:
    """A number in text, with every digit of a decimal and no noughts behind them."""
    if isinstance(value, Decimal):
        text = format(value, "f")
        return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
    return repr(value)


def content_type(accept: str) -> str:
    """Which of the two names for the text a client would rather hear, by its Accept header."""
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for part in accept.split(","):
        kind, *parameters = [each.strip().lower() for each in part.split(";")]
        if kind in weights:
            match = next(filter(None, map(_QUALITY.fullmatch, parameters)), None)
            weights[kind] = max(weights[kind], float(match[1]) if match else 1.0)
    wants = weights["application/openmetrics-text"]
    return OPENMETRICS if wants > 0 and wants >= weights["text/plain"] else PROMETHEUS
