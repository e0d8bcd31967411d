"""The metrics agree with the tables, in text that the parsers of both formats accept."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
import yaml
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from pipeline.published.metrics import metrics_of, read_metrics
from pipeline.schema.severities import SEVERITIES
from pipeline.support.last_run import LastRun, read_last_run
from tests.published.conftest import EXACT, NOW, TEAM, World

NAMES = """
    drawdown_account_balance drawdown_account_threshold drawdown_account_reading_fresh
    drawdown_account_stale_after_seconds drawdown_account_metrics_complete
    drawdown_account_reading_timestamp_seconds drawdown_account_reading_age_seconds
    drawdown_account_depletion_probability drawdown_account_runway_seconds
    drawdown_account_depletion_timestamp_seconds drawdown_account_daily_spend drawdown_account_unexplained
    drawdown_account_quota_reset_timestamp_seconds drawdown_account_quota_exhaustion_probability
    drawdown_account_severity drawdown_account_topup drawdown_account_topup_order_timestamp_seconds
    drawdown_endpoint_last_success_timestamp_seconds drawdown_endpoint_last_attempt_timestamp_seconds
    drawdown_month_spend drawdown_month_spent drawdown_month_budget drawdown_month_over_budget_probability
    drawdown_build_timestamp_seconds drawdown_build_as_of_timestamp_seconds drawdown_build_info
    drawdown_last_run_failed drawdown_last_run_timestamp_seconds drawdown_failed_runs_in_a_row
""".split()
RULES = Path(__file__).parents[2] / "docs" / "deploy" / "prometheus-rules.yml"


def metrics_text(connection: duckdb.DuckDBPyConnection, now: datetime, last_run: LastRun | None = None) -> str:
    """The OpenMetrics text of an open build."""
    return str(openmetrics_text(metrics_of(connection, now, last_run)), "utf-8")


@pytest.fixture(scope="session")
def text(connection: duckdb.DuckDBPyConnection) -> str:
    return metrics_text(connection, NOW, LastRun(run_id="r", ended_at_utc=NOW, is_ok=True))


@pytest.fixture(scope="session")
def families(text: str) -> dict[str, Family]:
    return {family.name: family for family in openmetrics(text)}


def samples(family: Family, **labels: str) -> dict[str, float]:
    """Values by account of the samples with these labels."""
    return {
        sample.labels["account"]: sample.value
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    }  # fmt: skip


def test_both_formats_parsers_read_it_and_find_the_same(
    connection: duckdb.DuckDBPyConnection, families: dict[str, Family]
) -> None:
    found = metrics_of(connection, NOW, LastRun(run_id="r", ended_at_utc=NOW, is_ok=True))
    older = {family.name: family for family in prometheus(generate_latest(found).decode())}

    assert set(older) == set(families)
    for name, family in families.items():
        assert family.type == older[name].type == "gauge"
        assert [(each.name, each.labels, each.value) for each in family.samples] == [
            (each.name, each.labels, each.value) for each in older[name].samples
        ]
        assert family.documentation.endswith(".")
        assert family.unit == ("seconds" if name.endswith("_seconds") else "")
        assert family.samples, name
    # Dashboards and alerts depend on these names.
    assert set(families) == set(NAMES)


def test_each_account_has_the_values_of_its_row(
    connection: duckdb.DuckDBPyConnection, families: dict[str, Family]
) -> None:
    plain = {
        "balance": "balance_amount",
        "threshold": "threshold_amount",
        "reading_fresh": "CASE WHEN reading_state = 'fresh' THEN 1 ELSE 0 END",
        "reading_timestamp_seconds": "epoch(observed_at_utc)",
        "reading_age_seconds": f"{NOW.timestamp()} - epoch(observed_at_utc)",
        "topup": "coalesce(topup_gross_amount, topup_amount)",
        "topup_order_timestamp_seconds": "epoch(order_by_date)",
    }
    labelled = {
        ("depletion_probability", "horizon_days", "7"): "depleted_7d_probability",
        ("depletion_probability", "horizon_days", "30"): "depleted_30d_probability",
        ("daily_spend", "window_days", "7"): "burn_7d_amount",
        ("daily_spend", "window_days", "28"): "burn_28d_amount",
        **{("depletion_timestamp_seconds", "percentile", p): f"epoch(runway_p{p}_date)" for p in ("10", "50", "90")},
        **{
            ("runway_seconds", "percentile", p): f"epoch(runway_p{p}_date) - epoch(observed_at_utc::date)"
            for p in ("10", "50", "90")
        },
        **{("severity", "severity", s): f"CASE WHEN severity = '{s}' THEN 1 ELSE 0 END" for s in SEVERITIES},
    }
    checks = [(name, {}, sql) for name, sql in plain.items()]
    checks += [(name, {label: value}, sql) for (name, label, value), sql in labelled.items()]
    for name, labels, sql in checks:
        rows = connection.execute(f"SELECT account_id, CAST({sql} AS DOUBLE) FROM marts.account_status").fetchall()
        wanted = {account: value for account, value in rows if value is not None}
        assert samples(families[f"drawdown_account_{name}"], **labels) == wanted, (name, labels)


def test_an_unknown_value_has_no_sample_but_a_state(families: dict[str, Family]) -> None:
    speaking = {name.removeprefix("drawdown_account_") for name, family in families.items() if "unread" in {
        sample.labels.get("account") for sample in family.samples
    }}  # fmt: skip
    assert speaking == {
        "reading_fresh", "severity", "stale_after_seconds", "metrics_complete",
        "drawdown_endpoint_last_attempt_timestamp_seconds",
    }  # fmt: skip
    assert samples(families["drawdown_account_reading_fresh"]) == {"main": 1, "long": 0, "unread": 0}
    assert samples(families["drawdown_account_severity"], severity="unknown")["unread"] == 1
    # One has no known order, and nothing is known of the other.
    assert samples(families["drawdown_account_topup"]) == {"main": 120, "long": 0}
    assert samples(families["drawdown_account_runway_seconds"], percentile="50") == {"main": 5 * 86400}


def test_an_old_build_becomes_stale_and_urgent(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    later = {family.name: family for family in openmetrics(metrics_text(connection, NOW + timedelta(days=27)))}

    assert samples(later["drawdown_account_reading_fresh"]) == {"main": 0, "long": 0, "unread": 0}
    assert samples(later["drawdown_account_reading_age_seconds"])["main"] == 27 * 86400 + 29.75
    # One chance in ten of being dry by 10 November was no reason for concern on 7 October.
    assert samples(later["drawdown_account_severity"], severity="warning") == {"main": 0, "long": 1, "unread": 0}
    # Readers of the file alone can judge by its timestamps.
    assert samples(later["drawdown_account_stale_after_seconds"])["main"] == 93600


def test_one_account_whose_samples_cannot_be_made_costs_no_other_its_own(connection: duckdb.DuckDBPyConnection) -> None:
    whole = metrics_text(connection, NOW)
    order = "UPDATE marts.account_status SET order_by_date = {} WHERE account_id = 'long'"
    try:
        # A day that no instant can represent.
        connection.execute(order.format("DATE '4000000-01-01'"))
        broken = metrics_text(connection, NOW)
    finally:
        connection.execute(order.format("NULL"))

    families = {family.name: family for family in openmetrics(broken)}
    assert samples(families["drawdown_account_metrics_complete"]) == {"main": 1, "long": 0, "unread": 1}
    of_others = [line for line in whole.splitlines() if 'account="long"' not in line]
    assert [line for line in broken.splitlines() if 'account="long"' not in line] == of_others
    assert len(of_others) < len(whole.splitlines())


def test_metrics_have_the_last_runs_result(connection: duckdb.DuckDBPyConnection) -> None:
    at = datetime(2026, 10, 7, 9, 0, 1, 250000, tzinfo=UTC)
    failed = LastRun(run_id="r", ended_at_utc=at, is_ok=False, failed_since_utc=at, failed_run_count=3)
    for last_run, values in (
        (failed, (1, 1791363601.25, 3)),
        (LastRun(run_id="r", ended_at_utc=at, is_ok=True), (0, 1791363601.25, 0)),
    ):
        found = {family.name: family for family in openmetrics(metrics_text(connection, NOW, last_run))}
        names = ("drawdown_last_run_failed", "drawdown_last_run_timestamp_seconds", "drawdown_failed_runs_in_a_row")
        assert tuple(sample.value for name in names for sample in found[name].samples) == values
    # Without a source, there is no sample.
    assert "drawdown_last_run" not in metrics_text(connection, NOW)


def test_amounts_and_instants_are_the_nearest_float64(families: dict[str, Family]) -> None:
    assert samples(families["drawdown_account_balance"]) == {"main": float(EXACT), "long": -0.5}
    assert samples(families["drawdown_account_reading_timestamp_seconds"])["main"] == 1791363570.25


def test_labels_are_the_accounts_and_survive_unusual_characters(families: dict[str, Family]) -> None:
    labels = [sample.labels for sample in families["drawdown_account_balance"].samples]
    assert labels == [
        {"account": "long", "vendor": "vpsbg", "team": "unassigned", "unit": "EUR"},
        {"account": "main", "vendor": "vpsbg", "team": TEAM, "unit": "EUR"},
    ]
    (info,) = families["drawdown_build_info"].samples
    assert (info.labels, info.value) == ({"version": "9.8.7", "reporting_unit": "EUR"}, 1)


def test_unexplained_amounts_are_summed_over_30_days_in_one_unit(families: dict[str, Family]) -> None:
    assert samples(families["drawdown_account_unexplained"], window_days="30") == {"main": 6.75, "long": 0}


def test_metrics_have_the_last_answers_and_the_build_time(families: dict[str, Family]) -> None:
    hour = NOW.timestamp()
    assert samples(families["drawdown_endpoint_last_success_timestamp_seconds"]) == {"main": hour - 3600}
    assert samples(families["drawdown_endpoint_last_attempt_timestamp_seconds"]) == {"main": hour, "unread": hour}
    (built,) = families["drawdown_build_timestamp_seconds"].samples
    (as_of,) = families["drawdown_build_as_of_timestamp_seconds"].samples
    assert (built.value, as_of.value) == (hour + 5, hour)


def test_a_run_writes_the_file_of_its_build(world: World) -> None:
    home = world.bench.home
    path = home.published / "metrics" / "drawdown.prom"

    assert path.read_bytes() == generate_latest(read_metrics(home.current, NOW, read_last_run(home)))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    families = {family.name: family for family in prometheus(path.read_text(encoding="utf-8"))}
    balances = dict(world.bench.rows("SELECT account_id, balance_amount::DOUBLE FROM marts.account_status"))
    assert balances.pop("voxpria-campaign") is None
    assert samples(families["drawdown_account_balance"]) == balances


def test_the_alert_rules_name_metrics_and_labels_that_are_there(families: dict[str, Family]) -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    labels = {name: {label for s in family.samples for label in s.labels} for name, family in families.items()}

    assert len(rules) >= 6
    for rule in rules:
        assert {"alert", "expr", "for", "labels", "annotations"} <= set(rule)
        named = re.findall(r"\b(drawdown_\w+)(?:\{([^}]*)\})?", rule["expr"])
        assert named, rule["alert"]
        for name, selector in named:
            assert name in families
            assert set(re.findall(r"(\w+)\s*=~?", selector)) <= labels[name], rule["expr"]
        for label in re.findall(r"\$labels\.(\w+)", str(rule["annotations"])):
            assert label in labels[named[0][0]], rule["alert"]


def test_the_running_month_has_its_expected_end_and_its_budget(families: dict[str, Family]) -> None:
    def of(name: str, **labels: str) -> list[float]:
        return [
            sample.value
            for sample in families[f"drawdown_month_{name}"].samples
            if labels.items() <= sample.labels.items()
        ]

    account = {"scope": "account", "id": "main", "unit": "voxpria-credit", "budget_unit": "EUR"}
    assert [of("spend", **account, percentile=each) for each in ("10", "50", "90")] == [[200.0], [250.0], [300.0]]
    assert (of("spent", **account), of("budget", **account)) == ([60.0], [22.0])
    assert of("over_budget_probability", **account) == [0.75]
    # A month that is over has no sample, and neither has a budget that nobody set.
    assert (of("spent", scope="fleet"), of("budget", scope="fleet")) == ([6.0], [])
