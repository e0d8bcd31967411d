"""published/focus: files that a FOCUS linter accepts, with the contents of the build."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from focus_data_toolkit.model.validator import lint_focus_1_4_structure, load_model

from pipeline.landing.store import OWN, RUNS
from pipeline.published.focus import TABLES, publish_focus
from pipeline.published.snapshot import publish
from pipeline.schema.columns import COLUMNS, is_focus_name
from pipeline.schema.tables import published
from pipeline.vendors import discover
from pipeline.vendors._port import Service
from tests import sandbox_faults as sandboxes
from tests.bench import Bench
from tests.docs.pages import DOCS, blocks
from tests.focus.conftest import USAGE, land
from tests.staging.landed import NewWorkshop, Workshop, run_record

NOW = datetime(2026, 10, 7, 9, 0, tzinfo=UTC)
_PERIODS = ("2026-02", "2026-03")
_FILES = {f"{table.name}/{period}.{suffix}" for table in TABLES for period in _PERIODS for suffix in ("csv", "parquet")}
_DATASET = "Cost and Usage"


def _validate(path: Path) -> tuple[int, str]:
    """Exit code and findings of focus-toolkit for a file."""
    done = subprocess.run(
        [sys.executable, "-m", "focus_data_toolkit", "validate", str(path), "--dataset", "cost-and-usage"],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def _rows(folder: Path) -> list[dict[str, str]]:
    """Rows of a table in all of its billing periods."""
    rows = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        assert {row["BillingPeriodStart"][:7] for row in found} == {path.stem}
        rows += found
    return rows


def _export(workshop: Workshop) -> Path:
    publish_focus(publish(workshop.connection, workshop.home, published()).path, workshop.home)
    return workshop.home.published / "focus"


@pytest.fixture(scope="module")
def folder(charged: Workshop) -> Path:
    return _export(charged)


@pytest.fixture(scope="module")
def unpriced(new_workshop: NewWorkshop) -> Iterator[Path]:
    """The same accounts, without a configured price of a credit."""
    with new_workshop() as made:
        land(made, credit_price=None)
        yield _export(made)


@pytest.mark.parametrize("name", sorted(_FILES))
def test_the_linter_passes_every_file(unpriced: Path, name: str) -> None:
    code, said = _validate(unpriced / name)

    assert code == 0, said


def test_the_linter_only_reports_the_name_of_a_virtual_currency(folder: Path) -> None:
    """FOCUS allows a virtual currency's name in PricingCurrency; this linter only knows ISO 4217 codes."""
    code, said = _validate(folder / "focus_cost_and_usage" / "2026-02.csv")
    findings = said.splitlines()[1:]
    credits = [row for row in _rows(folder / "focus_cost_and_usage") if row["PricingCurrency"] == "Credits"]

    assert code == 1
    assert credits
    assert all(re.search(r"bad_currency\] PricingCurrency row \d+: invalid value 'Credits'", line) for line in findings)
    model = load_model()
    columns = model["datasets"][_DATASET]["columns"]
    taught = columns | {"PricingCurrency": columns["PricingCurrency"] | {"value_format": "Unspecified"}}
    taught = model | {"datasets": {_DATASET: model["datasets"][_DATASET] | {"columns": taught}}}
    for table in TABLES:
        report = lint_focus_1_4_structure(_DATASET, _rows(folder / table.name), model=taught)
        assert report.row_count > 30
        assert report.messages() == []


def test_the_linter_finds_errors(unpriced: Path, tmp_path: Path) -> None:
    path = unpriced / "focus_cost_and_usage" / "2026-03.csv"
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(path.read_text(encoding="utf-8").replace("Usage-Based", "N/A"), encoding="utf-8")

    assert _validate(wrong)[0] == 1


def test_every_file_is_private_and_there_are_no_others(folder: Path) -> None:
    files = [path for path in folder.resolve().rglob("*") if path.is_file()]
    assert {str(path.relative_to(folder.resolve())) for path in files} == _FILES
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_csv_is_the_table_in_the_order_that_focus_wants(folder: Path, charged: Workshop) -> None:
    for table in TABLES:
        rows = _rows(folder / table.name)
        names = list(rows[0])
        own = [name for name in names if not name.startswith("x_")]
        assert names == sorted(own) + sorted(name for name in names if name.startswith("x_"))
        assert all(is_focus_name(name) for name in names)
        wanted = charged.rows(f"SELECT sum(BilledCost), sum(EffectiveCost), count(*) FROM {table.full_name}")
        assert [
            (
                sum(Decimal(row["BilledCost"]) for row in rows),
                sum(Decimal(row["EffectiveCost"]) for row in rows),
                len(rows),
            )
        ] == wanted
        for row in rows:
            for name in ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd"):
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row[name])
            assert not {"N/A", "NULL", "null", "None"} & set(row.values())


def test_the_parquet_has_exact_decimals_and_instants(folder: Path) -> None:
    path = folder / "focus_cost_and_usage_estimated" / "2026-03.parquet"
    types = {name: kind for name, kind, *_ in duckdb.sql(f"DESCRIBE FROM '{path}'").fetchall()}

    assert types == {column.name: str(column.column.type) for column in TABLES[1].columns}


def test_texts_of_owner_and_vendor_are_kept(folder: Path) -> None:
    rows = {row["x_ChargeId"]: row for row in _rows(folder / "focus_cost_and_usage")}

    assert rows["entry/t0"]["ChargeDescription"] == 'Card, "main"\\nsecond line'
    assert rows["entry/t0"]["Tags"] == '{"team":"web","drawdown:account-budget":"ledger","product":"shop"}'
    assert rows["usage/2026-03-05"]["Tags"] == ""


def test_only_the_estimated_view_knows_of_falls(folder: Path) -> None:
    reported, estimated = (_rows(folder / table.name) for table in TABLES)
    [fall] = [row for row in estimated if row["x_IsEstimated"] == "true"]

    assert {row["x_IsEstimated"] for row in reported} == {"false"}
    assert len(estimated) == len(reported) + 1
    assert (fall["x_AccountId"], fall["EffectiveCost"], fall["BilledCost"]) == (
        "balances",
        "8.750000000",
        "0.000000000",
    )
    assert (fall["ChargePeriodStart"], fall["ChargePeriodEnd"]) == ("2026-02-20T06:00:00Z", "2026-03-18T12:00:00Z")
    assert fall["BillingPeriodStart"] == "2026-03-01T00:00:00Z"
    assert fall["x_OpeningFetchId"] != fall["x_ClosingFetchId"]


def test_a_whole_run_exports_charges_of_every_vendor(tmp_path: Path) -> None:
    manual = '[accounts.registrar]\nvendor = "manual"\npath = "registrar.csv"\nteam = "web"\n'
    (tmp_path / "registrar.csv").write_text(
        "observed_at_utc,balance_amount,unit_code\n2026-09-01,120.50,EUR\n2026-10-05T08:00:00Z,99.999999999,EUR\n"
    )
    with sandboxes.start(seed=5, days=60, now=NOW, vendors=["vpsbg", "hyperstack", "voxpria"]) as world:
        bench = Bench(tmp_path, world.accounts_toml() + manual, world.keys)
        assert bench.run(NOW).is_ok
        later = NOW + timedelta(hours=6)
        world.move_clock(later)
        assert bench.run(later).is_ok
    rows = _rows(bench.home.focus / "focus_cost_and_usage_estimated")
    exported = {(row["ServiceProviderName"], row["ServiceSubcategory"], row["x_IsEstimated"]) for row in rows}

    assert exported == {
        ("VPSBG", "Virtual Machines", "false"),
        ("Hyperstack", "Virtual Machines", "false"),
        ("Voxpria", "Generative AI", "false"),
        ("registrar", "Other (Other)", "true"),
    }
    assert bench.leaks() == []


@pytest.mark.parametrize(
    "service", [Service(), *(vendor.service for vendor in discover().values())], ids=lambda each: each.subcategory
)
def test_a_vendors_service_has_its_focus_category(service: Service) -> None:
    assert load_model()["service_subcategory_parents"][service.subcategory] == service.category


def test_the_page_describes_each_vendors_declaration() -> None:
    page = (DOCS / "focus.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in page.splitlines() if line.count("|") == 5]
    stated = {(title, *service) for titles, *service in rows for title in titles.split(", ")}
    for vendor in discover().values():
        title = "kept by hand" if vendor.base_url is None else vendor.title
        assert (title, vendor.service.category, vendor.service.subcategory) in stated


def test_the_pages_query_adds_up_what_was_paid_in_and_used(charged: Workshop) -> None:
    [query] = blocks(DOCS / "focus.md", "sql")

    assert charged.rows(
        f"SELECT x_AccountId, billed_cost, effective_cost FROM ({query.text.rstrip().rstrip(';')})"
    ) == [
        ("days", Decimal(0), sum(used for day, used in USAGE.items() if day.month == 2) / Decimal(10)),
        ("ledger", Decimal(500), Decimal(24)),
        ("balances", Decimal(0), Decimal("8.75")),
        ("days", Decimal(0), sum(used for day, used in USAGE.items() if day.month == 3) / Decimal(10)),
        ("ledger", Decimal(-100), Decimal("4.95")),
    ]


def test_a_run_from_before_services_were_landed_is_still_read(workshop: Workshop) -> None:
    record = run_record({"main": {}})
    for name in ("ServiceProviderName", "ServiceName", "ServiceCategory", "ServiceSubcategory", "PricingCurrency"):
        del record["accounts"]["main"][name]
    workshop.landing.answer(OWN, RUNS, record, account_id="*")
    workshop.load()

    assert workshop.rows("SELECT ServiceProviderName, ServiceCategory, PricingCurrency FROM staging.accounts") == [
        ("main", "Other", None)
    ]


def test_the_columns_are_those_of_the_specification() -> None:
    theirs = load_model()["datasets"][_DATASET]["columns"]
    for table in TABLES:
        ours = {column.name: column for column in table.columns}
        mandatory = {name for name, spec in theirs.items() if spec["feature_level"] == "Mandatory"}
        assert mandatory <= ours.keys()
        assert {name for name in ours if not name.startswith("x_")} <= theirs.keys()
        for name in theirs.keys() & ours.keys():
            # Columns that may be NULL here may be NULL there.
            assert theirs[name]["allows_nulls"] or not ours[name].is_nullable, name
    assert list(COLUMNS["ServiceCategory"].allowed) == theirs["ServiceCategory"]["allowed_values"]
    for name in ("ChargeCategory", "ChargeClass", "ChargeFrequency"):
        assert list(COLUMNS[name].allowed) == theirs[name]["allowed_values"]
