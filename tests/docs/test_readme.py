"""README.md: its commands run, its output is the code's, its limits are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.schema.layers import LAYERS
from pipeline.vendors import discover
from tests import sandbox_faults as sandbox
from tests.bench import Bench
from tests.docs.pages import CLONE, DOCS, README, Block, blocks, blocks_under, section
from tests.docs.shell import Ran, all_well, type_in


def _start(folder: Path, world: sandbox.Sandbox) -> list[Ran]:
    """Run the five-minute start, with a sandbox as the vendor."""
    (block,) = blocks_under(README, "Your own accounts in five minutes", "console")
    commands = block.commands()
    commands[commands.index("export VPSBG_API_KEY=...")] = (
        f"export VPSBG_API_KEY={world.keys['SANDBOX_VPSBG_MAIN_KEY']}"
    )
    here = commands.index("drawdown init") + 1
    commands[here:here] = [
        "sed -i '1i allow_http_loopback = true' accounts.toml",
        f"""sed -i '/^vendor = "vpsbg"/a base_url = "{world.base_url("vpsbg")}"' accounts.toml""",
    ]
    (cron,) = [block for block in blocks_under(README, "Run it on a schedule", "console") if "&&" in block.text]
    return type_in([*commands, *cron.commands()], folder)


def test_five_minutes_lead_from_nothing_to_the_own_accounts(tmp_path: Path) -> None:
    with sandbox.start(days=60, vendors=["vpsbg"]) as world:
        ran = _start(tmp_path, world)

    all_well(ran)
    by_command = {each.command: each.out for each in ran}
    found = [line for line in by_command["drawdown doctor"] if "(process " not in line]
    assert [line.split()[0] for line in found] == ["ok"] * 5
    assert any(line.startswith("vpsbg-main ") for line in by_command["drawdown status"])
    assert (tmp_path / "drawdown" / "published" / "current.duckdb").exists()


@pytest.mark.parametrize("snippet", blocks(README, "python"), ids=lambda block: block.name)
def test_a_snippet_for_analysts_prints_every_account(published: Bench, state: Path, snippet: Block) -> None:
    (state / "snippet.py").write_text(snippet.text, encoding="utf-8")

    (ran,) = type_in(["python snippet.py"], state, {"POLARS_FMT_MAX_ROWS": "50"})

    all_well([ran])
    for (account_id,) in published.rows("SELECT account_id FROM marts.account_status"):
        assert account_id in "\n".join(ran.out)


def test_the_picture_shows_the_layers_in_order_and_folders_that_are_there() -> None:
    (picture,) = blocks_under(README, "How data flows", "text")

    assert tuple(word for word in re.findall(r"^[ |-]*(\w+)  ", picture.text, re.MULTILINE) if word in LAYERS) == LAYERS
    for folder in re.findall(r"(?:pipeline|sql)/[\w/]*", picture.text):
        assert (CLONE / folder).is_dir(), folder


def test_every_vendor_is_named() -> None:
    text = README.read_text(encoding="utf-8")
    for vendor in discover().values():
        assert vendor.title.lower() in text.lower()


def test_days_left_end_on_the_day_of_even_odds_or_without_one_beyond_the_horizon(published: Bench) -> None:
    rows = published.rows(
        "SELECT method, runway_days, runway_p50_date - CAST(observed_at_utc AT TIME ZONE 'UTC' AS DATE) "
        "FROM marts.account_status WHERE method NOT IN ('none', 'mean_28d') AND runway_days > 0"
    )

    assert rows
    for _, days, until in rows:
        assert days >= 90 if until is None else days == until


def test_the_limits_of_urgency_are_those_of_the_sql() -> None:
    sql = (CLONE / "sql/marts/account_status/model.sql").read_text(encoding="utf-8")
    days = {name: float(number) for number, name in re.findall(r"([\d.]+) as (\w+)_days", sql)}

    assert (days["critical"], days["warning"], days["watch"]) == (7, 14, 30)
    text = " ".join(section(DOCS / "queries.md", "What the numbers mean").split())
    for words in (
        "`critical`: an even chance of running dry within 7 days,",
        "`warning`: an even chance within 14, 1 chance in 10 within 7,",
        "`watch`: an even chance within 30, 1 chance in 10 within 14,",
    ):
        assert words in text


def test_a_stale_reading_keeps_its_number_and_its_severity(published: Bench) -> None:
    assert published.rows(
        "SELECT balance_amount > 0, reading_state, severity <> 'unknown' FROM marts.account_status "
        "WHERE account_id = 'vpsbg-agency'"
    ) == [(True, "stale", True)]
