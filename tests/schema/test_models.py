"""SQL models: one folder, one SELECT, one table; their inputs; and their portability to other engines."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from pipeline.models import checks, discovery, recompute
from pipeline.models.macros import discover_macros
from pipeline.models.model import Model
from pipeline.models.select import reads_of
from pipeline.orchestration.definitions import defs
from pipeline.schema import tables
from pipeline.schema.columns import COLUMNS
from pipeline.schema.layers import LAYERS, SQL_LAYERS
from pipeline.schema.sql_folder import SQL_FOLDER
from pipeline.schema.tables import ALL, load_tables
from pipeline.support.errors import DrawdownError
from pipeline.vendors import discover as discover_vendors
from tests.staging.landed import Workshop

_MODELS = discovery.discover()
_EACH = pytest.mark.parametrize("model", _MODELS.values(), ids=lambda model: model.table.full_name)


@pytest.fixture
def sql_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder `sql` that a test may change."""
    copied = shutil.copytree(SQL_FOLDER, tmp_path / "sql")
    monkeypatch.setattr(tables, "SQL_FOLDER", copied)
    return copied


def _discover_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Model]:
    _, found = load_tables(folder, COLUMNS)
    monkeypatch.setattr(discovery, "ALL", found)
    return discovery.discover.__wrapped__()


def test_every_table_of_core_and_marts_is_a_select() -> None:
    made = {name for name in _MODELS if name.split(".")[0] in SQL_LAYERS}
    assert made == {name for name, table in ALL.items() if table.layer in SQL_LAYERS}


def test_a_new_folder_is_a_new_model(sql_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sql_folder / "core" / "surprises").mkdir()
    (sql_folder / "core" / "surprises" / "table.yaml").write_text(
        "doc: An account.\ngrain: account\nkey: [account_id]\ncolumns: [account_id]\n"
    )
    (sql_folder / "core" / "surprises" / "model.sql").write_text("select account_id from core.accounts")
    found = _discover_again(sql_folder, monkeypatch)["core.surprises"]
    assert (found.path, found.reads) == ("sql/core/surprises/model.sql", ("core.accounts",))


def test_a_folder_without_a_definition_is_refused(sql_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sql_folder / "core" / "surprises").mkdir()
    (sql_folder / "core" / "surprises" / "model.sql").write_text("select 1 as one")
    with pytest.raises(DrawdownError, match=r"^sql/core/surprises/table\.yaml is missing"):
        _discover_again(sql_folder, monkeypatch)


def test_a_definition_without_a_select_is_refused(sql_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sql_folder / "core" / "usage_days" / "model.sql").unlink()
    with pytest.raises(DrawdownError, match=r"^sql/core/usage_days/model\.sql is missing"):
        _discover_again(sql_folder, monkeypatch)


def test_a_select_for_a_table_that_python_makes_is_refused(sql_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sql_folder / "alerts" / "states" / "model.sql").write_text("select 1 as one")
    with pytest.raises(DrawdownError, match=r"made_from in table\.yaml says that Python makes alerts\.states"):
        _discover_again(sql_folder, monkeypatch)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select 1 as one; select 2 as two", "must be one SELECT"),
        ("create table core.things as select 1 as one", "must be one SELECT"),
        ("select one from things", "names things without its schema"),
        ("select one from from", "cannot be parsed"),
        ("with things as (select 1 as one) select one from things, other", "names other without its schema"),
    ],
)
def test_anything_but_one_select_from_named_schemas_is_refused(sql: str, words: str) -> None:
    with pytest.raises(DrawdownError, match=words):
        reads_of(sql, "things.sql")


def test_reads_are_found_through_ctes_joins_and_subqueries() -> None:
    sql = """
        with newest as (select * from staging.balances)
        select * from newest inner join core.accounts using (account_id)
        where account_id in (select account_id from staging.fetches)
    """
    assert reads_of(sql, "things.sql") == ("core.accounts", "staging.balances", "staging.fetches")


def _with(model: Model, old: str, new: str) -> Model:
    assert model.sql.count(old) == 1
    return replace(model, sql=model.sql.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("usage_days.usage_quantity,", "usage_days.usage_quantity as usage_count,",
         "usage_count is DOUBLE and should be absent; usage_quantity is absent and should be DOUBLE"),
        ("usage_days.credits_amount,", "cast(usage_days.credits_amount as double) as credits_amount,",
         "credits_amount is DOUBLE and should be DECIMAL(27,9)"),
        ("usage_days.is_partial,", "", "is_partial is absent and should be BOOLEAN"),
    ],
)  # fmt: skip
def test_a_select_whose_columns_differ_from_its_table_is_refused_in_one_clear_line(
    workshop: Workshop, old: str, new: str, line: str
) -> None:
    model = _with(_MODELS["core.usage_days"], old, new)
    with pytest.raises(DrawdownError) as caught, workshop.warehouse.transaction() as connection:
        recompute.recompute(connection, model)
    advice = "cast it in the SELECT, or give the column a suffix (docs/naming.md) or a `type` in sql/columns"
    assert str(caught.value) == f"sql/core/usage_days/model.sql differs from its definition: {line}; {advice}"
    assert workshop.rows("SELECT count(*) FROM core.usage_days") == [(0,)]


@_EACH
def test_no_model_names_a_vendor(model: Model) -> None:
    for name, vendor in discover_vendors().items():
        assert not re.search(rf"(?i){name}|{re.escape(vendor.title)}", model.sql), name


@_EACH
def test_a_model_reads_from_its_own_or_an_earlier_layer(model: Model) -> None:
    own = LAYERS.index(model.table.layer)
    for name in (*model.reads, *model.check_reads):
        assert LAYERS.index(name.split(".")[0]) <= own, f"{model.path} reads {name}"


@_EACH
def test_a_warning_reads_only_what_the_table_follows_from(model: Model) -> None:
    for check in model.checks:
        assert check.is_blocking or set(check.reads) <= discovery.ancestors(model.table.full_name), check.name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("select 1 as one", "each SELECT follows a line such as `-- fail adds_up: What holds.`"),
        ("select 1\n-- warn is_one: It is one.\nselect 1", "each SELECT follows a line"),
        ("-- warn is_one: It is one.\nselect 1;\n-- fail is_one: It is one.\nselect 2", "two checks are called is_one"),
        ("-- warn is_one: It is one.\nselect 1; select 2", "is_one must be one SELECT"),
        ("-- warn is_one: It is one.\nselect one from things", "is_one names things without its schema"),
    ],
)
def test_checks_that_are_not_declared_are_refused(text: str, words: str) -> None:
    with pytest.raises(DrawdownError, match=words):
        checks.parse(text, "sql/core/things/checks.sql")


def test_a_file_of_checks_declares_each_by_the_line_above_it() -> None:
    found = checks.parse(
        "-- Of both.\n-- fail adds_up: It adds up.\n-- A comment.\nselect account_id, rule from core.things;\n\n"
        "-- warn is_fresh: It is fresh.\nselect account_id, message from core.others;\n",
        "checks.sql",
    )
    assert [(each.name, each.doc, each.is_blocking, each.reads) for each in found] == [
        ("adds_up", "It adds up.", True, ("core.things",)),
        ("is_fresh", "It is fresh.", False, ("core.others",)),
    ]


def test_models_follow_their_inputs() -> None:
    seen: set[str] = set()
    for model in discovery.in_order():
        assert {name for name in (*model.reads, *model.check_reads) if name in _MODELS} <= seen
        seen.add(model.table.full_name)
    assert seen == set(_MODELS)


def test_no_asset_depends_on_a_later_layer() -> None:
    graph = defs.resolve_asset_graph()
    keys = graph.get_all_asset_keys()
    assert {key.path[0] for key in keys} == set(LAYERS)
    for key in keys:
        own = LAYERS.index(key.path[0])
        assert graph.get(key).group_name == key.path[0]
        for parent in graph.get(key).parent_keys:
            assert LAYERS.index(parent.path[0]) <= own, f"{key} depends on {parent}"


def test_every_model_and_every_table_that_it_reads_is_an_asset() -> None:
    graph = defs.resolve_asset_graph()
    keys = {".".join(key.path): key for key in graph.get_all_asset_keys()}
    for name, model in _MODELS.items():
        parents = {".".join(parent.path) for parent in graph.get(keys[name]).parent_keys}
        # A check that ran before its inputs would judge by the previous run.
        assert {*model.reads, *model.check_reads} <= parents, name


@_EACH
def test_a_model_groups_explicitly_and_filters_windows_by_a_cte(model: Model) -> None:
    tree = sqlglot.parse_one(model.sql, read="duckdb")
    assert not any(group.args.get("all") for group in tree.find_all(exp.Group))
    assert not list(tree.find_all(exp.Qualify))
    # Also read separately, in case a parser drops either.
    assert not re.search(r"(?i)\b(group\s+by\s+all|order\s+by\s+all|qualify)\b", model.sql)


@_EACH
def test_a_model_selects_its_columns_by_name_and_in_the_tables_order(model: Model) -> None:
    tree = sqlglot.parse_one(model.sql, read="duckdb")
    assert isinstance(tree, exp.Query)
    assert tuple(tree.named_selects) == model.table.column_names


# Names that PostgreSQL has as sqlglot writes them.
_POSTGRES = set(
    """abs any avg bool_and bool_or cast coalesce count current_database date_trunc decimal extract filter floor generate_series
    greatest lag lead least length max min nullif power regexp_replace round row_number sign string_agg
    substring sum to_char trim unnest upper""".split()
)
# Features that only DuckDB has, by model. Each has a simple equivalent elsewhere: arg_max is a row_number() of 1,
# try_cast a comparison before a cast, json_merge_patch jsonb's `||`, and the dictionary would read that engine's own
# catalogue.
_DUCKDB_ONLY = {
    "core.accounts": {"arg_max", "json_merge_patch", "json_object"},
    "core.balance_residuals": {"split", "try_cast"},
    "core.balance_intervals": {"arg_min", "array_agg", "array_sort", "array_to_string"},
    "marts.balance_bridge_daily": {"arg_max", "arg_min"},
    "marts.balance_bridge_monthly": {"arg_max", "arg_min"},
    "marts.vendor_claim_accuracy": {"arg_max"},
    "marts.forecast_accuracy": {"arg_max"},
    "marts.month_outlook": {"arg_max"},
    "marts.account_status": {"try_cast"},
    "marts.focus_cost_and_usage": {"try_cast"},
    "marts.data_dictionary": {"duckdb_columns", "duckdb_tables", "duckdb_views", "regexp_extract", "split"},
}


@_EACH
def test_a_model_can_be_written_for_postgres_except_listed_features(model: Model) -> None:
    """It parses, sqlglot writes it without loss, and it calls nothing that only DuckDB has.

    No PostgreSQL runs here, so this tests the syntax, not the result. The macros of sql/macros would be functions there.
    """
    [written] = sqlglot.transpile(
        model.sql, read="duckdb", write="postgres", unsupported_level=sqlglot.ErrorLevel.RAISE
    )
    sqlglot.parse_one(written, read="postgres")
    without_texts = re.sub(r"'(?:[^']|'')*'|/\*.*?\*/", "''", written, flags=re.DOTALL)
    # The names of a VALUES list's columns follow its alias in parentheses.
    calls = {
        name.lower() for name in re.findall(r"(?<!\bAS )\b([A-Za-z_]+)\(", without_texts)
    } - discover_macros().keys()
    if list(sqlglot.parse_one(model.sql, read="duckdb").find_all(exp.TryCast)):
        # Written as a cast that fails where this one gives NULL.
        calls.add("try_cast")
    assert calls - _POSTGRES == _DUCKDB_ONLY.get(model.table.full_name, set())
