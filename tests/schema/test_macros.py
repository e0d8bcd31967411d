"""The macros of sql/macros: discovered automatically, each after those that it calls, and part of a SELECT's hash."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pipeline.models import fingerprints, macros
from pipeline.models.discovery import discover
from pipeline.models.macros import Macro, called_by, calls, discover_macros, expanded, inlined
from pipeline.support import wording
from pipeline.support.errors import DrawdownError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "sql" / "macros"
    made.mkdir(parents=True)
    monkeypatch.setattr(macros, "MACROS_FOLDER", made)
    return made


def _discover_again() -> dict[str, Macro]:
    return discover_macros.__wrapped__()


def test_a_macro_comes_after_those_that_it_calls() -> None:
    seen: set[str] = set()
    for name, macro in discover_macros().items():
        assert calls(macro.expression) <= seen
        seen.add(name)
    assert {"to_reporting", "mean_of", "age_words"} <= seen


def test_a_file_is_a_macro_by_being_there(folder: Path) -> None:
    (folder / "half.sql").write_text("-- A half.\ncreate or replace macro core.half(a, b) as\na / 2 + core.other(b)\n")
    (folder / "other.sql").write_text("create or replace macro core.other(b) as b")
    found = _discover_again()
    assert list(found) == ["other", "half"]
    assert (found["half"].parameters, found["half"].expression) == (("a", "b"), "a / 2 + core.other(b)")
    assert found["half"].statement.startswith("-- A half.")


@pytest.mark.parametrize(
    "text",
    [
        "select 1 as one",
        "create or replace macro core.third(a) as a",
        "create or replace macro marts.half(a) as a",
        "create or replace macro core.half(a) as a; drop table core.accounts",
    ],
)
def test_anything_else_is_refused(folder: Path, text: str) -> None:
    (folder / "half.sql").write_text(text)
    with pytest.raises(DrawdownError, match=r"^sql/macros/half\.sql must be one `create or replace macro core\.half"):
        _discover_again()


def test_an_inlined_macro_is_the_macro() -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema core")
        connection.execute(discover_macros()["age_words"].statement)
        for seconds in ("NULL", "0", "7199", "7200", "172799", "172800", "1e9"):
            assert "'{} hours'" in inlined("age_words", "hours"), "a text is no argument"
            query = f"SELECT core.age_words(seconds) IS NOT DISTINCT FROM {inlined('age_words', 'seconds')}"
            assert connection.sql(f"{query} FROM (SELECT CAST({seconds} AS DOUBLE) AS seconds)").fetchall() == [(True,)]


def test_calls_are_expanded_with_their_arguments_whatever_these_hold() -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema core")
        for macro in discover_macros().values():
            connection.execute(macro.statement)
        query = (
            "SELECT core.at_rate(core.at_price(CAST(replace('1,5)', ',5)', '2.5') AS DECIMAL(27, 9)), NULL), 1.25, 2), "
            "core.age_words(3600) || ' (core.age_words)'"
        )
        plain = expanded(query)
        assert connection.sql(plain).fetchall() == connection.sql(query).fetchall() != []
        assert not calls(plain)
    assert expanded("SELECT x FROM core.accounts WHERE core.unknown(x, 1)") == (
        "SELECT x FROM core.accounts WHERE core.unknown(x, 1)"
    )


def test_a_macro_that_a_select_calls_is_part_of_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    models = discover()
    before = {name: fingerprints.select_hash(name, models) for name in models}
    other = Macro("billionths", ("value",), "value + 1", "")
    changed = {**discover_macros(), "billionths": other}
    monkeypatch.setattr(macros, "discover_macros", lambda: changed)
    after = {name: fingerprints.select_hash(name, models) for name in models}
    differing = {name for name in models if before[name] != after[name]}
    direct = {name for name, model in models.items() if other in called_by(model.select)}
    # Anything that reads one of these differs as well.
    assert "core.spend_daily" in direct <= differing
    assert "marts.spend_monthly" in differing
    assert "core.balance_intervals" not in differing


def test_macros_write_numbers_as_python_does() -> None:
    """Reasons in SQL and sentences in Python show one number in one way."""
    values = random.Random(7)  # noqa: S311 - test data
    amounts = [Decimal(values.randrange(-(10 ** values.randrange(1, 27)), 10**26)).scaleb(-9) for _ in range(3000)]
    amounts += [
        Decimal(each) for each in ("0", "-0.000000001", "0.005", "-0.005", "0.004999999", "1234.505", "-12.345")
    ]
    chances = [each / 1000 for each in range(1001)] + [1e-12, 0.0004, 0.9995, 0.99949, 0.0999999, 0.9000001]
    ages = [float(each) for each in (0, 1, 1.9, 59, 119, 120, 7199, 7200, 86399, 86400, 172799, 172800, 1e9)]
    ages += [values.uniform(0, 1e6) for _ in range(1000)]
    days = [0.0, 0.999, 1.0, 1.9, 2.0, 11.9, 12.0, 0.3 / 0.1, 3 - 1e-5, 1234.0, 3650.5]
    days += [values.uniform(0, 4000) for _ in range(1000)]
    assert [wording.days(each) for each in (0.3 / 0.1, 1.9, 12.0, 11.9)] == ["3 days", "1 day", "12 days", "11 days"]
    with duckdb.connect() as connection:
        connection.execute("create schema core")
        for macro in discover_macros().values():
            connection.execute(macro.statement)

        def written(call: str, values: list[object]) -> list[str]:
            return [connection.execute(f"SELECT core.{call}", [value]).fetchall()[0][0] for value in values]

        assert written("amount_words(CAST(? AS DECIMAL(27, 9)), 'EUR')", [*amounts]) == [
            wording.amount(each, "EUR") for each in amounts
        ]
        assert written("chance_words(CAST(? AS DOUBLE))", [*chances]) == [wording.chance(each) for each in chances]
        assert written("age_words(CAST(? AS DOUBLE))", [*ages]) == [wording.duration(each) for each in ages]
        assert written("days_words(CAST(? AS DOUBLE))", [*days]) == [wording.days(each) for each in days]
