"""The metrics say what the tables say, in text that the parsers of both formats read."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from pipeline.published.metrics import ACCOUNTS, BUILDS, ENDPOINTS, OPENMETRICS, PROMETHEUS, content_type, metrics_text
from pipeline.schema.severities import SEVERITIES
from tests.bench import Bench
from tests.published.conftest import NOW, TEAM

RULES = Path(__file__).parents[2] / "docs" / "deploy" / "prometheus-rules.yml"


@pytest.fixture(scope="session")
def text(world: Any) -> str:
    return (world.bench.home.published / "metrics" / "drawdown.prom").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def families(text: str) -> dict[str, Family]:
    return {family.name: family for family in openmetrics(text)}


def samples(family: Family, **labels: str) -> dict[str, float]:
    """Values by account, of the samples that have these labels."""
    return {
        sample.labels["account"]: sample.value
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    }  # fmt: skip


def test_both_formats_parsers_read_it_and_find_the_same(text: str, families: dict[str, Family]) -> None:
    older = {family.name: family for family in prometheus(text)}

    assert set(older) == set(families)
    for name, family in families.items():
        assert family.type == older[name].type == "gauge"
        assert [(each.name, each.labels, each.value) for each in family.samples] == [
            (each.name, each.labels, each.value) for each in older[name].samples
        ]
        assert family.documentation.endswith(".")
        assert family.unit == ("seconds" if name.endswith("_seconds") else "")
        assert family.samples or name == "drawdown_account_threshold", name
    assert set(families) == {
        *(f"drawdown_{metric.name}" for metric in (*ACCOUNTS, *ENDPOINTS, *BUILDS)), "drawdown_build_info"
    }  # fmt: skip
    assert text.endswith("\n# EOF\n")


def test_a_float_or_a_broken_line_would_be_found(text: str) -> None:
    for broken in (
        text.removesuffix("# EOF\n"),
        text.replace("# TYPE", "# TYPES", 1),
        text.replace('"} ', '"}'),
        text + "x",
    ):
        with pytest.raises(ValueError, match=r".*"):
            list(openmetrics(broken))


def test_each_account_has_the_values_of_its_row(published: Bench, families: dict[str, Family]) -> None:
    plain = {
        "balance": "balance_amount",
        "threshold": "threshold_amount",
        "reading_fresh": "CASE WHEN reading_state = 'fresh' THEN 1 ELSE 0 END",
        "reading_timestamp_seconds": "epoch(observed_at_utc)",
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
        rows = published.rows(f"SELECT account_id, {sql} FROM marts.account_status")
        wanted = {account: pytest.approx(float(value), rel=1e-12) for account, value in rows if value is not None}
        assert samples(families[f"drawdown_account_{name}"], **labels) == wanted, (name, labels)


def test_what_is_unknown_has_no_sample_and_still_a_state(families: dict[str, Family]) -> None:
    account = "voxpria-campaign"
    without = ("balance", "reading_timestamp_seconds", "reading_age_seconds", "runway_seconds", "depletion_probability",
               "depletion_timestamp_seconds", "topup")  # fmt: skip
    for name in without:
        assert account not in samples(families[f"drawdown_account_{name}"]), name
        assert "vpsbg-main" in samples(families[f"drawdown_account_{name}"]), name
    assert samples(families["drawdown_account_reading_fresh"])[account] == 0
    assert samples(families["drawdown_account_severity"], severity="unknown")[account] == 1
    assert not [line for line in families["drawdown_account_balance"].samples if line.value == 0]


def test_labels_are_the_accounts_and_survive_odd_characters(published: Bench, families: dict[str, Family]) -> None:
    (sample,) = [s for s in families["drawdown_account_balance"].samples if s.labels["account"] == "vpsbg-main"]
    assert sample.labels == {"account": "vpsbg-main", "vendor": "vpsbg", "team": TEAM, "unit": "EUR"}
    assert {s.labels["team"] for s in families["drawdown_account_severity"].samples} == {TEAM, "unassigned"}
    ((version, unit),) = [
        (s.labels["version"], s.labels["reporting_unit"]) for s in families["drawdown_build_info"].samples
    ]
    known = dict(published.rows("SELECT item, value FROM marts.build_info"))
    assert (version, unit) == (known["version_id"], known["reporting_unit_code"])


def test_what_cannot_be_explained_is_summed_up_or_down_over_30_days(
    published: Bench, families: dict[str, Family]
) -> None:
    wanted = dict(
        published.rows(
            f"SELECT account_id, sum(abs(unexplained_amount))::DOUBLE FROM core.balance_bridge "
            f"WHERE closed_at_utc > TIMESTAMPTZ '{NOW.isoformat()}' - INTERVAL 30 DAY GROUP BY 1"
        )
    )
    assert samples(families["drawdown_account_unexplained"], window_days="30") == wanted


def test_endpoints_tell_when_they_last_answered_and_the_build_when_it_was_made(
    published: Bench, families: dict[str, Family]
) -> None:
    rows = published.rows("SELECT account_id, endpoint, epoch(last_observed_at_utc) FROM marts.data_freshness")
    found = families["drawdown_endpoint_last_success_timestamp_seconds"].samples
    assert {(s.labels["account"], s.labels["endpoint"], s.value) for s in found} == {
        r for r in rows if r[2] is not None
    }
    (built,) = families["drawdown_build_timestamp_seconds"].samples
    (as_of,) = families["drawdown_build_as_of_timestamp_seconds"].samples
    assert abs(built.value - datetime.now(UTC).timestamp()) < 3600
    assert as_of.value == NOW.timestamp()


def test_money_stands_there_with_every_digit(published: Bench, tmp_path: Path) -> None:
    exact = Decimal("12345678901234567890123456789.000000001")
    with duckdb.connect(tmp_path / "made.duckdb") as connection:
        connection.execute(f"ATTACH '{published.home.current.resolve()}' AS build (READ_ONLY)")
        connection.execute("COPY FROM DATABASE build TO made")
        connection.execute("DETACH build")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "UPDATE marts.account_status SET balance_amount = ? WHERE account_id = 'vpsbg-main'", [exact]
        )
        connection.execute("UPDATE marts.account_status SET balance_amount = -0.5 WHERE account_id = 'vpsbg-idle'")
        text = metrics_text(connection, NOW)

    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("drawdown_account_balance{"))
    values = {re.findall(r'account="([^"]+)"', name)[0]: value for name, value in lines.items()}
    assert values["vpsbg-main"] == str(exact)
    assert values["vpsbg-idle"] == "-0.5"
    list(openmetrics(text))


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", PROMETHEUS),
        ("*/*", PROMETHEUS),
        ("text/html", PROMETHEUS),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", PROMETHEUS),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
         "q=0.5,text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", OPENMETRICS),
        ("application/openmetrics-text;q=0", PROMETHEUS),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", PROMETHEUS),
        ("application/openmetrics-text;q=nonsense,;,", OPENMETRICS),
    ],
)  # fmt: skip
def test_the_older_format_is_named_to_whoever_does_not_ask_for_openmetrics(accept: str, wanted: str) -> None:
    assert content_type(accept) == wanted


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
