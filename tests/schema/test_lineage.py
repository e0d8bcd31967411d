"""Sources of columns: through SELECTs to the vendors' declared fields."""

import re
from pathlib import Path

import pytest

import pipeline.forecasts
from pipeline.models import discovery
from pipeline.models.lineage import direct_sources, vendor_fields
from pipeline.schema.tables import ALL, RECORDS
from pipeline.vendors import discover

_LAYERS = ("staging", "core", "forecasts", "marts", "alerts")


def _columns(table: str) -> set[str]:
    return set(direct_sources()[table])


def test_every_table_of_a_select_and_every_record_has_every_column() -> None:
    for made in (*ALL.values(), *RECORDS.values()):
        assert set(made.column_names) <= _columns(made.full_name), made.full_name


def test_every_source_that_is_a_column_is_there_and_in_no_later_layer() -> None:
    seen = 0
    for name, model in discovery.discover().items():
        own = _LAYERS.index(model.table.layer)
        for sources in direct_sources()[name].values():
            for source in sources:
                table, _, column = source.rpartition(".")
                assert column in _columns(table), source
                assert table in model.reads, f"{name}: {source}"
                assert _LAYERS.index(table.split(".")[0]) <= own
                seen += 1
    assert seen > 400


def test_a_table_that_python_makes_names_tables_that_are_there() -> None:
    for made in ALL.values():
        if made.full_name in discovery.discover():
            assert made.made_from == (), made.full_name
            continue
        for name in made.made_from:
            if name.split(".")[0] in _LAYERS:
                assert name in direct_sources(), f"{made.full_name}: {name}"


def test_the_forecasts_state_all_that_their_code_reads() -> None:
    folder = Path(pipeline.forecasts.__file__).parent
    text = "\n".join(path.read_text() for path in folder.glob("*.py"))
    read = set(re.findall(r"(?:FROM|JOIN)\s+((?:core|staging)\.[a-z_]+)", text))
    stated = {name for made in ALL.values() if made.layer == "forecasts" for name in made.made_from}
    assert read == {name for name in stated if name.split(".")[0] in ("core", "staging")}


@pytest.mark.parametrize(
    ("table", "column", "direct", "far"),
    [
        # Through a view, two CTEs and a star.
        (
            "marts.account_status",
            "balance_amount",
            ("core.balance_snapshots.balance_amount",),
            (
                "deepvue wallet: current_balance",
                "hyperstack credit: data.credit",
                "manual readings: balance_amount",
                "voxpria credits: data.balance",
                "vpsbg balance: balance",
            ),
        ),
        (
            "core.known_charges",
            "charge_amount",
            ("staging.known_charges.charge_amount",),
            ("vpsbg servers: data.renew_amount_with_vat, computed",),
        ),
        # A day that the row does not state is the requested one.
        (
            "core.usage_days",
            "usage_date",
            ("staging.usage_days.usage_date",),
            ("hyperstack history: the day that was asked for", "voxpria usage: data.usage.date"),
        ),
        # A count has no source column; a FOCUS name keeps its capitals.
        ("marts.fleet_status", "account_count", (), ()),
        (
            "marts.focus_cost_and_usage_estimated",
            "x_EntryId",
            ("marts.focus_cost_and_usage.x_EntryId",),
            (
                "hyperstack payments: data.payment_id",
                "vpsbg orders: data.id",
                "vpsbg transactions: data.id",
            ),
        ),
    ],
)
def test_a_column_is_followed_to_the_vendors_field(
    table: str, column: str, direct: tuple[str, ...], far: tuple[str, ...]
) -> None:
    assert direct_sources()[table][column] == direct
    # A vendor that is added later adds fields.
    vendors = {field.split()[0] for field in far}
    assert tuple(field for field in vendor_fields(table, column) if not far or field.split()[0] in vendors) == far


def test_every_field_that_a_vendor_declares_is_the_source_of_a_column() -> None:
    declared = {
        source for record in RECORDS.values() for each in direct_sources()[record.full_name].values() for source in each
    }
    for vendor in discover().values():
        for endpoint in vendor.endpoints:
            for records in endpoint.records:
                for field in records.fields:
                    if field.expression:
                        path = f"{records.at}: {field.expression}" if records.at else field.expression
                    else:
                        path = f"{records.at}.{field.sources[0]}" if records.at else field.sources[0]
                    start = f"{vendor.name} {endpoint.name}: {path}"
                    assert any(
                        source == start or source.startswith((f"{start} (", f"{start},")) for source in declared
                    ), start
