"""The macros of sql/macros: discovered automatically, each after those that it calls, and part of a SELECT's hash."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from pipeline.models import fingerprints, macros
from pipeline.models.discovery import discover
from pipeline.models.macros import Macro, called_by, calls, discover_macros, inlined
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
            expression = inlined("age_words", "minutes").replace("' minutes'", "' min'")
            assert "' min'" in expression, "a text is no argument"
            query = f"SELECT core.age_words(seconds) IS NOT DISTINCT FROM {inlined('age_words', 'seconds')}"
            assert connection.sql(f"{query} FROM (SELECT CAST({seconds} AS DOUBLE) AS seconds)").fetchall() == [(True,)]


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
