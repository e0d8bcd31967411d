"""Columns and tables are each defined once, and agree with themselves."""

import re
from dataclasses import replace

import pytest

from pipeline.schema.columns import COLUMNS, Column, Type, is_focus_name, suffix_of, suffix_problem
from pipeline.schema.render import contract, create_table, unused_columns
from pipeline.schema.tables import ALL, RECORDS, Table, published, table, vendor_table
from pipeline.schema.units import ISO_4217, is_unit_code

EVERY_TABLE = [*ALL.values(), *RECORDS.values()]


def test_no_column_is_defined_and_unused() -> None:
    assert unused_columns(EVERY_TABLE) == []


def test_a_column_that_no_table_lists_is_found() -> None:
    missing = "threshold_amount"
    without = [
        replace(each, columns=tuple(column for column in each.columns if column.name != missing))
        for each in EVERY_TABLE
    ]
    assert unused_columns(without) == [missing]


@pytest.mark.parametrize("column", COLUMNS.values(), ids=lambda column: column.name)
def test_a_columns_suffix_agrees_with_its_type_and_unit(column: Column) -> None:
    assert suffix_problem(column) is None


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (Column(name="spend_amount", type=Type.NUMBER, doc="."), "must be DECIMAL"),
        (Column(name="spend", type=Type.MONEY, doc="."), "ends with _amount"),
        (Column(name="asked", type=Type.INSTANT, doc="."), "ends with _at_utc"),
        (Column(name="age_seconds", type=Type.NUMBER, doc=".", unit="hours"), "unit is 'seconds'"),
        (Column(name="usage_date", type=Type.INSTANT, doc=".", unit="UTC day"), "must be DATE"),
        (Column(name="complete", type=Type.BOOLEAN, doc="."), "begins with is_ or has_"),
        (Column(name="is_complete", type=Type.TEXT, doc="."), "must be BOOLEAN"),
        (Column(name="age_days", type=Type.INTEGER, doc=".", unit="days"), "must be DOUBLE"),
        (Column(name="hit_ratio", type=Type.NUMBER, doc=".", unit="per cent"), "unit is 'ratio'"),
        (Column(name="BilledCost", type=Type.NUMBER, doc="."), "must be DECIMAL"),
        (Column(name="x_FetchId", type=Type.INTEGER, doc="."), "must be VARCHAR"),
        (Column(name="x_IsEstimated", type=Type.TEXT, doc="."), "must be BOOLEAN"),
    ],
    ids=lambda value: value.name if isinstance(value, Column) else "",
)
def test_a_name_that_contradicts_its_type_or_unit_is_told(column: Column, words: str) -> None:
    assert words in (suffix_problem(column) or "")


def test_the_longest_suffix_tells_the_unit() -> None:
    assert suffix_of("first_observed_at_utc") == "_at_utc"
    assert suffix_of("description") is None


@pytest.mark.parametrize("made", published(), ids=lambda made: made.full_name)
def test_money_that_readers_get_stands_beside_the_unit_that_it_is_in(made: Table) -> None:
    for column in made.columns:
        if column.column.type is Type.MONEY:
            assert column.column.unit in made.column_names, f"{column.name} has no {column.column.unit} beside it"


@pytest.mark.parametrize("column", COLUMNS.values(), ids=lambda column: column.name)
def test_a_column_is_explained_in_a_sentence(column: Column) -> None:
    assert column.doc.endswith(".")
    assert is_focus_name(column.name) or re.fullmatch(r"[a-z][a-z0-9_]*", column.name)
    # The unit stands in brackets behind the doc when it is shown, and is read back from there.
    assert not column.doc.endswith("]")
    assert "]" not in (column.unit or "")


def test_a_bound_stands_on_numbers_and_a_choice_on_texts_only() -> None:
    for column in COLUMNS.values():
        if column.allowed:
            assert column.type is Type.TEXT, column.name
        if column.minimum is not None or column.maximum is not None:
            assert column.type in (Type.MONEY, Type.RATE, Type.NUMBER, Type.INTEGER), column.name


@pytest.mark.parametrize("made", EVERY_TABLE, ids=lambda made: made.full_name)
def test_a_table_lists_no_column_twice_and_its_key_first_of_all_exists(made: Table) -> None:
    assert len(set(made.column_names)) == len(made.column_names)
    assert set(made.key) <= set(made.column_names)
    # A row whose month changes touches both: it is taken out of the one and put into the other.
    assert made.month_column is None or made.month_column in made.column_names
    assert made.doc.endswith(".")


def test_a_table_refuses_an_undefined_column_and_a_key_that_may_be_null() -> None:
    with pytest.raises(KeyError, match="not_defined"):
        table("core.things", "A thing.", key="account_id", columns="account_id not_defined")
    with pytest.raises(ValueError, match="key column team must be one of its columns, and never NULL"):
        table("core.things", "A thing.", key="team", columns="account_id team?")
    with pytest.raises(ValueError, match="key column vendor must be one of its columns"):
        table("core.things", "A thing.", key="vendor", columns="account_id")


def test_a_vendors_table_is_its_record_under_another_name() -> None:
    made = vendor_table("vpsbg", "balances")
    assert made.full_name == "staging.vpsbg_balances"
    assert made.columns == RECORDS["balances"].columns
    assert not made.is_published


def test_the_published_tables_are_the_readers_ones() -> None:
    names = {made.full_name for made in published()}
    staged = {name for name in names if name.startswith("staging.")}
    assert staged == {"staging.rejects", "staging.schema_drift", "staging.quarantine"}
    # The intervals are a step on the way to the bridge, what balances prove to conventions, the journal to alerts.
    assert names - staged == {name for name in ALL if not name.startswith("staging.")} - {
        "core.balance_intervals",
        "core.balance_residuals",
        "core.ledger_evidence",
        "alerts.journal",
    }


def test_the_contract_and_the_ddl_have_the_same_columns() -> None:
    for made in EVERY_TABLE:
        assert tuple(contract(made).columns) == made.column_names
        lines = create_table(made).splitlines()[1:-1]
        assert [line.split()[0] for line in lines] == list(made.column_names)


@pytest.mark.parametrize("code", ["EUR", "USD", "INR", "unknown", "voxpria-credit"])
def test_a_unit_is_a_currency_a_vendors_own_or_unknown(code: str) -> None:
    assert is_unit_code(code)


@pytest.mark.parametrize(
    "code", ["", "eur", "EURO", "XXX", "XAU", "credits", "Unknown", "-credit", "a-b-c", "EUR\n", "€"]
)
def test_anything_else_is_no_unit(code: str) -> None:
    assert not is_unit_code(code)


def test_currency_codes_are_three_capitals() -> None:
    assert all(re.fullmatch("[A-Z]{3}", code) for code in ISO_4217)
