"""docs/second-opinion.md: its example runs as written, on the demo's accounts, and says what the page says."""

from __future__ import annotations

import pytest

from tests.docs.pages import DOCS, blocks
from tests.docs.shell import Ran, all_well, type_in

pytestmark = pytest.mark.long

PAGE = DOCS / "second-opinion.md"
COMMANDS = [command for block in blocks(PAGE, "console") for command in block.commands()]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    folder = tmp_path_factory.mktemp("second")
    files = [block for block in blocks(PAGE, "python") if block.label]
    assert [block.label for block in files] == ["seven_day_mean.py", "answer.py"]
    for block in files:
        (folder / str(block.label)).write_text(block.text, encoding="utf-8")
    (folder / "falling.py").write_text(
        "import seven_day_mean\n"
        "def forecast(*asked):\n"
        "    rows = seven_day_mean.forecast(*asked)\n"
        "    return rows.with_columns(-rows['spend_amount'])\n",
        encoding="utf-8",
    )
    done = type_in(
        ["drawdown demo", *COMMANDS, "drawdown backtest --competitor falling:forecast"], folder, {"COLUMNS": "80"}
    )
    all_well(done[:-1])
    return {each.command: each for each in done}


def _verdicts(lines: list[str]) -> list[str]:
    """The sentences about the competitor, each with its indented lines."""
    found: list[str] = []
    for line in lines:
        if line.startswith("seven_day_mean, "):
            found.append(line)
        elif found and line.startswith("  ") and not line.startswith("   "):
            found[-1] += line[1:]
        elif found:
            break
    return found


def test_the_function_and_the_file_have_the_same_verdict(ran: dict[str, Ran]) -> None:
    function, file = (
        _verdicts(ran[command].out)
        for command in (
            "drawdown backtest --competitor seven_day_mean:forecast",
            "drawdown backtest --competitor seven_day_mean=answers.parquet",
        )
    )
    assert len(function) == 3
    assert function == file


def test_the_verdict_is_worded_as_shown(ran: dict[str, Ran]) -> None:
    verdict, error = (block.text for block in blocks(PAGE, "text"))
    shown = " ".join(verdict.split())
    said = _verdicts(ran["drawdown backtest --competitor seven_day_mean:forecast"].out)[1]
    for part in (
        "seven_day_mean, the next 30 days: it would not have beaten Drawdown.",
        "(95 % interval of the ratio: ",
    ):
        assert part in shown
        assert part in said
    failed = ran["drawdown backtest --competitor falling:forecast"]
    assert failed.code == 2
    words = "spend_amount is below that of a lower quantile; sort the amounts of each horizon_days by quantile\n"
    assert error.endswith(words)
    assert failed.err.endswith(words)
    assert failed.err.startswith("drawdown: competitor falling:forecast: as_of ")


def test_every_competitor_command_of_the_page_is_run() -> None:
    assert len(COMMANDS) == 5
