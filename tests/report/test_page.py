"""The report as a file: when it is made, its content if little is known, and the effect of hostile text."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks.report import replicate
from pipeline.models.status_at import status_at
from pipeline.published.report import cards, current_report, publish_report
from pipeline.published.report import page as page_module
from pipeline.published.report.report_queries import Row, read_snapshot
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.warehouse.reader import open_reader
from tests.bench import Bench
from tests.report.chromium import FOUND, Tab
from tests.report.conftest import HOSTILE, NOW
from tests.report.reading import Element, parse

Altered = Callable[..., Home]

_NO_FORECASTS = [
    f"DELETE FROM {table}"
    for table in (
        "forecasts.backtest_scores", "forecasts.calibration", "marts.forecast_accuracy", "forecasts.runway",
        "forecasts.cost_total", "forecasts.runway_curve",
    )
]  # fmt: skip


def _tree(home: Home) -> Element:
    return parse(publish_report(home.current, home).read_text(encoding="utf-8"))


def test_it_is_one_file_that_refers_to_nothing_outside_for_its_owner_only(page: Path, published: Bench) -> None:
    text = page.read_text(encoding="utf-8")

    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
    assert [each.name for each in page.parent.iterdir()] == ["index.html"]
    tree = parse(text)
    links = {each.attributes[name] for each in tree.all(bool) for name in ("href", "src", "srcset", "action")
             if name in each.attributes}  # fmt: skip
    assert {each for each in links if not each.startswith(("#", "../../landing/"))} == {"data:,"}
    [style], [script] = tree.tags("style"), tree.tags("script")
    assert not re.search(r"url\(|@import|https?:", style.text + script.text)
    [policy] = [each for each in tree.tags("meta") if each.attributes.get("http-equiv")]
    assert policy.attributes["content"].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy.attributes["content"]
    # No secret, and no user's path.
    assert not any(key in text for key in published.keys.values())
    assert str(published.folder) not in text


def test_every_run_publishes_the_report_of_its_build(page: Path, published: Bench) -> None:
    build_id = published.home.current.resolve().parent.name

    assert f'<meta name="drawdown-build" content="0.1.0 {build_id}">' in page.read_text(encoding="utf-8")[:2000]


def test_the_command_renders_a_missing_or_outdated_report_and_keeps_a_current_one(altered: Altered) -> None:
    home = altered()
    path = current_report(home)
    first = path.stat()
    assert current_report(home).stat().st_ino == first.st_ino

    other = home.published / "versions" / "00000000000000bb" / "drawdown.duckdb"
    other.parent.mkdir()
    home.current.resolve().rename(other)
    home.current.unlink()
    home.current.symlink_to(other)
    assert current_report(home) == path
    assert path.stat().st_ino != first.st_ino
    assert "00000000000000bb" in path.read_text(encoding="utf-8")[:2000]


def test_the_command_prints_its_address_and_opens_it(published: Bench, page: Path, tmp_path: Path) -> None:
    opener = tmp_path / "opener"
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    opener.chmod(0o700)

    done = published.command("report", "--open", BROWSER=str(opener))

    assert (done.returncode, done.stdout, done.stderr) == (0, f"{page.as_uri()}\n", "")
    assert (tmp_path / "opened").read_text() == f"{page.as_uri()}\n"


def test_a_browser_that_cannot_be_opened_is_reported(published: Bench, page: Path) -> None:
    done = published.command("report", "--open", BROWSER="/nonexistent/browser")

    assert done.returncode == 1
    assert done.stdout == f"{page.as_uri()}\n"
    assert done.stderr == "drawdown: no browser could be opened; the address above opens in any\n"


def test_without_a_build_or_with_an_older_one_the_error_names_the_remedy(
    published: Bench, altered: Altered, tmp_path: Path
) -> None:
    done = published.command("report", DRAWDOWN_HOME=str(tmp_path / "nothing"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing is published yet. `drawdown run` makes the first build" in done.stderr

    home = altered("DROP TABLE core.balance_bridge")
    with pytest.raises(
        DrawdownError, match=r"another version of Drawdown \(.*balance_bridge.*\); `drawdown run` makes"
    ):
        publish_report(home.current, home)
    assert not (home.published / "report" / "index.html").exists()


def test_without_scores_the_report_states_that(altered: Altered) -> None:
    text = _tree(altered(*_NO_FORECASTS)).text

    assert "There has been no backtest, so nothing here says how good these forecasts would have been." in text
    assert "No forecast that was issued has come due yet." in text
    assert "so there is no fan and no runway curve" in text
    assert "drawdown-balance" not in text


def test_the_report_states_the_accuracy_of_the_forecasts(page: Path) -> None:
    text = parse(page.read_text(encoding="utf-8")).text

    assert re.search(r"In 100 weeks like these, the 80 % band for the next 7 days would have held \d+", text)
    assert re.search(r"Of \d+ forecasts? of the next 1 day that came due, the 80 % band held \d+ %\.", text)


def test_the_state_of_the_data_is_shown(page: Path) -> None:
    text = parse(page.read_text(encoding="utf-8")).text

    assert "2 accounts without a fresh balance." in text
    assert re.search(r"1 of \d+ endpoints failed when last requested\.", text)
    assert re.search(r"\d+ rules? broken by rows that were kept out\.", text)


@pytest.mark.parametrize(
    "without", ["DELETE FROM core.credit_prices", "UPDATE core.credit_prices SET unit_code = 'other-credit'"]
)
def test_unconverted_payments_are_shown_separately(altered: Altered, without: str) -> None:
    tree = _tree(altered(without))
    [tile] = [each.parent for each in tree.tags("dt") if each.text == "To pay within 7 days"]
    assert tile is not None
    number, *apart = [each.text for each in tile.tags("dd")]

    assert number.endswith(" EUR")
    assert re.fullmatch(r"and, not converted, [\d,.]+ voxpria-credit", apart[0])
    [due] = [each for each in tree.tags("table") if each.attributes["data-query"] == "due"]
    [row] = [each for each in due.tags("tr") if each.text.startswith("voxpria-campaign")]
    assert "not converted" in row.text


def test_an_empty_fleet_has_a_report(altered: Altered) -> None:
    tables = ("marts.account_status", "core.accounts", "core.balance_snapshots", "core.balance_bridge", *())
    empty = (
        "UPDATE marts.fleet_status SET account_count = 0, converted_account_count = 0, reporting_balance_amount = NULL, "
        "reporting_burn_28d_amount = NULL, unconverted_balances = '', critical_account_count = 0, ok_account_count = 0, "
        "unknown_account_count = 0, watch_account_count = 0, warning_account_count = 0"
    )
    text = _tree(altered(*(f"DELETE FROM {table}" for table in tables), empty)).text

    assert "No account is configured." in text
    assert "Nothing has to be ordered within 7 days." in text


def test_amounts_beyond_all_measure_are_shown_whole(altered: Altered) -> None:
    huge = "123456789012345678.123456789"
    tree = _tree(
        altered(
            f"UPDATE marts.account_status SET balance_amount = {huge} WHERE account_id = 'vpsbg-main'",
            "UPDATE marts.account_status SET balance_amount = -0.000000001 WHERE account_id = 'vpsbg-idle'",
        )
    )

    assert "123,456,789,012,345,678.12 EUR" in tree.text
    assert "−0.000000001 EUR" in tree.text


def _made_hostile(build: Path) -> list[str]:
    """Statements that put hostile text into every free text of the build, and an account name into all its tables."""
    with duckdb.connect(build, read_only=True) as connection:
        columns = connection.execute(
            "SELECT schema_name || '.' || table_name, column_name FROM duckdb_columns() WHERE column_name IN "
            "('account_id', 'team', 'tags', 'reason', 'topup_advice', 'redacted_value', 'column_name', 'check_name', "
            "'endpoint', 'unit_code', 'vendor') AND table_name <> 'data_dictionary' AND NOT internal"
        ).fetchall()
    words = HOSTILE.replace("'", "''")
    return [
        f"UPDATE {table} SET {column} = {column} || '{words}' WHERE {column} IS NOT NULL AND {column} <> '*'"
        for table, column in columns
    ]


def test_hostile_words_stay_words(altered: Altered, published: Bench, request: pytest.FixtureRequest) -> None:
    home = altered(*_made_hostile(published.home.current.resolve()))
    path = publish_report(home.current, home)
    tree = parse(path.read_text(encoding="utf-8"))

    assert len(tree.tags("script")) == 1
    assert not list(tree.all(lambda each: any(name.startswith("on") for name in each.attributes)))
    shown = [each.text for each in tree.tags("h3")]
    assert len(shown) > 5
    assert all(each.endswith(HOSTILE) for each in shown)
    assert tree.text.count(HOSTILE) > 50
    if not FOUND:
        pytest.skip("no chromium is installed")
    tab: Tab = request.getfixturevalue("tab")
    tab.complaints.clear()
    tab.open(path.as_uri())
    assert tab.read("window.broken === undefined")
    assert tab.complaints == []


def test_characters_that_change_the_direction_or_end_a_text_are_replaced(altered: Altered) -> None:
    home = altered("UPDATE marts.account_status SET reason = 'left \u202e thgir' || chr(0) || chr(27) || '[31m'")
    text = publish_report(home.current, home).read_text(encoding="utf-8")

    assert "left \ufffd thgir\ufffd\ufffd[31m" in text
    assert "\u202e" not in text


def test_tags_as_the_owner_wrote_them_are_words(page: Path) -> None:
    assert "note: <script>window.broken=1</script>" in parse(page.read_text(encoding="utf-8")).text


def test_fifty_accounts_with_all_that_a_card_can_show_take_less_than_two_megabytes(altered: Altered) -> None:
    home = altered(
        # A year and sixty readings, for which the world is too young.
        "INSERT INTO core.balance_snapshots BY NAME SELECT one.* REPLACE (observed_at_utc - "
        "to_days(back::INTEGER) AS observed_at_utc, balance_amount + back * 17.31 AS balance_amount) FROM "
        "core.balance_snapshots AS one, (SELECT unnest(range(10, 61)) AS back) WHERE account_id = 'hyperstack-main' AND observed_at_utc = "
        "(SELECT max(observed_at_utc) FROM core.balance_snapshots WHERE account_id = 'hyperstack-main')",
        *replicate(50, only="hyperstack-main"),
    )
    path = publish_report(home.current, home)

    tree = parse(path.read_text(encoding="utf-8"))
    assert len(tree.tags("article")) == 50
    assert len([each for each in tree.tags("svg") if each.attributes.get("role") == "img"]) >= 200
    assert path.stat().st_size < 2_000_000, path.stat().st_size


def _cards(text: str) -> dict[str, Element]:
    found = [each for each in parse(text).tags("article") if "data-account" in each.attributes]
    return {card.attributes["data-account"]: card for card in found}


@pytest.mark.parametrize("where", ["put together", "written"])
def test_one_card_that_cannot_be_drawn_costs_no_other_its_own(
    published: Bench, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    found = read_snapshot(published.home.current)
    before = _cards(page_module.render(found))
    if where == "put together":
        facts = cards.facts_of

        def spoilt(status: Row) -> list[tuple[str, str, str]]:
            if status["account_id"] == "vpsbg-main":
                raise ArithmeticError("a fault of this account's own")
            return facts(status)

        monkeypatch.setattr(cards, "facts_of", spoilt)
    else:
        monkeypatch.setitem(page_module._environment().filters, "in_unit", _spoilt_for("vpsbg-main", before))
    after = _cards(page_module.render(found))

    assert "This card cannot be drawn: ArithmeticError: a fault of this account's own" in after["vpsbg-main"].text
    assert before.keys() - {"vpsbg-main"}
    for name in before.keys() - {"vpsbg-main"}:
        assert after[name].text == before[name].text


def _spoilt_for(account_id: str, before: dict[str, Element]) -> Callable[..., str]:
    """The report's own format, except for the amount at the top of one account's card."""
    from pipeline.published.report.words import in_unit

    def spelled(amount: Any, unit_code: str) -> str:
        text = in_unit(amount, unit_code)
        if text in before[account_id].text and not any(
            text in card.text for name, card in before.items() if name != account_id
        ):
            raise ArithmeticError("a fault of this account's own")
        return text

    return spelled


@pytest.mark.skipif(shutil.which("node") is None, reason="no node is installed")
def test_the_script_judges_an_account_as_every_other_reader_does(published: Bench, tmp_path: Path) -> None:
    """The rule of `pipeline.models.status_at` and that of the script, on the same rows at the same instants."""
    results = _judged_alike(published.home.current, tmp_path)
    critical = [sum(severity == "critical" for severity, _ in each.values()) for each in results]
    assert critical == sorted(critical)
    assert critical[0] < critical[-1]
    assert {state for _, state in results[-1].values()} <= {"stale", "unknown"}


@pytest.mark.skipif(shutil.which("node") is None, reason="no node is installed")
def test_the_script_knows_nothing_of_a_quota_since_its_reset(altered: Altered, tmp_path: Path) -> None:
    resets = (
        "UPDATE marts.account_status SET resets_at_utc = as_of.at_utc + to_hours(12 + 20 * (length(account_id) % 3)) "
        "FROM (SELECT CAST(value AS TIMESTAMPTZ) AS at_utc FROM marts.build_info WHERE item = 'as_of_utc') AS as_of "
        "WHERE balance_amount IS NOT NULL"
    )
    results = _judged_alike(altered(resets).current, tmp_path)
    unknown = [sum(severity == "unknown" for severity, _ in each.values()) for each in results]
    assert unknown[0] < unknown[2] < unknown[-1] == len(results[-1])
    assert "critical" in {severity for severity, _ in results[0].values()}


def _judged_alike(current: Path, tmp_path: Path) -> list[dict[str, tuple[str, str]]]:
    """Severity and reading state of each account at several instants, which the script and the readers must share."""
    script = page_module.script_text()
    rule = script[script.index("  const DAY =") : script.index("  // end of the rules")]
    found = read_snapshot(current)
    facts = {
        row["account_id"]: {
            "severity": row["severity"],
            "days": "" if row["runway_days"] is None else row["runway_days"],
        }
        | {re.sub("-(.)", lambda match: match[1].upper(), name): value for name, value in cards._judged(row).items()}
        for rows in found.accounts["status"].values()
        for row in rows
    }
    instants = [NOW + timedelta(hours=hours) for hours in (0, 1, 15, 24, 27, 100, 500, 1000, 2000, 4000)]
    code = (
        f"{rule}\nconst facts = {json.dumps(facts, default=str)};\n"
        f"const asOf = Date.parse({json.dumps(NOW.isoformat())});\n"
        f"console.log(JSON.stringify({json.dumps([each.isoformat() for each in instants])}.map((at) => "
        "Object.entries(facts).map(([name, each]) => [name, judge(each, asOf, Date.parse(at))]))))"
    )
    file = tmp_path / "judge.js"
    file.write_text(code)
    done = subprocess.run(["node", file], capture_output=True, text=True, check=True, timeout=60)
    results = [{name: (each["severity"], each["state"]) for name, each in rows} for rows in json.loads(done.stdout)]
    with open_reader(current) as connection:
        for instant, judged in zip(instants, results, strict=True):
            rows = connection.execute(
                f"SELECT account_id, severity, reading_state FROM ({status_at(instant)})"
            ).fetchall()
            assert judged == {name: (severity, state) for name, severity, state in rows}, instant
    return results
