"""The demo: README's table is what it prints, and docs/analysis.md's questions have answers in its data."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.docs.pages import CLONE, DOCS, README, blocks, blocks_under
from tests.docs.shell import Ran, all_well, type_in

pytestmark = pytest.mark.long

PAGE = DOCS / "analysis.md"
QUESTIONS = re.findall(r"^## (\d+\. .+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """The demo, and each query of the page run on its data by the command."""
    folder = tmp_path_factory.mktemp("demo")
    commands = ["drawdown demo"]
    for number, query in enumerate(blocks(PAGE, "sql"), 1):
        (folder / f"{number}.sql").write_text(query.text, encoding="utf-8")
        commands.append(f"drawdown sql --format json --file {number}.sql")
    ran = type_in(commands, folder, {"COLUMNS": "80"})
    all_well(ran)
    return {each.command: each for each in ran}


def _answer(played: dict[str, Ran], number: int) -> list[dict[str, Any]]:
    text = "\n".join(played[f"drawdown sql --format json --file {number}.sql"].out)
    rows: list[dict[str, Any]] = json.loads(text, parse_float=Decimal)
    return rows


def _table(lines: list[str]) -> tuple[list[str], dict[str, str]]:
    """Titles of an account table, and the unit of each account."""
    rule = next(number for number, line in enumerate(lines) if line.startswith("──"))
    starts = [match.start() for match in re.finditer("─+", lines[rule])]
    ends = [match.end() for match in re.finditer("─+", lines[rule])]
    rows = [
        [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]
        for line in [lines[rule - 1], *lines[rule + 1 :]]
    ]
    whole = rows[: next((number for number, row in enumerate(rows) if not row[0]), len(rows))]
    return whole[0], {row[0]: row[2] for row in whole[1:]}


def test_the_demo_prints_the_table_that_is_shown(played: dict[str, Ran]) -> None:
    assert "$(BIN)/drawdown demo" in (CLONE / "Makefile").read_text(encoding="utf-8")
    (shown,) = blocks_under(README, "Try it", "text")
    out = played["drawdown demo"].out
    printed = out[next(number for number, line in enumerate(out) if line.startswith("account ")) :]
    assert _table(printed) == _table(shown.text.splitlines())
    for account in ("voxpria-campaign: ", "deepvue-new: ", "As of ", "team:voice, budget: "):
        assert [line for line in printed if line.startswith(account)]
        assert f"\n{account}" in shown.text


def test_there_are_twelve_questions_with_a_sentence_and_one_query_each() -> None:
    _, *parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(parts) == len(QUESTIONS) == len(blocks(PAGE, "sql")) == 12
    for number, part in enumerate(parts, 1):
        heading, sentence, query = part.split("\n\n", 2)
        assert re.fullmatch(rf"{number}\. .+\?", heading)
        assert sentence.endswith(".")
        assert query.startswith("```sql\n")


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_has_an_answer_in_the_demo(played: dict[str, Ran], question: str) -> None:
    assert _answer(played, int(question.partition(".")[0]))


def test_last_month_has_each_team_in_the_reporting_currency(played: dict[str, Ran]) -> None:
    teams = _answer(played, 1)
    assert {"voice", "web", "research"} <= {row["team"] for row in teams}
    assert {row["unit_code"] for row in teams} == {"EUR"}


def test_what_changed_is_compared_with_the_day_a_week_ago(played: dict[str, Ran]) -> None:
    campaign = {row["account_id"]: row for row in _answer(played, 4)}["voxpria-campaign"]
    as_of = next(line for line in played["drawdown demo"].out if line.startswith("As of "))
    assert date.fromisoformat(campaign["since_date"]) == date.fromisoformat(as_of.split()[2]) - timedelta(days=7)
    assert Decimal(campaign["earlier_balance_amount"]) > Decimal(campaign["balance_amount"])


def test_the_months_end_is_spent_plus_the_rest_and_budgets_are_compared(played: dict[str, Ran]) -> None:
    month = {(row["scope"], row["scope_id"]): row for row in _answer(played, 6)}
    fleet = month[("fleet", "*")]
    assert Decimal(fleet["spent_amount"]) <= Decimal(fleet["total_p10_amount"]) <= Decimal(fleet["total_p90_amount"])
    teams = [row for (scope, _), row in month.items() if scope == "team"]
    assert sum(Decimal(row["spent_amount"]) for row in teams) == Decimal(fleet["spent_amount"])
    budgets = {(row["scope"], row["scope_id"]): row for row in _answer(played, 7)}
    assert set(budgets) == {
        ("fleet", "*"), ("team", "voice"), ("team", "web"), ("account", "hyperstack-main"), ("account", "vpsbg-main"),
    }  # fmt: skip
    assert all(row["over_budget_probability"] is not None for row in budgets.values())


def test_a_call_a_paid_amount_and_the_accuracy_are_numbers(played: dict[str, Ran]) -> None:
    calls = [row for row in _answer(played, 8) if row["usage_unit"] == "calls"]
    assert calls
    assert all(float(row["credits_each"]) > 0 for row in calls)
    assert all(Decimal(row["top_up_amount"]) > 0 for row in _answer(played, 9))
    accuracy = _answer(played, 11)
    assert {row["forecaster"] for row in accuracy} == {"drawdown", "mean_28d"}
    assert {float(row["horizon_days"]) for row in accuracy} >= {1.0, 7.0}


def test_twice_the_price_is_used_up_no_later(played: dict[str, Ran]) -> None:
    for row in _answer(played, 12):
        if row["used_up_date"] is not None:
            assert row["used_up_at_double_price_date"] <= row["used_up_date"]
