"""`drawdown dictionary`: every table and column, without a build."""

import json
import re

import pytest

from pipeline.schema.tables import ALL, published
from tests.cli.conftest import Desk


def test_the_list_has_every_published_table_within_80_columns(desk: Desk) -> None:
    done = desk("dictionary")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    names = [line for line in done.stdout.splitlines() if line and line[0] != " " and " " not in line]
    assert names == [made.full_name for made in published()]


def test_the_dictionary_matches_a_build(desk: Desk) -> None:
    printed = json.loads(desk.here("dictionary", "--json").stdout)
    query = "SELECT * FROM marts.data_dictionary ORDER BY table_name, column_name"
    stored = json.loads(desk.here("sql", query, "--format", "json").stdout)
    for each in printed:
        assert each.pop("made_by")
        assert isinstance(each.pop("allowed_values"), list)
        each["source"] = ", ".join(each["source"]) or None
        each["vendor_fields"] = ", ".join(each["vendor_fields"]) or None
    for each in stored:
        each["table_doc"] = each["table_doc"].partition(" Key: ")[0].removesuffix(" One row.")
    assert sorted(printed, key=lambda each: (each["table_name"], each["column_name"])) == stored


def test_a_table_shows_its_columns_and_their_sources(desk: Desk) -> None:
    done = desk.here("dictionary", "account_status", "--full")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "Made by sql/marts/account_status/model.sql." in done.stdout
    (block,) = [each for each in done.stdout.split("\n\n") if each.startswith("balance_amount  ")]
    assert block.split("\n")[0] == "balance_amount  DECIMAL(27,9), unit_code, may be NULL"
    words = " ".join(block.split())
    assert "From core.balance_snapshots.balance_amount." in words
    assert "vpsbg balance: balance;" in words


@pytest.mark.parametrize("width", ["80", "100", "120"])
def test_a_table_is_a_list_that_fits_a_screen(desk: Desk, width: str) -> None:
    for table in ALL.values() if width == "80" else published():
        name, done = table.full_name, desk.here("dictionary", table.full_name, COLUMNS=width)
        lines = done.stdout.splitlines()
        assert (done.returncode, done.stderr) == (0, "")
        assert max(map(len, lines)) <= int(width), name
        assert len(lines) <= 40, name
        # All columns in their order, or the first ones and the names of the rest; each with its allowed values.
        words, names = " ".join(done.stdout.split()), [column.name for column in table.columns]
        list_end = next(
            (place for place, line in enumerate(lines) if re.match(r"\d+ more columns: ", line)), len(lines)
        )
        first = [line.split()[0] for line in lines[:list_end] if line and line[0] != " "]
        shown = [each for each in first if each in names]
        assert shown == names[: len(shown)], name
        assert len(shown) == len(names) or (list_end < len(lines) and len(lines) > 35), name
        further = re.split(r"[^A-Za-z0-9_]+", " ".join(lines[list_end:]))
        for column in table.columns[len(shown) :]:
            assert column.name in further, (name, column.name)
        for column in table.columns:
            assert " | ".join(column.column.allowed) in words, (name, column.name)


def test_columns_are_found_by_a_text_in_their_name(desk: Desk) -> None:
    done = desk.here("dictionary", "account_status", "RUNWAY_P")
    assert [block.split("  ")[0] for block in done.stdout.split("\n\n")] == [
        "runway_p10_date", "runway_p50_date", "runway_p90_date"
    ]  # fmt: skip
    assert done.stdout.startswith("runway_p10_date  DATE, UTC day, may be NULL\n")
    as_json = json.loads(desk.here("dictionary", "account_status", "runway_p", "--json").stdout)
    assert [each["column_name"] for each in as_json] == ["runway_p10_date", "runway_p50_date", "runway_p90_date"]


def test_columns_with_allowed_values_list_them(desk: Desk) -> None:
    shown = desk.here("dictionary", "account_status")
    full, markdown, as_json = (
        desk.here("dictionary", "account_status", *more) for more in (["--full"], ["--format", "markdown"], ["--json"])
    )
    values = {column.name: column.column.allowed for column in ALL["marts.account_status"].columns}
    values = {name: allowed for name, allowed in values.items() if allowed}
    assert len(values) > 5
    words, complete = " ".join(shown.stdout.split()), " ".join(full.stdout.split())
    for name, allowed in values.items():
        assert " | ".join(allowed) in words, name
        assert f"One of {', '.join(allowed)}." in complete, name
        assert f"One of {', '.join(f'`{each}`' for each in allowed)}." in markdown.stdout, name
    printed = {each["column_name"]: each["allowed_values"] for each in json.loads(as_json.stdout)}
    assert {name: tuple(allowed) for name, allowed in printed.items() if allowed} == values


def test_unpublished_schemas_and_tables_are_described_too(desk: Desk) -> None:
    forecasts = desk.here("dictionary", "forecasts").stdout
    assert forecasts.count("\nforecasts.") + 1 == len([made for made in published() if made.layer == "forecasts"])
    assert "From hyperstack credit: data.threshold." in desk.here("dictionary", "staging.balances", "--full").stdout


def test_markdown_is_a_page(desk: Desk) -> None:
    done = desk.here("dictionary", "core.fx_rates", "--format", "markdown")
    assert done.stdout.startswith("# Tables: core.fx_rates\n")
    assert "\n| **`rate_date`** | The day " in done.stdout
    assert done.stdout.index("| DATE | UTC day |") < done.stdout.index("<summary>Where it comes from</summary>")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["spend_dayly"],
            "there is no table 'spend_dayly'; did you mean core.spend_daily or marts.spend_monthly? "
            "`drawdown dictionary` lists them all",
        ),
        (
            ["core.fx_rates", "zzz"],
            "core.fx_rates has no column with 'zzz' in its name; `drawdown dictionary core.fx_rates` lists them",
        ),
        (["core", "rate"], "COLUMN needs one table, as a table or as JSON: drawdown dictionary TABLE COLUMN"),
        (["zzz"], "there is no table 'zzz'; `drawdown dictionary` lists them all"),
        (["--format", "csv"], "--format csv: known formats are table, json, markdown"),
    ],
)
def test_a_missing_build_is_one_line(desk: Desk, arguments: list[str], line: str) -> None:
    done = desk.here("dictionary", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"drawdown: {line}\n")
