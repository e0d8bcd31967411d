"""docs/reconciliation.md: the commands lead from a mart to the bytes, which contain the number."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

from tests.docs.pages import DOCS, blocks
from tests.docs.shell import all_well, same_columns, type_in

PAGE = DOCS / "reconciliation.md"


def test_every_command_works_and_shows_what_the_page_shows(state: Path) -> None:
    (script,) = blocks(PAGE, "python")
    (state / "bytes_of.py").write_text(script.text, encoding="utf-8")
    steps = [step for block in blocks(PAGE, "console") for step in block.transcript()]

    ran = type_in([command for command, _ in steps], state)

    all_well(ran)
    for (command, shown), each in zip(steps, ran, strict=True):
        if command.startswith("drawdown sql"):
            assert same_columns(shown, each.out), command
    by_command = {each.command: each.out for each in ran}
    balance = Decimal(
        next(out for command, out in by_command.items() if "balance_amount, unit_code" in command)[2].split()[0]
    )
    body = by_command['python bytes_of.py "$fetch_id"']
    assert body[0].startswith("200 http://127.0.0.1:")
    assert json.loads(body[1], parse_float=Decimal)["balance"] == balance
    entries = next(out for command, out in by_command.items() if command.startswith('drawdown sql "select entry_id'))
    (entry,) = ran[-1].out
    assert json.loads(entry, parse_float=Decimal)["id"] == int(entries[2].split()[0])
    assert json.loads(entry, parse_float=Decimal)["amount"] == Decimal(entries[2].split()[2])


def test_the_line_of_the_vendors_file_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    line = 'money("balance_amount", "balance", required=True)'

    assert f"`{line}`" in text
    assert line in (DOCS.parent / "pipeline/vendors/vpsbg/parse.py").read_text(encoding="utf-8")
