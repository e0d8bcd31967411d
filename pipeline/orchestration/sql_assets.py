"""The assets of core and marts: each SQL model is one, with its dependencies, columns and contract."""

from datetime import date

import dagster as dg

from pipeline.models.asset_metadata import table_metadata
from pipeline.models.discovery import discover
from pipeline.models.model import Model
from pipeline.schema.units import UNKNOWN_UNIT
from pipeline.support.dagster_steps import FRESHNESS, OWNERS, asset_key, clear_failures, described, say
from pipeline.warehouse.model_refresh import Refreshed, refresh_model
from pipeline.warehouse.writer import Warehouse

# The dictionary reads the catalogue and the build's summary reads no table of a later layer: both wait for the rest.
_LAST = ("marts.data_dictionary", "marts.build_info")


def sql_assets() -> list[dg.AssetsDefinition]:
    """One asset for each model."""
    models = discover()
    return [_asset(model, models) for model in models.values()]


def _deps(model: Model, models: dict[str, Model]) -> list[dg.AssetKey]:
    names = [*model.reads, *model.check_reads]
    if model.table.full_name in _LAST:
        names += [name for name in models if name not in _LAST]
    return [asset_key(name) for name in dict.fromkeys(names)]


def _asset(model: Model, models: dict[str, Model]) -> dg.AssetsDefinition:
    table = model.table
    key = asset_key(table.full_name)

    @dg.asset(
        key=key,
        deps=_deps(model, models),
        group_name=table.layer,
        description=f"{table.doc}\n\nMade by {model.path}:\n```sql\n{model.sql.strip()}\n```",
        kinds={"duckdb", "sql"},
        owners=OWNERS,
        freshness_policy=FRESHNESS if table.full_name == "marts.account_status" else None,
        check_specs=[
            dg.AssetCheckSpec(
                "matches_contract",
                asset=key,
                blocking=True,
                description=f"No key ({', '.join(table.key)}) stands twice, and no month is still owed.",
            ),
            *(
                [
                    dg.AssetCheckSpec(
                        "adds_up", asset=key, blocking=True, description="It agrees with what it was not made from."
                    )
                ]
                if model.check
                else []
            ),
            *(
                [dg.AssetCheckSpec("is_fresh", asset=key, description="Every account has a fresh reading.")]
                if table.full_name == "marts.account_status"
                else []
            ),
            *(
                [
                    dg.AssetCheckSpec(
                        "is_converted", asset=key, description="Every balance is in the fleet's total, converted."
                    )
                ]
                if table.full_name == "marts.fleet_status"
                else []
            ),
        ],
    )
    def sql_model(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
        with clear_failures():
            done = refresh_model(warehouse, model)
            connection = warehouse.connection
        say(f"{table.full_name}: {done.rows} rows")
        checks = [_matches_contract(table.full_name, done)]
        if model.check:
            checks.append(_adds_up(table.full_name, done))
        if table.full_name == "marts.account_status":
            checks.append(_is_fresh(warehouse))
        if table.full_name == "marts.fleet_status":
            checks.append(_is_converted(warehouse))
        return dg.MaterializeResult(metadata=table_metadata(connection, table.full_name), check_results=checks)

    return sql_model


def _matches_contract(name: str, done: Refreshed) -> dg.AssetCheckResult:
    """A fault of our own blocks; what one account's data breaks is a warning here, and an error where it is published.

    An error of an asset keeps everything downstream from being made, for all accounts.
    """
    is_ours = bool(done.doubled_keys or done.months_owed)
    return dg.AssetCheckResult(
        check_name="matches_contract",
        passed=not (is_ours or done.broken),
        severity=dg.AssetCheckSeverity.ERROR if is_ours else dg.AssetCheckSeverity.WARN,
        description=described(f"account {each.account_id}: {name}: {each.rule}" for each in done.broken),
        metadata={
            "keys_standing_twice": done.doubled_keys,
            "months_still_owed": done.months_owed,
            "accounts_in_quarantine": len({each.account_id for each in done.broken}),
            "accounts_as_last_published": done.kept,
        },
    )


def _adds_up(name: str, done: Refreshed) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name="adds_up",
        passed=not (done.rules or done.broken),
        severity=dg.AssetCheckSeverity.ERROR if done.rules else dg.AssetCheckSeverity.WARN,
        description=described(
            [
                *(f"{name}: does not hold: {rule}" for rule in done.rules),
                *(f"{name}: account {each.account_id}: does not hold: {each.rule}" for each in done.broken),
            ]
        ),
        metadata={"broken_rules": len(done.rules) + len(done.broken)},
    )


def _is_fresh(warehouse: Warehouse) -> dg.AssetCheckResult:
    stale = warehouse.connection.sql(
        "SELECT account_id, reason FROM marts.account_status WHERE reading_state <> 'fresh' ORDER BY account_id"
    ).fetchall()
    return dg.AssetCheckResult(
        check_name="is_fresh",
        passed=not stale,
        severity=dg.AssetCheckSeverity.WARN,
        description=described(f"{account_id}: {reason}" for account_id, reason in stale),
        metadata={"stale_accounts": [row[0] for row in stale]},
    )


def _is_converted(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Name each account that has a balance and none in the reporting currency, and why."""
    left_over = warehouse.connection.sql(
        """
        WITH left_over AS (
            SELECT account_id, unit_code, reporting_unit_code,
                CAST(observed_at_utc AT TIME ZONE 'UTC' AS DATE) AS balance_date
            FROM marts.account_status
            WHERE balance_amount IS NOT NULL AND reporting_balance_amount IS NULL
        )
        SELECT left_over.account_id, left_over.unit_code, left_over.reporting_unit_code, prices.price_unit_code,
            left_over.balance_date, rates.unit_code IS NOT NULL AS has_rate,
            (SELECT max(rate_date) FROM core.fx_rates) AS newest_date
        FROM left_over
        LEFT JOIN core.credit_prices AS prices
            ON left_over.account_id = prices.account_id AND left_over.unit_code LIKE '%-%'
            AND left_over.balance_date >= prices.from_date
            AND (prices.to_date IS NULL OR left_over.balance_date <= prices.to_date)
        LEFT JOIN core.conversion_rates AS rates
            ON coalesce(prices.price_unit_code, left_over.unit_code) = rates.unit_code
            AND left_over.balance_date = rates.conversion_date
        ORDER BY left_over.account_id
        """
    ).fetchall()
    return dg.AssetCheckResult(
        check_name="is_converted",
        passed=not left_over,
        severity=dg.AssetCheckSeverity.WARN,
        description=described(f"{row[0]}: {_why_not(*row[1:])}" for row in left_over),
        metadata={"unconverted_accounts": [row[0] for row in left_over]},
    )


def _why_not(unit: str, reporting: str, price_unit: str | None, day: date, has_rate: bool, newest: date | None) -> str:
    if unit == UNKNOWN_UNIT:
        return "its unit is unknown"
    if "-" in unit and price_unit is None:
        return f"accounts.toml names no price of a {unit} for {day}"
    known = f"the newest landed rate is of {newest}" if newest else "no rate is landed"
    if not has_rate:
        return f"no rate from {price_unit or unit} to {reporting} in the 7 days up to {day}; {known}"
    return "the amount has more digits than can be converted exactly"
