"""`drawdown explain`: every section is compared with the tables that it names, and every id with the bytes in landing."""

import hashlib
import json
import re
import subprocess
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from pipeline.cli.explain import COMPONENTS
from tests.cli.conftest import DRAWDOWN, NOW, Desk

ACCOUNTS = ["vpsbg-main", "vpsbg-agency", "vpsbg-idle", "voxpria-main", "voxpria-campaign"]


def explained(desk: Desk, account_id: str) -> dict[str, Any]:
    done = desk.here("explain", account_id, "--json", "--as-of", NOW.isoformat())
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout, parse_float=Decimal)
    return found


def rows(desk: Desk, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(desk.here("sql", query, "--format", "json").stdout, parse_float=Decimal)
    return found


@pytest.mark.parametrize("account_id", ACCOUNTS)
def test_it_fits_80_columns_and_has_every_section(desk: Desk, account_id: str) -> None:
    done = desk.here("explain", account_id)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout
    heads = [line for line in lines if line and not line.startswith(" ")]
    assert heads[0].startswith(f"{account_id}: ")
    for head in ("In short", "The balance", "The last interval", "How the forecast is made", "What looks wrong"):
        assert any(line.startswith(head) for line in heads), head


@pytest.mark.parametrize("account_id", ACCOUNTS)
def test_the_numbers_are_those_of_the_tables(desk: Desk, account_id: str) -> None:
    found = explained(desk, account_id)
    where = f"where account_id = '{account_id}'"
    assert [found["status"]["row"]] == rows(desk, f"from marts.account_status {where}")
    stated = found["status"]["row"]["burn_28d_amount"] is not None
    assert ("core.spend_daily" in found["status"]["tables"]) == stated
    for name, table in (("forecast", "forecasts.current_runway"), ("topup", "forecasts.current_topup_plan")):
        held = rows(desk, f"from {table} {where}")
        assert [found[name]["row"]] == (held or [None])
    month = found["last_30_days"]["row"]
    if month:
        sums = ", ".join(f"sum({each}_amount) as {each}_amount" for each in COMPONENTS)
        day = "(select cast(value as timestamptz) from marts.build_info where item = 'as_of_utc')"
        [held] = rows(
            desk, f"select {sums} from core.balance_bridge {where} and closed_at_utc > {day} - interval 30 day"
        )
        assert held == {name: month[name] for name in held}


@pytest.mark.parametrize("account_id", ACCOUNTS)
def test_every_explained_interval_adds_up_to_the_last_digit(desk: Desk, account_id: str) -> None:
    found = explained(desk, account_id)
    for name in ("last_interval", "last_move", "last_30_days"):
        row = found[name]["row"]
        if row:
            moved = sum((row[f"{each}_amount"] for each in COMPONENTS), Decimal())
            assert row["opening_amount"] + moved == row["closing_amount"], name
    # Also as printed: the components add up to the difference of opening and closing balance.
    text = desk.here("explain", account_id).stdout
    for block in re.findall(r"^  opening .*?^  closing [^\n]*$", text, re.MULTILINE | re.DOTALL):
        lines = [line for line in block.splitlines() if not line.startswith("   ")]
        opening, *parts, closing = [Decimal(line.split()[-2].replace(",", "")) for line in lines]
        assert opening + sum(parts, Decimal()) == closing


@pytest.mark.parametrize("account_id", ACCOUNTS)
def test_every_query_that_is_printed_works_in_a_shell(desk: Desk, account_id: str) -> None:
    text = desk.here("explain", account_id).stdout
    ways = text.split("To see the rows behind it:\n")[1]
    commands = re.findall(r'  drawdown sql ".*?"', ways, re.DOTALL)
    bytes_command = "  drawdown explain --bytes" + ways.split("drawdown explain --bytes")[1]
    assert len(commands) >= 3
    # One process for all of them; the SQL is run as the shell passes it.
    queries = subprocess.run(
        ["bash", "-c", "drawdown() { printf '%s\\0' \"$2\"; }\n" + "\n".join(commands)],
        capture_output=True, text=True, check=True,
    ).stdout.split("\0")[:-1]  # fmt: skip
    assert len(queries) == len(commands)
    for query in queries:
        assert all(row["account_id"] == account_id for row in rows(desk, query))
    arguments = subprocess.run(
        ["bash", "-c", "drawdown() { printf '%s\\0' \"$@\"; }\n" + bytes_command],
        capture_output=True, text=True, check=True,
    ).stdout.split("\0")[:-1]  # fmt: skip
    assert arguments[:2] == ["explain", "--bytes"]
    assert arguments[3] == account_id


def test_every_answer_that_is_named_is_in_landing_byte_for_byte(desk: Desk) -> None:
    files = f"{desk.home}/landing/*/*/*/*/*/*.parquet"
    held = dict(duckdb.execute("select fetch_id, body from read_parquet(?)", [files]).fetchall())
    found = explained(desk, "vpsbg-main")
    ids = {each for section in found.values() if isinstance(section, dict) for each in section.get("fetch_ids", [])}
    assert len(ids) >= 2
    assert ids <= held.keys()
    for fetch_id in sorted(ids)[:2]:
        done = subprocess.run(
            [DRAWDOWN, "explain", "--bytes", fetch_id, "vpsbg-main"],
            env=desk.environment(), cwd=desk.folder, capture_output=True, check=True,
        )  # fmt: skip
        assert done.stdout == held[fetch_id]
        assert hashlib.sha256(held[fetch_id]).hexdigest() in done.stderr.decode()
    reading = found["reading"]
    assert json.loads(held[reading["fetch_ids"][0]], parse_float=Decimal)["balance"] == reading["row"]["balance_amount"]


def test_the_bytes_of_another_accounts_answer_are_refused(desk: Desk) -> None:
    fetch_id = explained(desk, "vpsbg-main")["reading"]["fetch_ids"][0]
    done = desk.here("explain", "--bytes", fetch_id, "voxpria-main")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"drawdown: the answer {fetch_id} is not voxpria-main's but vpsbg-main's: "
        f"drawdown explain --bytes {fetch_id} vpsbg-main\n"
    )


def test_an_echoed_key_stays_replaced_in_the_bytes(desk: Desk) -> None:
    # In the build's run, the vendor echoed the key in this answer.
    found = explained(desk, "vpsbg-main")
    done = desk("explain", "--bytes", found["reading"]["fetch_ids"][0], "vpsbg-main")
    assert done.returncode == 0
    for key in desk.keys.values():
        assert key not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["vspbg-main"],
            "the newest build has no account 'vspbg-main'; did you mean vpsbg-main or vpsbg-agency or voxpria-main? "
            "known accounts: voxpria-campaign, voxpria-main, vpsbg-agency, vpsbg-idle, vpsbg-main",
        ),
        (
            ["'; drop table x; --"],
            'the newest build has no account "\'; drop table x; --"; '
            "known accounts: voxpria-campaign, voxpria-main, vpsbg-agency, vpsbg-idle, vpsbg-main",
        ),
        (
            ["vpsbg-main", "--bytes", "18ea000000000000"],
            "{home}/landing holds no answer '18ea000000000000'; `drawdown explain ACCOUNT` names those that an account "
            "rests on",
        ),
        (
            ["vpsbg-main", "--bytes", "' or true --"],
            '{home}/landing holds no answer "\' or true --"; `drawdown explain ACCOUNT` names those that an account '
            "rests on",
        ),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(desk: Desk, arguments: list[str], line: str) -> None:
    done = desk.here("explain", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"drawdown: {line.format(home=desk.home)}\n"
