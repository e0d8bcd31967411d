"""Display of text from outside: one line each, without anything that a terminal, a log or a page would interpret."""

import csv
import io
import json
import os
import subprocess
import sys
import unicodedata
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from pipeline.alerts.channel import send
from pipeline.alerts.messages import compose
from pipeline.alerts.state_machine import Event, Evidence
from pipeline.cli import progress, terminal
from pipeline.cli.app import complain
from pipeline.published.focus import TABLES, publish_focus
from pipeline.support.dagster_steps import described, note, readable_failures
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home, private_folder
from pipeline.support.printable import printable, printable_json, printable_lines
from pipeline.support.secret import Secret
from tests.alerts.receiver import Channel, channel
from tests.bench import Bench
from tests.cli.conftest import Desk
from tests.forked import run_forked
from tests.landing.walking import entry
from tests.staging.landed import Workshop
from tests.staging.workshops import new_workshop, template, workshop

__all__ = ["channel", "new_workshop", "template", "workshop"]

FORGED = "drawdown: all is well"
# C0, DEL, C1, terminal escape sequences, line and paragraph ends, direction changes, invisible characters.
OBEYED = "\n\r\t\v\f\x00\x07\x08\x1b\x7f\x85\x9b\u2028\u2029\u200e\u202e\u2066\u2069\u200b\ufeff\U000e0041\ud800"
NASTY = st.text(st.one_of(st.sampled_from(OBEYED), st.characters(max_codepoint=0x10FFFF)), min_size=1, max_size=30)
ALL = "words" + "".join(f"{each}{FORGED}" for each in OBEYED.replace("\ud800", "")) + "\x1b[2J\x1b]0;title\x07"


def is_shown_safely(text: str, lines: int = 1) -> bool:
    """Whether a text contains nothing to interpret, by Unicode's categories instead of the code under test."""
    kinds = {unicodedata.category(each) for each in text.removesuffix("\n") if each not in "\n "}
    return text.removesuffix("\n").count("\n") == lines - 1 and kinds.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})


@given(NASTY)
def test_a_text_is_shown_in_one_line_and_keeps_its_letters(text: str) -> None:
    shown = printable(text)
    assert is_shown_safely(shown)
    assert printable(shown) == shown
    letters = [each for each in text if each.isalnum()]
    assert all(each in shown for each in letters)


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=30))
def test_letters_of_every_script_stay(text: str) -> None:
    assert printable(text) == text
    assert printable_lines([text, text]) == f"{text}\n{text}"


@given(st.recursive(NASTY, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3)))
def test_json_keeps_every_value(value: object) -> None:
    document = json.dumps(value, ensure_ascii=False, indent=1)
    shown = printable_json(document)
    assert json.loads(shown) == value
    assert is_shown_safely(shown, lines=document.count("\n") + 1)


@given(NASTY)
@settings(max_examples=50)
def test_an_error_is_one_line_of_stderr(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        heard = io.StringIO()
        patch.setattr(sys, "stderr", heard)
        complain(DrawdownError(text))
        with progress.steps("Working", 1) as advance:
            advance(text)
    assert is_shown_safely(heard.getvalue(), lines=2)
    assert heard.getvalue().startswith("drawdown: ")


def test_a_bug_is_reported_line_by_line() -> None:
    code = (
        "import sys; from pipeline.cli.app import main; sys.modules['pipeline.cli.app'].app = lambda **_: 1 / 0; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert all(line.startswith("drawdown: ") for line in lines)
    assert "drawdown: Traceback (most recent call last):" in lines
    assert lines[-1] == "drawdown: ZeroDivisionError: division by zero"


def test_a_value_that_duckdb_quotes_forges_no_line(desk: Desk) -> None:
    said = desk.here("sql", f"SELECT CAST('x' || chr(10) || '{FORGED}' || chr(27) AS INTEGER)").stderr
    assert FORGED in said
    assert "\x1b" not in said
    # DuckDB's quotes are indented: none of their lines looks like one of Drawdown's.
    first, *rest = said.splitlines()
    assert first.startswith("drawdown: Conversion Error")
    assert rest
    assert all(line.startswith("drawdown:   ") or line == "drawdown: " for line in rest)


def test_a_files_name_forges_no_line_of_stderr(tmp_path: Path) -> None:
    home = tmp_path / f"data\n{FORGED}\r\x1b[2J\u202e"
    done = run_forked(["compact"], environment={**os.environ, "DRAWDOWN_HOME": str(home)}, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert is_shown_safely(done.stderr)
    assert f"data\\n{FORGED}\\r\\x1b[2J\\u202e/landing does not exist" in done.stderr


@given(st.lists(st.tuples(NASTY, NASTY), min_size=1, max_size=3))
@settings(max_examples=50)
def test_rows_of_a_query_are_a_line_each_in_every_format_of_text(rows: list[tuple[str, str]]) -> None:
    for write in (terminal.write_csv, terminal.show_rows):
        with pytest.MonkeyPatch.context() as patch:
            said = io.StringIO()
            patch.setattr(sys, "stdout", said)
            write(["a", "b"], rows)
        shown = said.getvalue()
        assert is_shown_safely(shown, lines=len(rows) + (1 if write is terminal.write_csv else 2))
        if write is terminal.write_csv:
            assert len(list(csv.reader(io.StringIO(shown)))) == len(rows) + 1


@pytest.mark.faults(55)
def test_the_focus_export_is_a_line_a_row(workshop: Workshop) -> None:
    connection = workshop.connection
    build = private_folder(workshop.home.published / "versions" / "one") / "build.duckdb"
    connection.execute(f"ATTACH '{build}' AS build; CREATE SCHEMA build.marts")
    for table in TABLES:
        connection.execute(f"CREATE TABLE build.{table.full_name} AS FROM {table.full_name} LIMIT 0")
        for number, text in enumerate([ALL, "=" + ALL, "\u202e=1", "plain", "\u00e9\u4e2d"]):
            columns = "x_ChargeId, ChargeDescription, BillingPeriodStart"
            values = (
                f"INSERT INTO build.{table.full_name} ({columns}) VALUES (?, ?, TIMESTAMPTZ '2026-03-01 00:00:00Z')"
            )
            connection.execute(values, [str(number), text])
    connection.execute("DETACH build")
    publish_focus(build, workshop.home)
    paths = sorted(workshop.home.focus.resolve().rglob("2026-03.*"))
    assert len(paths) == 2 * len(TABLES)
    for path in paths:
        if path.suffix == ".csv":
            text = path.read_text(encoding="utf-8")
            assert is_shown_safely(text, lines=6)
            [*shown] = [row["ChargeDescription"] for row in csv.DictReader(io.StringIO(text))]
            assert shown == [printable(ALL), f"'={printable(ALL)}", "\\u202e=1", "plain", "\u00e9\u4e2d"]
        else:
            rows = duckdb.sql(f"SELECT ChargeDescription FROM '{path}' ORDER BY x_ChargeId").fetchall()
            assert rows[0] == (ALL,)


def test_dagster_keeps_lines_and_failures_that_forge_nothing() -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("is_well", asset="noted")])
    def noted(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        note(context, ALL, is_warning=True)
        note(context, ALL)
        return dg.MaterializeResult(
            check_results=[dg.AssetCheckResult(check_name="is_well", passed=False, description=described([ALL, ALL]))]
        )

    @dg.asset(deps=[noted])
    def failed() -> None:
        with readable_failures():
            raise DrawdownError(ALL)

    with dg.instance_for_test() as instance:
        done = dg.materialize([noted, failed], instance=instance, raise_on_error=False)
        entries = instance.all_logs(done.run_id)
    logged = [each.user_message for each in entries if each.user_message.startswith("words")]
    assert logged == [printable(ALL)] * 2
    [check] = done.get_asset_check_evaluations()
    assert check.description is not None
    assert is_shown_safely(check.description, lines=2)
    [failure] = done.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data is not None
    assert failure.step_failure_data.user_failure_data.description == printable(ALL)


def test_a_message_forges_no_line(channel: Channel) -> None:
    event = Event(
        event_id="e", account_id="main", rule="stale", event="opened", severity="warning",
        happened_at_utc=datetime(2026, 3, 1, tzinfo=UTC), message=ALL, evidence=Evidence(unit_code="EUR"),
    )  # fmt: skip
    [message] = compose([event], Path("report\x1b[2J.html"))
    assert send(Secret(channel.url, name="TOLD"), message.title, message.body) is None
    [heard] = channel.heard
    assert is_shown_safely(heard["title"])
    assert is_shown_safely(heard["message"], lines=message.body.count("\n") + 1)
    assert FORGED not in heard["message"].splitlines()


@pytest.mark.faults(55)
def test_a_decoded_path_forges_no_line_of_a_run(tmp_path: Path, httpserver: HTTPServer) -> None:
    path = f"/a%0A{quote(FORGED)}%1B%5B2J%E2%80%AE"
    first = {"data": [entry(date(2026, 3, 1))], "links": {"next": httpserver.url_for(path)}, "meta": {}}
    httpserver.expect_request("/balance/transactions").respond_with_json(first)
    toml = (
        'allow_http_loopback = true\n[accounts.main]\nvendor = "vpsbg"\napi_key_env = "CANARY_KEY"\n'
        f'base_url = "{httpserver.url_for("").rstrip("/")}"\n'
    )
    bench = Bench(tmp_path, toml, {"CANARY_KEY": "canary-4d8c1Kp7XwZq9aB3tYu6"})
    with dg.instance_for_test() as instance, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", instance.root_directory)
        outcome = bench.run(selection="key:landing/vpsbg_transactions or group:staging")
        events = [str(each) for each in instance.all_logs(outcome.run_id)]
    problems = [line for line in outcome.problems if "vpsbg account main" in line]
    assert problems
    assert all(is_shown_safely(line) for line in outcome.problems)
    assert f"/a\\n{FORGED}\\x1b[2J\\u202e" in problems[0]
    forged = [event for event in events if FORGED in event]
    assert forged
    assert not [event for event in forged if f"\\n{FORGED}" in event.replace("\\\\n", "")]
    assert Home(bench.home.path).warehouse.exists()
