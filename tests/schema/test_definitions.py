"""Columns and tables are each defined once, in files that are refused if they contradict themselves."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.models import months
from pipeline.schema.columns import COLUMNS, Column, Type, is_focus_name, load_columns, suffix_of, suffix_problem
from pipeline.schema.render import contract, create_table, unused_columns
from pipeline.schema.tables import ALL, RECORDS, Table, load_tables, published, vendor_table
from pipeline.schema.units import ISO_4217, is_unit_code
from pipeline.support.errors import DrawdownError

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
        (Column(name="age_days", type=Type.TEXT, doc=".", unit="days"), "must be DOUBLE"),
        (Column(name="hit_ratio", type=Type.NUMBER, doc=".", unit="per cent"), "unit is 'ratio'"),
        (Column(name="BilledCost", type=Type.NUMBER, doc="."), "must be DECIMAL"),
        (Column(name="x_FetchId", type=Type.INTEGER, doc="."), "must be VARCHAR"),
        (Column(name="x_IsEstimated", type=Type.TEXT, doc="."), "must be BOOLEAN"),
    ],
    ids=lambda value: value.name if isinstance(value, Column) else "",
)
def test_a_name_that_contradicts_its_type_or_unit_is_reported(column: Column, words: str) -> None:
    assert words in (suffix_problem(column) or "")


def test_the_longest_suffix_determines_the_unit() -> None:
    assert suffix_of("first_observed_at_utc") == "_at_utc"
    assert suffix_of("description") is None


@pytest.mark.parametrize("made", published(), ids=lambda made: made.full_name)
def test_published_money_has_a_column_with_its_unit(made: Table) -> None:
    for column in made.columns:
        if column.column.type is Type.MONEY:
            assert column.column.unit in made.column_names, f"{column.name} has no {column.column.unit} beside it"


@pytest.mark.parametrize("column", COLUMNS.values(), ids=lambda column: column.name)
def test_a_column_is_explained_in_a_sentence(column: Column) -> None:
    assert column.doc.endswith(".")
    assert is_focus_name(column.name) or re.fullmatch(r"[a-z][a-z0-9_]*", column.name)
    # The unit is shown in brackets after the doc, and read back from there.
    assert not column.doc.endswith("]")
    assert "]" not in (column.unit or "")


def test_bounds_apply_to_numbers_and_choices_to_texts_only() -> None:
    for column in COLUMNS.values():
        if column.allowed:
            assert column.type is Type.TEXT, column.name
        if column.minimum is not None or column.maximum is not None:
            assert column.type in (Type.MONEY, Type.RATE, Type.NUMBER, Type.INTEGER), column.name


@pytest.mark.parametrize("made", EVERY_TABLE, ids=lambda made: made.full_name)
def test_a_table_lists_no_column_twice_and_its_key_first_of_all_exists(made: Table) -> None:
    assert len(set(made.column_names)) == len(made.column_names)
    assert set(made.key) <= set(made.column_names)
    # A row whose month changes makes both months dirty: it is removed from one and added to the other.
    assert made.month_column is None or made.month_column in made.column_names
    assert made.doc.endswith(".")


_THINGS = "doc: A thing.\ngrain: account\nkey: [account_id]\ncolumns: [account_id, team?]\n"


def _load(folder: Path, definition: str) -> Table:
    (folder / "sql/core/things").mkdir(parents=True)
    (folder / "sql/core/things/table.yaml").write_text(definition)
    return load_tables(folder / "sql", COLUMNS)[1]["core.things"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("account_id, team?", "account_id, not_defined", "columns: not_defined is in no file of sql/columns"),
        ("[account_id]", "[team]", "key column team must be one of its columns, and never NULL"),
        ("[account_id]", "[vendor]", "key column vendor must be one of its columns"),
        ("doc:", "docs:", "unknown key `docs`; known keys are doc, grain, key"),
        ("grain: account\n", "", "missing key `grain`"),
        ("grain: account", "is_view: perhaps", "Expected `bool`"),
        ("grain: account", "month_column: spend_date\ngrain: account", "month_column spend_date must be one of"),
        ("grain: account", "reach: {core.thing: {}}\ngrain: account", "reach: core.thing is not a table"),
        (
            "grain: account",
            "reach: {core.spend_daily: {look: 1}}\ngrain: account",
            "unknown key `look` at `reach`; known keys are look_back_days, look_ahead_days, has_neighbours",
        ),
        ("team?", "{team?: {mean: Who pays.}}", "unknown key `mean` at `columns[1]`; known keys are nullable, meaning"),
        ("grain: account", "follows: {core.thing: {}}\ngrain: account", "follows: core.thing is not a table"),
        ("grain: account", "part_column: spend_date\ngrain: account", "part_column spend_date must be one of"),
        ("grain: account", "part_column: team\ngrain: account", "part_column team must never be NULL"),
        ("grain: account", "doc: Another.", "line 1: the key doc occurs twice"),
        ("key: [", "key: {", "line 3: did not find"),
        ("team?]", "{team: {}, vendor: {}}]", "each column is an item of its own, not team, vendor together"),
    ],
)  # fmt: skip
def test_a_definition_with_a_mistake_is_refused_with_its_file(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(DrawdownError) as caught:
        _load(tmp_path, _THINGS.replace(old, new))
    assert str(caught.value).startswith("sql/core/things/table.yaml")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_may_give_a_column_another_meaning(tmp_path: Path) -> None:
    meaning = "{team?: {meaning: Who pays.}}"
    team = _load(tmp_path, _THINGS.replace("team?", meaning)).columns[1]
    assert (team.is_nullable, team.column.doc) == (True, "Who pays.")
    assert replace(team.column, doc=COLUMNS["team"].doc) == COLUMNS["team"]


def test_a_warning_is_part_of_what_a_row_is(tmp_path: Path) -> None:
    made = _load(tmp_path, f"{_THINGS}warnings: [Never add it up.]\n")
    assert (made.doc, made.warnings) == ("A thing. Never add it up.", ("Never add it up.",))


def test_unknown_layers_and_misplaced_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sql/silver").mkdir(parents=True)
    with pytest.raises(DrawdownError, match=r"^sql/silver is not a layer; the layers are landing, staging"):
        load_tables(tmp_path / "sql", COLUMNS)
    (tmp_path / "sql/silver").rename(tmp_path / "sql/core")
    (tmp_path / "sql/core/things.sql").write_text("select 1 as one")
    with pytest.raises(DrawdownError, match=r"^sql/core/things\.sql is not a folder; a table is sql/core/<table>/"):
        load_tables(tmp_path / "sql", COLUMNS)


def _columns(folder: Path, **files: str) -> dict[str, Column]:
    (folder / "columns").mkdir()
    for theme, text in files.items():
        (folder / "columns" / f"{theme}.yaml").write_text(text)
    return load_columns(folder / "columns")


def test_a_columns_name_gives_what_its_definition_leaves_out(tmp_path: Path) -> None:
    found = _columns(
        tmp_path,
        money="fee_amount: A fee.\nfee_count: {doc: Fees., maximum: 9}",
        days="shift_days: {doc: A shift., minimum: none, maximum: 7}",
        words="kind: {doc: A kind., allowed: [off, 1]}\nother: {doc: Another., allowed_like: kind, allowed: [on]}",
    )
    assert found == {
        "fee_amount": Column(name="fee_amount", type=Type.MONEY, doc="A fee.", unit="unit_code"),
        "fee_count": Column(name="fee_count", type=Type.INTEGER, doc="Fees.", minimum=0, maximum=9),
        "shift_days": Column(name="shift_days", type=Type.NUMBER, doc="A shift.", unit="days", maximum=7),
        "kind": Column(name="kind", type=Type.TEXT, doc="A kind.", allowed=("off", "1")),
        "other": Column(name="other", type=Type.TEXT, doc="Another.", allowed=("off", "1", "on")),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fee: {doc: A fee., units: days}", "sql/columns/money.yaml: fee: unknown key `units`"),
        ("fee: {doc: A fee., type: decimal}", "sql/columns/money.yaml: fee: Invalid enum value 'decimal'"),
        ("fee: {minimum: 0}", "sql/columns/money.yaml: fee: missing key `doc`"),
        (
            "fee: {doc: A fee., allowed_like: kind}",
            "fee: allowed_like names kind, which no file of sql/columns defines",
        ),
        ("fee: {doc: A fee., allowed: FEES}", "or a name of pipeline/schema/severities.py, not FEES"),
        ("taken: A fee.", "money.yaml: taken is defined in sql/columns/flags.yaml as well: remove one"),
        ("[fee]", "sql/columns/money.yaml must hold `key: value` lines"),
    ],
)
def test_a_column_with_a_mistake_is_refused_with_its_file(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DrawdownError) as caught:
        _columns(tmp_path, flags="taken: Taken.", money=text)
    assert words in str(caught.value)


def test_a_vendors_table_is_its_record_under_another_name() -> None:
    made = vendor_table("vpsbg", "balances")
    assert made.full_name == "staging.vpsbg_balances"
    assert made.columns == RECORDS["balances"].columns
    assert not made.is_published


def test_the_published_tables_are_the_readers_ones() -> None:
    names = {made.full_name for made in published()}
    staged = {name for name in names if name.startswith("staging.")}
    assert staged == {"staging.rejects", "staging.schema_drift", "staging.quarantine"}
    # Intervals are a step towards the bridge, ledger evidence towards conventions, drawdown and estimates towards FOCUS,
    # the journal towards alerts.
    assert names - staged == {name for name in ALL if not name.startswith("staging.")} - {
        "core.balance_intervals",
        "core.balance_residuals",
        "core.drawdown_accounts",
        "core.ledger_evidence",
        "marts.focus_estimates",
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


def test_a_table_of_months_without_a_reach_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    without = replace(ALL["core.spend_daily"], reach={})
    monkeypatch.setattr(months, "ALL", {**ALL, "core.spend_daily": without})
    with pytest.raises(DrawdownError, match=r"^sql/core/spend_daily/table.yaml: a table with a month_column needs"):
        months._in_order.__wrapped__()
