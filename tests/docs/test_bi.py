"""docs/clients.md: the examples run, and the dashboard for Superset matches the published tables."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from tests.bench import Bench
from tests.docs.pages import CLONE, DOCS, blocks_under, section

EXPORT = CLONE / "bi" / "superset" / "export"


def _read(text: str) -> Any:
    return yaml.safe_load(text)


@pytest.fixture(scope="module")
def packed(published: Bench, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Files of the zip that Superset imports, by path."""
    target = tmp_path_factory.mktemp("packed") / "drawdown.zip"
    script = CLONE / "bi" / "superset" / "pack.py"
    subprocess.run([sys.executable, script, published.home.current, target], check=True, timeout=120)
    with zipfile.ZipFile(target) as made:
        return {name.removeprefix("drawdown/"): _read(made.read(name).decode()) for name in made.namelist()}


def _of(packed: dict[str, Any], folder: str) -> dict[str, Any]:
    return {content["uuid"]: content for name, content in packed.items() if name.startswith(f"{folder}/")}


def test_the_connection_is_read_only_and_reaches_no_other_file(packed: dict[str, Any], published: Bench) -> None:
    database = packed["databases/drawdown.yaml"]
    arguments = database["extra"]["engine_params"]["connect_args"]

    assert database["sqlalchemy_uri"] == f"duckdb:///{published.home.current}"
    assert (arguments["read_only"], arguments["config"]) == (True, {"enable_external_access": False})
    assert not any(database[allowed] for allowed in ("allow_dml", "allow_ctas", "allow_cvas", "allow_file_upload"))


def test_every_chart_finds_its_columns_and_metrics(packed: dict[str, Any], published: Bench) -> None:
    datasets, charts = _of(packed, "datasets"), _of(packed, "charts")
    assert {chart["dataset_uuid"] for chart in charts.values()} == set(datasets)
    for chart in charts.values():
        dataset, params = datasets[chart["dataset_uuid"]], chart["params"]
        columns = {column["column_name"] for column in dataset["columns"]}
        metrics = {metric["metric_name"] for metric in dataset["metrics"]}
        ordered = [json.loads(order)[0] for order in params.get("order_by_cols", [])]
        axis = [params["x_axis"]] if "x_axis" in params else []

        assert {*params.get("all_columns", []), *ordered, *params.get("groupby", []), *axis} <= columns, chart
        assert set(params.get("metrics", [])) | ({params["metric"]} if "metric" in params else set()) <= metrics, chart


def test_every_metric_and_column_of_a_dataset_is_sql_that_runs(packed: dict[str, Any], published: Bench) -> None:
    for dataset in _of(packed, "datasets").values():
        source = f"({dataset['sql']})" if dataset["sql"] else f"{dataset['schema']}.{dataset['table_name']}"
        for metric in dataset["metrics"]:
            published.rows(f"select {metric['expression']} from {source}")
        for column in dataset["columns"]:
            published.rows(f"select {column.get('expression') or column['column_name']} from {source} limit 1")


def test_columns_carry_their_comments(packed: dict[str, Any]) -> None:
    for dataset in _of(packed, "datasets").values():
        if dataset["sql"] is None:
            assert all(column["description"] for column in dataset["columns"]), dataset["table_name"]


def test_the_dashboard_shows_every_chart(packed: dict[str, Any]) -> None:
    [dashboard] = _of(packed, "dashboards").values()
    shown = [part["meta"]["uuid"] for part in dashboard["position"].values() if part_is_chart(part)]

    assert sorted(shown) == sorted(_of(packed, "charts"))
    for row in dashboard["position"].values():
        if isinstance(row, dict) and row["type"] == "ROW":
            assert sum(dashboard["position"][child]["meta"]["width"] for child in row["children"]) == 12


def part_is_chart(part: Any) -> bool:
    return isinstance(part, dict) and part["type"] == "CHART"


def test_no_chart_adds_amounts_of_different_units(packed: dict[str, Any]) -> None:
    datasets = _of(packed, "datasets")
    sums = []
    for chart in _of(packed, "charts").values():
        params = chart["params"]
        expressions = {
            metric["metric_name"]: metric["expression"] for metric in datasets[chart["dataset_uuid"]]["metrics"]
        }
        for name in [*params.get("metrics", []), *([params["metric"]] if "metric" in params else [])]:
            if "sum(" in expressions[name]:
                sums.append(expressions[name])
                assert "reporting_unit_code" in params["groupby"], chart["slice_name"]
    assert sums == ["sum(reporting_amount)"]


def test_the_example_for_polars_runs(state: Path) -> None:
    [example] = blocks_under(DOCS / "clients.md", "Polars, pandas and Arrow", "python")
    done = subprocess.run(
        [sys.executable, "-c", example.text], cwd=state, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "decimal[27,9]" in done.stdout


def test_summarize_rounds_medians_and_the_page_names_what_does_not(published: Bench) -> None:
    table = section(DOCS / "clients.md", "Where digits change")
    assert f"DuckDB {duckdb.__version__} | `SUMMARIZE` rounds" in table
    with duckdb.connect(published.home.current.resolve(), read_only=True) as build:
        build.execute("CREATE TEMP TABLE cents AS SELECT 0.01::DECIMAL(27, 9) AS balance_amount FROM range(9)")
        [(rounded,)] = build.execute("SELECT q50 FROM (SUMMARIZE cents)").fetchall()
        for exact in ("median(balance_amount)", "quantile_cont(balance_amount, 0.25)"):
            assert exact in table
            assert build.execute(f"SELECT {exact} FROM cents").fetchall() == [(Decimal("0.01"),)]
    assert rounded == "0"
