"""The dashboard in a real Superset over a real build: `make test-superset`."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from bi.superset.browser import Sight, browser, look
from bi.superset.served import Api, superset

CLONE = Path(__file__).parents[2]
PACK = Path(__file__).with_name("pack.py")
EXPORT = Path(__file__).with_name("export")
PICTURES = Path(os.environ["PICTURES"])
WIDTHS = (1280, 1920)


@dataclass
class World:
    """The demo's state folder, and a Superset that shows its build."""

    home: Path
    api: Api

    @property
    def current(self) -> Path:
        return self.home / "published" / "current.duckdb"

    @property
    def database(self) -> int:
        return self.api.ids("database", "database_name")["Drawdown"]

    def rows(self, sql: str, build: Path | None = None) -> list[tuple[Any, ...]]:
        """DuckDB's own result."""
        with duckdb.connect((build or self.current).resolve(), read_only=True) as connection:
            connection.execute("load icu")
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()


def drawdown(home: Path, *arguments: str) -> None:
    environment = {**os.environ, "DRAWDOWN_HOME": str(home), "DRAWDOWN_ACCOUNTS": str(home / "sandbox-accounts.toml")}
    done = subprocess.run(
        [CLONE / ".venv" / "bin" / "drawdown", *arguments],
        env=environment,
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    home = folder / "home"
    scratch = folder / "superset"
    scratch.mkdir()
    with ThreadPoolExecutor(1) as beside:
        demo = beside.submit(drawdown, home, "demo")
        with superset(scratch) as api:
            demo.result()
            made = World(home, api)
            packed = folder / "drawdown.zip"
            subprocess.run([sys.executable, PACK, made.current, packed], check=True)
            api.import_dashboard(packed)
            yield made


@pytest.fixture(scope="module")
def charts(world: World) -> dict[str, int]:
    return world.api.ids("chart", "slice_name")


@pytest.fixture(scope="module")
def sights(world: World, charts: dict[str, int]) -> dict[int, Sight]:
    """The dashboard at each width."""
    PICTURES.mkdir(exist_ok=True)
    with browser(world.api) as driver:
        url = f"{world.api.url}/superset/dashboard/prepaid-accounts/"
        return {width: look(driver, url, width, len(charts), PICTURES / f"{width}.png") for width in WIDTHS}


@pytest.fixture(scope="module")
def seen(sights: dict[int, Sight], charts: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
    """Data of each chart, by name."""
    return {name: sights[WIDTHS[0]].rows[number] for name, number in charts.items()}


@pytest.mark.parametrize("schema", ["staging", "core", "forecasts", "marts"])
def test_superset_lists_what_is_published(world: World, schema: str) -> None:
    published = world.rows(f"select table_name from information_schema.tables where table_schema = '{schema}'")
    for name in (schema, f"drawdown.{schema}"):
        listed = world.api.get(f"database/{world.database}/tables/?q=(force:!t,schema_name:{name!r})")["result"]
        assert {table["value"] for table in listed} == {name for (name,) in published}


def test_comments_on_tables_and_columns_arrive(world: World) -> None:
    tables = world.rows("select schema_name, table_name, comment from duckdb_tables() where schema_name = 'marts'")
    assert len(tables) > 10
    for schema, table, comment in tables:
        listed = world.api.get(f"database/{world.database}/table_metadata/?name={table}&schema={schema}")
        columns = world.rows(
            "select column_name, comment from duckdb_columns()"
            f" where schema_name = '{schema}' and table_name = '{table}'"
        )
        assert listed["comment"] == comment
        assert comment
        assert {column["name"]: column["comment"] for column in listed["columns"]} == dict(columns)
        assert all(doc for _, doc in columns)


def test_a_new_dataset_has_the_comments_as_descriptions(world: World) -> None:
    body = {"database": world.database, "schema": "core", "table_name": "spend_daily"}
    made = world.api.send("POST", "dataset/", json=body)
    assert made.ok, made.text
    columns = world.api.columns(made.json()["id"])

    comments = world.rows("select column_name, comment from duckdb_columns() where table_name = 'spend_daily'")
    assert {column["column_name"]: column["description"] for column in columns} == dict(comments)
    assert {column["column_name"]: column["type"] for column in columns}["spend_amount"] == "NUMERIC(27, 9)"


def test_the_packed_columns_are_those_that_superset_finds(world: World) -> None:
    def columns(dataset: int) -> set[tuple[Any, ...]]:
        return {
            (column["column_name"], column["is_dttm"], column["description"], bool(column["expression"]))
            for column in world.api.columns(dataset)
        }

    for name, dataset in world.api.ids("dataset", "table_name").items():
        if not (EXPORT / "datasets" / f"{name}.yaml").exists():
            continue
        packed = columns(dataset)
        assert world.api.send("PUT", f"dataset/{dataset}/refresh").ok
        assert columns(dataset) == packed


@pytest.mark.parametrize("width", WIDTHS)
def test_the_dashboard_shows_every_chart_and_no_error(
    sights: dict[int, Sight], charts: dict[str, int], world: World, width: int
) -> None:
    sight = sights[width]

    assert len(charts) == len(list((EXPORT / "charts").iterdir()))
    assert sight.errors == []
    assert set(sight.statuses) == {200}
    assert set(sight.rows) == set(charts.values())
    for name in charts:
        assert name in sight.text
    for (account,) in world.rows("select account_id from marts.account_status"):
        assert account in sight.text
    assert "No results" not in sight.text
    assert sight.width <= width
    assert "100%" in sight.drawn
    assert "NaN" not in sight.drawn


def test_its_totals_are_duckdbs_to_the_digit(seen: dict[str, list[dict[str, Any]]], world: World) -> None:
    [(balance, burn)] = world.rows("select reporting_balance_amount, reporting_burn_28d_amount from marts.fleet_status")
    assert [seen["Balance"][0]["balance"], seen["Spent a day"][0]["burn"]] == [balance, burn]

    spent = world.rows(
        "select spend_month, reporting_unit_code, account_id, reporting_amount from marts.spend_monthly"
        " where reporting_amount is not null"
    )
    # One row for each month, one column for each unit and account.
    listed = [
        (row["spend_month"], *name.split(", "), amount)
        for row in seen["Spend by month, as far as converted"]
        for name, amount in row.items()
        if name != "spend_month" and amount is not None
    ]
    assert {(_plain(month), *rest) for month, *rest in spent} == set(listed)
    assert len(spent) == len(listed)


@pytest.mark.parametrize(
    ("chart", "table", "key", "amounts"),
    [
        ("Accounts by urgency", "marts.account_status", "account_id", "balance_amount topup_amount"),
        ("Bridge by month", "marts.balance_bridge_monthly", "bridge_month account_id",
         "opening_amount top_up_amount usage_amount renewal_amount unexplained_amount closing_amount"),
        ("Spend by team", "marts.spend_by_team_monthly", "spend_month team unit_code",
         "spend_amount reporting_amount unconverted_amount"),
    ],
)  # fmt: skip
def test_its_tables_are_duckdbs_to_the_digit(
    seen: dict[str, list[dict[str, Any]]], world: World, chart: str, table: str, key: str, amounts: str
) -> None:
    names = [*key.split(), *amounts.split()]
    own = {tuple(map(_plain, row)) for row in world.rows(f"select {', '.join(names)} from {table}")}

    assert {tuple(row[name] for name in names) for row in seen[chart]} == own
    assert len(seen[chart]) == len(own)


def test_the_most_urgent_account_comes_first(seen: dict[str, list[dict[str, Any]]]) -> None:
    order = ["critical", "warning", "unknown", "watch", "ok"]
    ranks = [order.index(row["severity"]) for row in seen["Accounts by urgency"]]

    assert ranks == sorted(ranks)
    assert seen["To pay this week"][0]["account_id"] == seen["Accounts by urgency"][0]["account_id"]


def test_writes_are_refused_even_where_superset_allows_them(world: World) -> None:
    before = hashlib.sha256(world.current.read_bytes()).hexdigest()
    assert world.api.send("PUT", f"database/{world.database}", json={"allow_dml": True}).ok

    for sql in (
        "create table marts.mine as select 1 as one",
        "insert into marts.build_info values ('mine', 'mine')",
        "update marts.account_status set severity = 'ok'",
        "delete from core.spend_daily",
        "drop table core.spend_daily",
    ):
        answer = world.api.query(world.database, sql)
        assert not answer.ok, sql
        assert "read-only mode" in answer.text, answer.text
    for sql in ("select * from read_text('/etc/hostname')", "attach '/etc/hostname' as other"):
        answer = world.api.query(world.database, sql)
        assert not answer.ok, sql
        assert "disabled by configuration" in answer.text, answer.text
    assert hashlib.sha256(world.current.read_bytes()).hexdigest() == before


def test_readers_under_load_see_whole_builds_and_no_error_while_the_file_is_swapped(world: World) -> None:
    sql = (
        "select (select value from marts.build_info where item = 'built_at_utc') as built,"
        " (select count(*) from core.balance_snapshots where account_id = 'domain-registrar') as readings,"
        " (select sum(balance_amount) from core.balance_snapshots where account_id = 'domain-registrar') as total,"
        " (select count(*) from core.spend_daily) as days"
    )
    stop = threading.Event()
    answers: list[tuple[float, tuple[str, ...]]] = []
    errors: list[str] = []
    database = world.database

    def read() -> None:
        while not stop.is_set():
            begun = time.monotonic()
            answer = world.api.query(database, sql)
            if answer.ok:
                [row] = answer.json(parse_float=Decimal)["data"]
                answers.append((begun, tell(row["built"], row["readings"], row["total"], row["days"])))
            else:
                errors.append(answer.text)

    def listed() -> tuple[str, ...]:
        [row] = world.rows(sql)
        return tell(*row)

    def tell(built: str, readings: int, total: Any, days: int) -> tuple[str, ...]:
        # DuckDB's result and JSON have different numbers of trailing zeros.
        return built, str(readings), f"{Decimal(total).normalize():f}", str(days)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    builds = [listed()]
    swapped = 0.0
    try:
        for balance in ("88.10", "86.25"):
            with (world.home / "registrar.csv").open("a", encoding="utf-8") as written:
                written.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ},{balance},EUR\n")
            drawdown(world.home, "run", "--account", "domain-registrar")
            swapped = time.monotonic()
            builds.append(listed())
            time.sleep(5)
    finally:
        stop.set()
        for reader in readers:
            reader.join()

    assert errors == []
    assert len(set(builds)) == 3
    assert {answer for _, answer in answers} == set(builds)
    # A query after a swap is answered by the new build.
    assert {answer for begun, answer in answers if begun > swapped + 2} == {builds[-1]}


def test_the_example_for_sqlalchemy_runs(world: World) -> None:
    page = (CLONE / "docs" / "clients.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(import sqlalchemy\n.*?)```", page, re.DOTALL)
    example = example.replace("/absolute/path/to/published/current.duckdb", str(world.current))
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    listed = [line.split(" ") for line in done.stdout.splitlines()]
    rows = world.rows("select account_id, balance_amount, unit_code from marts.account_status")
    assert listed == [[account, str(amount), unit] for account, amount, unit in rows]


def _plain(value: Any) -> Any:
    """A day as Superset sends it: milliseconds since 1970."""
    return (
        int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()) * 1000
        if isinstance(value, date)
        else value
    )
