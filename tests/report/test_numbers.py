"""Every figure of the report equals the result of its own query on the build, and leads to the vendor's bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.published.report import publish_report
from pipeline.published.report.charts import STEPS
from pipeline.support.home import Home
from tests.bench import Bench
from tests.report.conftest import NOW
from tests.report.reading import Element, amount, is_shown, parse

Build = duckdb.DuckDBPyConnection


@pytest.fixture(scope="module")
def tree(page: Path) -> Element:
    return parse(page.read_text(encoding="utf-8"))


def _asked(build: Build, query: str) -> list[dict[str, Any]]:
    result = build.execute(query)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _query_of(figure: Element) -> str:
    """The query closest to a table or list of figures, by their common name."""
    name = figure.attributes["data-query"]

    def holds(each: Element) -> bool:
        return any(_is_query(pre, name) for pre in each.tags("pre"))

    [query, *others] = {pre.text for pre in figure.under(holds).tags("pre") if _is_query(pre, name)}
    assert not others
    return query


def _is_query(pre: Element, name: str) -> bool:
    return pre.attributes.get("data-query") == name


def _cards(tree: Element) -> dict[str, Element]:
    return {each.attributes["data-account"]: each for each in tree.tags("article")}


def test_every_account_has_a_card_the_most_urgent_first(tree: Element, build: Build) -> None:
    urgency = ["critical", "warning", "unknown", "watch", "ok"]
    rows = build.execute("SELECT account_id, severity, runway_days FROM marts.account_status").fetchall()
    rows.sort(key=lambda row: (urgency.index(row[1]), row[2] is None, row[2] or 0, row[0]))

    assert list(_cards(tree)) == [account_id for account_id, *_ in rows]
    assert {severity for _, severity, _ in rows} >= {"critical", "warning", "ok"}


def _tables_that_hold(tree: Element, build: Build) -> set[str]:
    """Compare every table of a page with its query; returns the names of the tables."""
    seen = set()
    for table in tree.tags("table"):
        rows = _asked(build, _query_of(table))
        columns = [each.attributes["data-column"] for each in table.tags("thead")[0].tags("th")]
        cells = [[cell.text.strip() for cell in row.tags("th", "td")] for row in table.tags("tbody")[0].tags("tr")]
        seen.add(table.attributes["data-query"])
        assert len(cells) == len(rows), table.attributes
        for shown, row in zip(cells, rows, strict=True):
            for words, column in zip(shown, columns, strict=True):
                assert is_shown(words, row[column], column), (table.attributes, column, words, row[column])
    return seen


def test_every_table_shows_what_its_query_yields(tree: Element, build: Build) -> None:
    # Everything that the report can show, except unexplained amounts: this world has none.
    assert _tables_that_hold(tree, build) == {
        "fleet", "due", "month", "fan", "curve", "readings", "months", "outlook", "bridge", "held", "scores", "calibration",
        "accuracy", "stale", "rejects", "drift", "freshness",
    }  # fmt: skip


def test_an_unexplained_amount_is_shown_with_its_class(altered: Callable[..., Home]) -> None:
    home = altered(
        "UPDATE core.balance_bridge SET usage_amount = usage_amount + 5.25, unexplained_amount = -5.25, "
        "unexplained_class = 'missing_entry' WHERE account_id = 'vpsbg-main' AND closed_at_utc = "
        "(SELECT max(closed_at_utc) FROM core.balance_bridge WHERE account_id = 'vpsbg-main')"
    )
    tree = parse(publish_report(home.current, home).read_text(encoding="utf-8"))
    with duckdb.connect(home.current.resolve(), read_only=True) as build:
        build.execute("SET TimeZone = 'UTC'")
        assert "classes" in _tables_that_hold(tree, build)
        _waterfalls_add_up(tree, build)

    card = _cards(tree)["vpsbg-main"]
    assert "Unexplained: \N{MINUS SIGN}5.25 EUR missing_entry (an entry seems to be missing)." in card.text
    assert "All of it is explained." not in card.text


def test_plans_are_shown_with_what_was_spent(altered: Callable[..., Home]) -> None:
    columns = "account_id, plan_number, from_date, to_date, state, unit_code, day_count, complete_day_count"
    home = altered(
        f"INSERT INTO marts.planned_spend ({columns}, note, planned_amount, spent_amount, extra_amount) VALUES "
        "('vpsbg-main', 1, DATE '2026-09-20', DATE '2026-09-23', 'over', 'EUR', 4, 4, '<b>launch</b>', 70, 60, -9.5)",
        f"INSERT INTO marts.planned_spend ({columns}, multiplier) VALUES "
        "('vpsbg-main', 2, DATE '2026-10-02', DATE '2026-10-02', 'coming', 'EUR', 1, 0, 1.5)",
    )
    tree = parse(publish_report(home.current, home).read_text(encoding="utf-8"))
    with duckdb.connect(home.current.resolve(), read_only=True) as build:
        build.execute("SET TimeZone = 'UTC'")
        assert "planned" in _tables_that_hold(tree, build)
    assert [name for name, card in _cards(tree).items() if "Planned spend, EUR" in card.text] == ["vpsbg-main"]
    assert "<b>launch</b>" in _cards(tree)["vpsbg-main"].text


def test_every_fact_of_a_card_is_the_status_in_its_unit(tree: Element, build: Build) -> None:
    for account_id, card in _cards(tree).items():
        [facts] = [each for each in card.tags("dl") if each.attributes.get("data-query") == "status"]
        [row] = _asked(build, _query_of(facts))
        assert row["account_id"] == account_id
        shown = {each.attributes["data-column"]: each.text for each in facts.tags("dd")}
        [big] = [each.text for each in card.tags("p") if each.attributes.get("data-column") == "balance_amount"]
        assert big == shown["balance_amount"]
        for column, words in shown.items():
            if column.endswith("_amount") and row[column] is not None:
                unit = row["reporting_unit_code" if column.startswith("reporting_") else "unit_code"]
                words, said = words.split(" ", 1)
                assert said == unit
            elif column == "evidence_level":
                words = words.split(":")[0]
            elif column == "method":
                words, since = words.split(", from ")
                assert int(since.split()[0].replace(",", "")) == round(row["history_days"])
            assert is_shown(words, row[column], column), (account_id, column, words, row[column])
        assert row["reason"] in card.text
        assert (row["topup_advice"] or "No top-up is advised") in card.text


def test_payments_are_converted_exactly_and_unconverted_ones_shown_separately(tree: Element, build: Build) -> None:
    def exact(number: Decimal) -> Decimal:
        return number.quantize(Decimal("1e-9"), ROUND_HALF_UP)

    total, apart = Decimal(0), {}
    for row in _asked(build, "SELECT * FROM marts.account_status WHERE topup_amount > 0 AND order_by_date IS NOT NULL"):
        if row["order_by_date"] >= NOW.date() + timedelta(days=7):
            continue
        pay, unit, day = (
            row["topup_gross_amount"] or row["topup_amount"],
            row["unit_code"],
            row["observed_at_utc"].date(),
        )
        prices = _asked(
            build,
            f"SELECT * FROM core.credit_prices WHERE account_id = '{row['account_id']}' "
            f"AND unit_code = '{row['unit_code']}'",
        )
        for price in prices:
            if price["from_date"] <= day and (price["to_date"] is None or day <= price["to_date"]):
                pay, unit = exact(pay * price["price_amount"]), price["price_unit_code"]
        rates = _asked(
            build, f"SELECT * FROM core.conversion_rates WHERE unit_code = '{unit}' AND conversion_date = '{day}'"
        )
        if unit == row["reporting_unit_code"]:
            total += pay
        elif rates:
            total += exact(pay * rates[0]["reporting_eur_rate"] / rates[0]["eur_rate"])
        else:
            apart[unit] = apart.get(unit, 0) + pay
    assert total > 0

    [tile] = [each.parent for each in tree.tags("dt") if each.text == "To pay within 7 days"]
    assert tile is not None
    number, *others = [each.text for each in tile.tags("dd")]
    assert number == f"{total:,.2f} EUR"
    assert sum("not converted" in each for each in others) == len(apart)


def test_the_fleets_balance_is_shown_with_the_amounts_that_are_not_in_it(tree: Element, build: Build) -> None:
    [row] = _asked(build, "SELECT * FROM marts.fleet_status")
    [own] = [each for each in tree.tags("dl") if each.attributes.get("class") == "tiles"]
    tiles = {each.text: each.parent for each in own.tags("dt")}
    balance = tiles["Balance"]
    assert balance is not None

    assert f"{row['reporting_balance_amount']:,.2f} EUR" in balance.text
    assert f"in {row['converted_account_count']} of {row['account_count']} accounts" in balance.text
    assert row["unconverted_balances"]
    for each in row["unconverted_balances"].split(", "):
        number, unit = each.split(" ")
        assert f"{Decimal(number):,.2f} {unit}" in balance.text
    assert f"{row['reporting_burn_28d_amount']:,.2f} EUR" in (tiles["Spend a day"] or balance).text


def test_the_waterfall_adds_up(tree: Element, build: Build) -> None:
    assert _waterfalls_add_up(tree, build) >= 6


def _waterfalls_add_up(tree: Element, build: Build) -> int:
    drawn = 0
    for account_id, card in _cards(tree).items():
        plots = [each for each in card.tags("svg") if each.attributes.get("class") == "drawdown-bridge"]
        rows = _asked(
            build,
            "SELECT * FROM core.balance_bridge JOIN marts.account_status USING (account_id, unit_code) "
            f"WHERE account_id = '{account_id}' AND closed_at_utc > TIMESTAMPTZ '{NOW - timedelta(days=30)}' "
            "ORDER BY closed_at_utc",
        )
        assert len(plots) == bool(rows), account_id
        if not rows:
            continue
        names = [each.text for each in plots[0].tags("text")][1:]
        shown = dict(zip(names[::2], names[1::2], strict=True))
        assert is_shown(shown["Opening"], rows[0]["opening_amount"], "")
        assert is_shown(shown["Closing"], rows[-1]["closing_amount"], "")
        level = rows[0]["opening_amount"]
        for column, name in STEPS:
            step = sum(row[column] for row in rows)
            level += step
            if step or name == "Unexplained":
                assert is_shown(shown.pop(name).removeprefix("+"), step, "")
            assert name not in shown
        assert level == rows[-1]["closing_amount"]
        drawn += 1
    return drawn


def test_this_months_total_is_the_spend_so_far_plus_the_forecast_of_the_rest(tree: Element, build: Build) -> None:
    checked = 0
    for account_id, card in _cards(tree).items():
        rows = build.execute(
            """
            SELECT unit_code, p10_amount, p50_amount, p90_amount, (
                SELECT sum(spend_amount) FROM core.spend_daily AS spent
                WHERE spent.account_id = total.account_id AND spent.is_complete
                    AND spend_date >= DATE '2026-09-01' AND spend_date < issue_date
            )
            FROM forecasts.cost_total AS total
            WHERE account_id = $id AND forecast_date = DATE '2026-09-30'
                AND issue_date = (SELECT max(issue_date) FROM forecasts.runway WHERE account_id = $id)
            """,
            {"id": account_id},
        ).fetchall()
        said = re.search(r"September: (\S+) spent, (\S+) (\S+) expected by its end; 80 %: (\S+) to (\S+)\.", card.text)
        assert bool(said) == bool(rows), account_id
        if said and rows:
            [(unit, low, middle, high, spent)] = rows
            assert said[3] == unit
            for words, number in zip(said.group(1, 4, 2, 5), (0, low, middle, high), strict=True):
                assert amount(words) == (spent + number).quantize(Decimal("0.01"), ROUND_HALF_UP)
            checked += 1
    assert checked


def test_a_balance_leads_to_the_bytes_that_the_vendor_sent(tree: Element, build: Build, published: Bench) -> None:
    balances = dict(build.execute("SELECT account_id, balance_amount FROM marts.account_status").fetchall())
    for account_id, card in _cards(tree).items():
        # Three steps: the source of the numbers, the answer in it, and landing.
        [answer] = [each for each in card.tags("details") if each.attributes.get("class") == "answer"]
        assert answer.under(lambda each: each.attributes.get("class") == "source")
        [link] = answer.tags("a")
        folder = (published.home.published / "report" / link.attributes["href"]).resolve()
        assert folder.is_dir()
        assert folder.parent == published.home.landing
        [query] = [each.text for each in answer.tags("pre")]
        found = duckdb.execute(query.replace("'landing/", f"'{published.home.landing}/")).fetchall()
        [(_, _, body, digest)] = found
        assert sha256(body.encode()).hexdigest() == digest
        # A vendor's floats have more digits than an amount; all other numbers appear unchanged.
        stated = [Decimal(each).quantize(Decimal("1e-9")) for each in re.findall(r"-?\d+(?:\.\d+)?", body)]
        assert balances[account_id] in stated, account_id


def test_every_answer_that_is_named_is_in_landing(tree: Element, published: Bench) -> None:
    files = f"{published.home.landing}/*/*/*/*/*/*.parquet"
    landed = {
        fetch_id
        for (fetch_id,) in duckdb.execute(
            "SELECT fetch_id FROM read_parquet(?, union_by_name = true)", [files]
        ).fetchall()
    }
    own = f"{published.home.landing}/_drawdown/**/*.parquet"
    landed |= {
        fetch_id
        for (fetch_id,) in duckdb.execute(
            "SELECT fetch_id FROM read_parquet(?, union_by_name = true)", [own]
        ).fetchall()
    }
    named = set(re.findall(r"\b[0-9a-f]{16}\b", " ".join(each.text for each in tree.tags("code", "td"))))

    assert len(named) > 20
    assert named <= landed
