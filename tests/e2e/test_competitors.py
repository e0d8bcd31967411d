"""Another forecaster enters `drawdown backtest` as a function, and from another process as a file of answers."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from pipeline.landing.own import FORMATS
from pipeline.landing.store import BACKTESTS, OWN, day_folders, each
from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long

_MODEL = """
import polars as pl

def forecast(spend, as_of, horizon_days, quantiles):
    mean = spend.group_by("account_id").agg(pl.col("spend_amount").tail(14).mean().clip(0).alias("mean"))
    days = pl.DataFrame({"horizon_days": range(1, horizon_days + 1)})
    levels = pl.DataFrame({"quantile": quantiles})
    amount = pl.col("mean") * pl.col("horizon_days") * (0.5 + pl.col("quantile"))
    rows = mean.sort("account_id").join(days, how="cross").join(levels, how="cross")
    return rows.select("account_id", "horizon_days", "quantile", amount.alias("spend_amount"))
"""

_ELSEWHERE = """
import json, sys
import pyarrow as pa, pyarrow.compute as pc, pyarrow.feather as feather, pyarrow.parquet as pq

source, target = sys.argv[1:]
asked = feather.read_table(source) if source.endswith(".arrow") else pq.read_table(source)
wanted = json.loads(asked.schema.metadata[b"drawdown"])
rows = []
for day in sorted(set(asked["as_of_date"].to_pylist())):
    known = asked.filter(pc.equal(asked["as_of_date"], pa.scalar(day, pa.date32())))
    for account in sorted(set(known["account_id"].to_pylist())):
        own = known.filter(pc.equal(known["account_id"], account)).sort_by("date")["spend_amount"].to_pylist()[-14:]
        for days in wanted["horizons_days"]:
            for level in wanted["quantiles"]:
                amount = max(sum(own) / len(own), 0) * days * (0.5 + level)
                rows.append(dict(as_of_date=day, account_id=account, horizon_days=days, quantile=level, spend_amount=amount))
table = pa.Table.from_pylist(rows)
if target.endswith(".parquet"):
    pq.write_table(table, target)
else:
    feather.write_feather(table, target)
"""


@pytest.fixture
def ready(bench: Bench, first_run: FirstRun) -> Bench:
    first_run(bench)
    (bench.folder / "my_model.py").write_text(_MODEL, encoding="utf-8")
    (bench.folder / "elsewhere.py").write_text(_ELSEWHERE, encoding="utf-8")
    return bench


def _answer(bench: Bench, *arguments: str) -> dict[str, Any]:
    done = bench.new_process("backtest", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _landed(bench: Bench) -> list[dict[str, Any]]:
    folders = day_folders(bench.home.landing, OWN, BACKTESTS)
    return [row for day in folders for _, table in each(day, ["format_version"]) for row in table.to_pylist()]


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_a_function_and_the_answers_of_another_process_score_the_same(ready: Bench, suffix: str) -> None:
    asked = ready.new_process("backtest", "--questions", f"questions.{suffix}")
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.startswith(f"questions.{suffix}: ")
    assert _landed(ready) == []
    subprocess.run(
        [sys.executable, "elsewhere.py", f"questions.{suffix}", f"answers.{suffix}"], cwd=ready.folder, check=True
    )
    both = _answer(ready, "--competitor", "my_model:forecast", "--competitor", f"remote=answers.{suffix}")
    by_name = {
        name: [
            {column: value for column, value in row.items() if column != "forecaster"}
            for row in both["comparisons"]
            if row["forecaster"] == name
        ]
        for name in ("my_model", "remote")
    }
    assert by_name["my_model"]
    assert [row["unanswered_count"] for row in by_name["remote"]] == [0] * len(by_name["remote"])
    for one, other in zip(by_name["my_model"], by_name["remote"], strict=True):
        assert one == pytest.approx(other)
    assert {row["forecaster"] for row in both["scores"]} >= {"drawdown", "my_model", "remote"}
    assert [line for line in both["verdict"]["*"] if line.startswith("remote, the next 7 days: ")]


def test_questions_hold_the_past_of_each_day_and_what_to_answer(ready: Bench) -> None:
    assert ready.command("backtest", "--questions", "q.arrow").returncode == 0
    with pa.ipc.open_file(ready.folder / "q.arrow") as file:
        table = file.read_all()
        assert file.num_record_batches >= len(set(table["as_of_date"].to_pylist()))
    wanted = json.loads(table.schema.metadata[b"drawdown"])
    assert wanted["horizons_days"] == [7, 30, 90]
    assert wanted["quantiles"] == [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
    rows = pl.from_arrow(table)
    assert isinstance(rows, pl.DataFrame)
    assert rows.filter(pl.col("date") > pl.col("as_of_date")).is_empty()
    assert rows.columns == ["as_of_date", "account_id", "date", "spend_amount", "vendor"]
    assert not [path for path in ready.folder.iterdir() if "partial" in path.name]


def test_the_name_is_printed_stored_and_gone_after_a_backtest_without_it(ready: Bench, sandbox: Sandbox) -> None:
    shown = ready.command("backtest", "--competitor", "rival=my_model:forecast", "--account", "vpsbg-main")
    assert shown.returncode == 0, shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert shown.stdout.count("rival, the next 7 days: ") == 2
    assert [line for line in shown.stdout.splitlines() if line.split()[:2] == ["7", "rival"]]
    sandbox.move_clock(NOW + timedelta(hours=1))
    ready.run(NOW + timedelta(hours=1))
    tables = ("backtest_scores", "calibration", "backtest_months", "backtest_comparisons")
    for table in tables:
        assert ready.rows(f"SELECT count(*) > 0 FROM forecasts.{table} WHERE forecaster = 'rival'") == [(True,)], table
    # An earlier version refuses the name, and is told so by the format.
    assert [row["format_version"] for row in _landed(ready)] == [FORMATS[BACKTESTS]]
    assert ready.command("backtest").returncode == 0
    assert sorted(row["format_version"] for row in _landed(ready)) == [1, FORMATS[BACKTESTS]]
    ready.run(NOW + timedelta(hours=2))
    for table in tables:
        assert ready.rows(f"SELECT count(*) FROM forecasts.{table} WHERE forecaster = 'rival'") == [(0,)], table


def test_answers_of_an_earlier_day_are_compared_up_to_that_day(ready: Bench, sandbox: Sandbox) -> None:
    assert ready.command("backtest", "--questions", "q.parquet").returncode == 0
    subprocess.run([sys.executable, "elsewhere.py", "q.parquet", "a.parquet"], cwd=ready.folder, check=True)
    before = _answer(ready, "--competitor", "a.parquet")
    sandbox.move_clock(NOW + timedelta(days=2))
    ready.run(NOW + timedelta(days=2))
    after = _answer(ready, "--competitor", "a.parquet")
    assert [row["forecast_count"] for row in after["comparisons"]] == [
        row["forecast_count"] for row in before["comparisons"]
    ]


def _answers(folder: Path, change: pl.Expr | None = None) -> None:
    rows = pl.DataFrame(
        {"as_of_date": [NOW.date() - timedelta(days=8)] * 7, "account_id": ["vpsbg-main"] * 7, "horizon_days": [7] * 7,
         "quantile": [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95], "spend_amount": [1.0, 2, 3, 4, 5, 6, 7]}
    )  # fmt: skip
    (rows if change is None else rows.with_columns(change)).write_ipc(folder / "answers.arrow")


REFUSED = {
    "no such module": (["nowhere:forecast"], "there is no module nowhere in"),
    "no such function": (["my_model:predict"], "my_model has no function predict"),
    "a module that fails": (["broken:forecast"], "broken cannot be imported: RuntimeError: no licence"),
    "a module that imports another": (["lacking:forecast"], "there is no module not_installed_here, which it imports"),
    "no such file": (["absent.arrow"], "--competitor absent.arrow: No such file"),
    "no Arrow file": (["text.arrow"], "it is no Arrow IPC (Feather) file"),
    "no Parquet file": (["text.parquet"], "it is no Parquet file"),
    "neither": (["model.csv"], "neither a function, such as my_model:forecast, nor a file that ends in .arrow"),
    "a taken name": (["drawdown=my_model:forecast"], "the name drawdown is taken"),
    "a long name": ([f"{'x' * 21}=my_model:forecast"], "is not 1 to 20 letters"),
    "one name twice": (["my_model:forecast", "my_model:forecast"], "another one is called my_model"),
    "a function that fails": (["failing:forecast"], "failing:forecast: the function failed for as_of 20"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_competitor_that_cannot_be_read_is_one_line_and_nothing_is_landed(ready: Bench, case: str) -> None:
    entered, said = REFUSED[case]
    (ready.folder / "broken.py").write_text("raise RuntimeError('no licence')", encoding="utf-8")
    (ready.folder / "lacking.py").write_text("import not_installed_here", encoding="utf-8")
    (ready.folder / "failing.py").write_text("def forecast(*asked):\n    return asked[9]\n", encoding="utf-8")
    for name in ("text.arrow", "text.parquet"):
        (ready.folder / name).write_text("not a table", encoding="utf-8")
    done = ready.command("backtest", *(part for each in entered for part in ("--competitor", each)))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert _landed(ready) == []


FILES = {
    "a day to come": (pl.col("as_of_date").dt.offset_by("30d"), "is after 2026-10-06, the last day of the history"),
    "days that are no weeks apart": (
        pl.col("as_of_date") - pl.duration(days=pl.int_range(7)),
        "as_of_date 2026-09-28 is not whole weeks from 2026-09-29",
    ),
    "text for a day": (pl.col("as_of_date").cast(pl.String), "the column as_of_date is String, not Date"),
    "no day": (pl.col("as_of_date").alias("origin"), "the answer has a column origin that is not asked for"),
    "decreasing": (
        -pl.col("spend_amount"),
        "as_of 2026-09-29, account vpsbg-main, horizon_days 7, quantile 0.1 (and 5 more rows): spend_amount is below",
    ),
    "another account": (pl.lit("vpsbg-man").alias("account_id"), "account vpsbg-man, horizon_days 7, quantile 0.05"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_breaks_the_contract_is_one_line_and_nothing_is_landed(ready: Bench, case: str) -> None:
    change, said = FILES[case]
    _answers(ready.folder, change)
    done = ready.command("backtest", "--competitor", "answers.arrow")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert _landed(ready) == []


def test_one_answer_of_many_is_counted_as_one(ready: Bench) -> None:
    _answers(ready.folder)
    found = _answer(ready, "--competitor", "answers.arrow")
    week = next(row for row in found["comparisons"] if (row["account_id"], row["horizon_days"]) == ("*", 7))
    assert (week["forecast_count"], week["account_count"], week["origin_count"]) == (1, 1, 1)
    assert week["unanswered_origin_count"] > 3
    assert "not enough to tell" in " ".join(found["verdict"]["*"])


def test_questions_are_written_alone(ready: Bench) -> None:
    done = ready.command("backtest", "--questions", "q.arrow", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "leave out --competitor, --account and --json" in done.stderr
    done = ready.command("backtest", "--questions", "q.csv")
    assert done.returncode == 2
    assert "must end in .arrow" in done.stderr
