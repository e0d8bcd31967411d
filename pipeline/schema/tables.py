"""Every table, defined once: what a row is, its key, and its columns in order.

Columns are names from `pipeline.schema.columns`; a `?` behind a name lets it be NULL in this table. From these
definitions come the DDL, the pandera contracts, the comments and the data dictionary (`pipeline.schema.render`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pipeline.schema.columns import COLUMNS, Column


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column as it stands in one table."""

    column: Column
    is_nullable: bool

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far from a fact the rows may lie that follow from it."""

    look_back_days: int = 0
    """Rows read facts of so many days before them."""
    look_ahead_days: int = 0
    """Rows read facts of so many days after them."""
    has_neighbours: bool = False
    """Beyond these days, rows read on to the account's next reading on either side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table: `layer.name`, at the grain that `doc` and `key` tell."""

    layer: str
    name: str
    doc: str
    key: tuple[str, ...]
    """Columns that no two rows share; empty for a table of one row."""
    columns: tuple[TableColumn, ...]
    month_column: str | None = None
    """The day, month or instant by which the table is recomputed; None: it is rebuilt whole."""
    is_published: bool = True
    is_view: bool = False
    """In the warehouse it is a view: what it is made of is stored already. Readers get it as a table."""
    day_column: str | None = None
    """In a table that is rebuilt whole: the day that a row holds for. Where rows differ, what is recomputed by month
    and reads them owes the months of those days only."""
    holds_on: bool = False
    """A row holds for all days from `day_column` on."""
    reach: Mapping[str, Reach] = field(default_factory=dict)
    """In a table that is recomputed by month and follows from where money went: by the name of each table of facts
    that it reads, how far around a changed fact its rows may differ."""
    owes_all: bool = False
    """In a table that is rebuilt whole: where rows differ, what is recomputed by month and reads them owes every month.
    So its rows must differ seldom."""
    made_from: tuple[str, ...] = ()
    """For a table that Python makes: the tables, or what of landing and settings, that it is made from. A table in
    `sql/` says it itself."""

    @property
    def full_name(self) -> str:
        """`layer.name`, as SQL spells it."""
        return f"{self.layer}.{self.name}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)


def table(
    full_name: str,
    doc: str,
    *,
    key: str,
    columns: str,
    month_column: str | None = None,
    is_published: bool = True,
    is_view: bool = False,
    day_column: str | None = None,
    holds_on: bool = False,
    reach: Mapping[str, Reach] | None = None,
    owes_all: bool = False,
    made_from: str = "",
) -> Table:
    """Define a table from names: `key` and `columns` are blank-separated, `?` marks a column that may be NULL.

    `made_from` is separated by commas.

    Raises KeyError for a column that is not defined, ValueError for a key that is not among the columns.
    """
    layer, name = full_name.split(".")
    made = tuple(TableColumn(COLUMNS[word.rstrip("?")], word.endswith("?")) for word in columns.split())
    keys = tuple(key.split())
    by_name = {column.name: column for column in made}
    for word in keys:
        if word not in by_name or by_name[word].is_nullable:
            raise ValueError(f"{full_name}: key column {word} must be one of its columns, and never NULL")
    return Table(
        layer=layer,
        name=name,
        doc=doc,
        key=keys,
        columns=made,
        month_column=month_column,
        is_published=is_published,
        is_view=is_view,
        day_column=day_column,
        holds_on=holds_on,
        reach=reach or {},
        owes_all=owes_all,
        made_from=tuple(made_from.split(", ")) if made_from else (),
    )


# -- records: what every vendor hands over -----------------------------------------------------------------------

_SOURCE = "fetch_id row_number observed_at_utc loaded_at_utc"
"""Where a staged row came from: the answer, the place in it, and when it was asked for."""

RECORDS: Final[dict[str, Table]] = {
    record.name: record
    for record in (
        table(
            "staging.balances",
            "An account's balance as one answer stated it.",
            key="account_id observed_at_utc",
            columns=f"account_id balance_amount unit_code? threshold_amount? limit_amount? unconfirmed_amount? "
            f"effective_at_utc? extra_json? {_SOURCE}",
            is_published=False,
        ),
        table(
            "staging.ledger_entries",
            "An entry of an account's ledger, as last stated.",
            key="account_id entry_id",
            columns=f"account_id entry_id effective_at_utc stated_amount unit_code? net_amount? gross_amount? "
            f"entry_kind entry_status vendor_entry_type? description? first_stated_amount first_observed_at_utc "
            f"extra_json? {_SOURCE}",
            is_published=False,
        ),
        table(
            "staging.usage_days",
            "An account's usage on one UTC day, as last stated.",
            key="account_id usage_date",
            columns=f"account_id usage_date usage_quantity? usage_unit? credits_amount? cost_amount? cost_unit_code? "
            f"is_partial extra_json? {_SOURCE}",
            is_published=False,
        ),
        table(
            "staging.vendor_claims",
            "What a vendor says about the account beyond its facts, by answer.",
            key="account_id claim fetch_id",
            columns=f"account_id claim claim_amount unit_code? covers_from_date? covers_to_date? {_SOURCE}",
            is_published=False,
        ),
        table(
            "staging.known_charges",
            "A charge that is known beforehand, as last stated; what the newest listing no longer names stays here.",
            key="account_id charge_id",
            columns=f"account_id charge_id due_at_utc charge_amount unit_code? cycle_months? description? is_automatic "
            f"{_SOURCE}",
            is_published=False,
        ),
        table(
            "staging.orders",
            "An order, as last stated.",
            key="account_id order_id",
            columns=f"account_id order_id ordered_at_utc due_at_utc? paid_at_utc? order_kind order_status "
            f"vendor_order_type? net_amount? gross_amount from_balance_amount? unit_code? "
            f"first_observed_at_utc {_SOURCE}",
            is_published=False,
        ),
        table(
            "staging.invoices",
            "An invoice, as last stated.",
            key="account_id invoice_id",
            columns=f"account_id invoice_id invoice_number invoiced_at_utc invoice_kind net_amount? gross_amount "
            f"unit_code? order_ids? {_SOURCE}",
            is_published=False,
        ),
        table(
            "staging.payments",
            "A payment into the account, as last stated.",
            key="account_id payment_id",
            columns=f"account_id payment_id ordered_at_utc paid_at_utc? payment_amount payment_tax_amount? unit_code? "
            f"payment_status payment_kind? description? first_observed_at_utc extra_json? {_SOURCE}",
            is_published=False,
        ),
        table(
            "staging.auto_topups",
            "Whether and how an account is topped up by itself, as last stated.",
            key="account_id",
            columns=f"account_id is_on auto_topup_status? threshold_amount? topup_amount? unit_code? {_SOURCE}",
            is_published=False,
        ),
        table(
            "staging.resource_days",
            "What one resource cost on one UTC day, as last stated.",
            key="account_id usage_date resource_kind resource_id",
            columns=f"account_id usage_date resource_kind resource_id resource_name? resource_amount unit_code? "
            f"is_partial extra_json? {_SOURCE}",
            is_published=False,
        ),
    )
}
"""The record kinds. A vendor's own staging tables are these, named `staging.<vendor>_<kind>`."""


# -- staging ------------------------------------------------------------------------------------------------------

STAGING: Final = (
    table(
        "staging.fetches",
        "An answer in landing: good or bad, and what became of its rows.",
        key="fetch_id",
        columns="fetch_id run_id vendor account_id endpoint started_at_utc fetched_at_utc window_from_date? "
        "window_to_date? page_number is_complete status_code? outcome reason? attempt_count elapsed_seconds "
        "is_reading loaded_at_utc",
        is_published=False,
        made_from="landing",
    ),
    table(
        "staging.loads",
        "One kind of record read from one answer: received = accepted + rejected.",
        key="fetch_id record_kind",
        columns="fetch_id record_kind received_rows accepted_rows rejected_rows refused_newest_row?",
        is_published=False,
        made_from="landing",
    ),
    table(
        "staging.usage_statements",
        "What one answer stated of an account's usage on one UTC day; every statement is kept. The amount is NULL "
        "where it was refused.",
        key="account_id usage_date observed_at_utc fetch_id",
        columns="account_id usage_date observed_at_utc fetch_id credits_amount? is_partial",
        is_published=False,
        made_from="landing",
    ),
    table(
        "staging.rejects",
        "A rule that a row broke; the row was kept out, its bytes are in landing.",
        key="fetch_id record_kind row_number column_name check_name",
        columns="fetch_id vendor account_id endpoint record_kind row_number column_name check_name redacted_value? "
        "observed_at_utc",
        made_from="landing",
    ),
    table(
        "staging.schema_drift",
        "A change in the shape of a vendor's answer, when it was first seen.",
        key="account_id endpoint column_name check_name",
        columns="fetch_id vendor account_id endpoint row_number column_name check_name redacted_value? "
        "first_observed_at_utc",
        made_from="landing",
    ),
    table(
        "staging.accounts",
        "An account's settings as of the newest run, secrets never among them.",
        key="account_id",
        columns="account_id vendor is_configured same_as_account_id? identity? formerly_json? unit_code? tax_basis "
        "stale_after_seconds team? tags "
        "alert_below_days? alert_below_amount? topup_lead_days? topup_minimum_amount? tax_rate? "
        "ServiceProviderName ServiceName ServiceCategory ServiceSubcategory PricingCurrency? named_fetch_id?",
        is_published=False,
        made_from="accounts.toml of the newest run",
    ),
    table(
        "staging.build",
        "The one row that says what the build speaks of: the clock and settings of the newest run.",
        key="",
        columns="as_of_utc reporting_unit_code run_id version_id fetch_id",
        is_published=False,
        made_from="landing _drawdown/runs",
    ),
    table(
        "staging.layout",
        "The one row that says which version and definitions the warehouse was laid out by.",
        key="",
        columns="schema_version version_id fingerprint definitions_hash",
        is_published=False,
        made_from="pipeline/schema",
    ),
    table(
        "staging.model_hashes",
        "The SELECT that a table recomputed by month was made with, and all that it reads by view or model.",
        key="table_name",
        columns="table_name select_hash",
        is_published=False,
        made_from="sql/, pipeline/models/views.py",
    ),
    table(
        "staging.quarantine",
        "A rule that an account's rows of a table break: readers get the account's last published rows of that table "
        "and of what is made from it.",
        key="account_id table_name rule_name",
        columns="account_id table_name rule_name quarantined_at_utc",
        made_from="sql/, pipeline/schema",
    ),
    table(
        "staging.account_aliases",
        "An account's former name, under which landing holds earlier answers.",
        key="former_account_id",
        columns="former_account_id account_id",
        is_published=False,
        made_from="landing _drawdown/runs",
    ),
    table(
        "staging.landing_folders",
        "A day folder of landing as it stood when its files were last looked through.",
        key="folder",
        columns="folder modified_ns",
        is_published=False,
        made_from="landing",
    ),
    table(
        "staging.touched_months",
        "A month whose facts changed, until the table has been recomputed for it.",
        key="table_name touched_month",
        columns="table_name touched_month",
        is_published=False,
        made_from="landing",
    ),
    table(
        "staging.column_sources",
        "Where a published column comes from.",
        key="table_name column_name",
        columns="table_name column_name source? vendor_fields?",
        is_published=False,
        made_from="sql/, pipeline/vendors, pipeline/schema/tables.py",
    ),
    table(
        "staging.credit_prices",
        "What one credit cost the owner of an account from a day on, as of the newest run.",
        key="account_id from_date",
        columns="account_id from_date price_amount price_unit_code",
        is_published=False,
        made_from="accounts.toml of the newest run",
    ),
    table(
        "staging.fx_rates",
        "An exchange rate of the euro, as the newest landed list of them states it.",
        key="rate_date unit_code",
        columns="rate_date unit_code eur_rate fetch_id",
        is_published=False,
        made_from="landing _drawdown/fx_rates: the ECB's reference rates",
    ),
)


# What an interval between two readings, or a day between them, follows from.
_BETWEEN_READINGS = Reach(has_neighbours=True)

# -- core ---------------------------------------------------------------------------------------------------------

CORE: Final = (
    table(
        "core.accounts",
        "An account: whose it is, its unit, and how well its spend can be known.",
        key="account_id",
        columns="account_id vendor is_configured same_as_account_id? unit_code tax_basis evidence_level "
        "has_documented_top_ups sign_convention? amount_basis? "
        "reporting_unit_code stale_after_seconds team? tags alert_below_days? alert_below_amount? topup_lead_days? "
        "topup_minimum_amount? tax_rate? ServiceProviderName ServiceName "
        "ServiceCategory ServiceSubcategory BillingCurrency? PricingCurrency? focus_tags?",
    ),
    table(
        "core.account_units",
        "The unit that an account's balance was held in, over time.",
        key="account_id from_at_utc",
        columns="account_id from_at_utc to_at_utc? unit_code",
        owes_all=True,
    ),
    table(
        "core.balance_snapshots",
        "An attempt to read an account's balance: a good reading, or an unknown one without an amount.",
        key="account_id observed_at_utc",
        columns="account_id observed_at_utc balance_amount? unit_code threshold_amount? limit_amount? "
        "unconfirmed_amount? reading_state effective_at_utc? fetch_id",
        month_column="observed_at_utc",
    ),
    table(
        "core.ledger_conventions",
        "How an account's ledger amounts are signed now, and the proof.",
        key="account_id",
        columns="account_id sign_convention amount_basis proof entry_count tested_interval_count "
        "reconciled_interval_count",
    ),
    table(
        "core.ledger_periods",
        "How an account's ledger amounts are signed, by the UTC months of the entries.",
        key="account_id from_date",
        columns="account_id from_date to_date? sign_convention amount_basis assumed_convention proven_month?",
        owes_all=True,
    ),
    table(
        "core.ledger_evidence",
        "Intervals that closed in one UTC month, by the conventions whose entries come to what the balance moved by.",
        key="account_id evidence_month reconciled_by",
        columns="account_id evidence_month reconciled_by interval_count first_closed_at_utc",
        month_column="evidence_month",
        is_published=False,
        reach={
            "core.balance_snapshots": _BETWEEN_READINGS,
            "core.ledger_entries": _BETWEEN_READINGS,
        },
    ),
    table(
        "core.ledger_entries",
        "A movement of an account's balance, signed: credits positive, debits negative.",
        key="account_id entry_id",
        columns="account_id entry_id effective_at_utc entry_amount unit_code entry_kind entry_status net_amount? "
        "gross_amount? entry_source vendor_entry_type? description? first_observed_at_utc first_entry_amount "
        "observed_at_utc fetch_id",
        month_column="effective_at_utc",
    ),
    table(
        "core.usage_days",
        "An account's usage on one UTC day; days without usage are absent.",
        key="account_id usage_date",
        columns="account_id usage_date usage_quantity? usage_unit? credits_amount? unit_code cost_amount? "
        "cost_unit_code? is_partial observed_at_utc fetch_id",
    ),
    table(
        "core.vendor_claims",
        "What a vendor said of the account at one time: estimates and totals, kept to be compared with what came.",
        key="account_id claim observed_at_utc fetch_id",
        columns="account_id claim observed_at_utc claim_amount unit_code covers_from_date? covers_to_date? fetch_id",
        month_column="observed_at_utc",
    ),
    table(
        "core.balance_intervals",
        "The time between two consecutive good readings of an account's balance, what is documented of it, and what "
        "that leaves over.",
        key="account_id closed_at_utc",
        columns="account_id opened_at_utc closed_at_utc opening_amount closing_amount unit_code evidence_level "
        "opening_fetch_id closing_fetch_id opening_unconfirmed_amount? closing_unconfirmed_amount? "
        "stated_usage_amount? first_usage_amount? top_up_amount refund_amount usage_amount renewal_amount "
        "adjustment_amount tax_amount pending_amount residual_amount entry_count entry_ids? balance_decimal_count "
        "document_decimal_count is_polled polled_at_utc? has_late has_restated",
        month_column="closed_at_utc",
        is_published=False,
        reach={
            "core.balance_snapshots": _BETWEEN_READINGS,
            "core.ledger_entries": _BETWEEN_READINGS,
            "core.usage_days": _BETWEEN_READINGS,
            "staging.fetches": _BETWEEN_READINGS,
            "staging.evidence": _BETWEEN_READINGS,
        },
    ),
    table(
        "core.balance_residuals",
        "What the documents of an interval leave over, and what it looks like.",
        key="account_id closed_at_utc",
        columns="account_id closed_at_utc residual_class",
        month_column="closed_at_utc",
        is_published=False,
        reach={
            "core.balance_intervals": Reach(look_back_days=92, look_ahead_days=92, has_neighbours=True),
            "core.ledger_entries": Reach(look_back_days=92, look_ahead_days=92, has_neighbours=True),
            "staging.evidence": _BETWEEN_READINGS,
        },
    ),
    table(
        "core.balance_bridge",
        "Where the money went between two consecutive good readings of a balance. All amounts are signed: opening + "
        "top-ups + refunds + usage + renewals + adjustments + pending + tax + unexplained = closing.",
        key="account_id closed_at_utc",
        columns="account_id opened_at_utc closed_at_utc opening_amount top_up_amount refund_amount usage_amount "
        "renewal_amount adjustment_amount pending_amount tax_amount unexplained_amount closing_amount unit_code "
        "inferred_top_up_amount unexplained_class? history_class? evidence_level entry_count entry_ids? "
        "opening_fetch_id closing_fetch_id",
        is_view=True,
    ),
    table(
        "core.known_charges",
        "A charge that is known beforehand and not past: what the newest listing of the account says.",
        key="account_id due_date charge_id",
        columns="account_id due_date charge_id due_at_utc charge_amount unit_code cycle_months? description? "
        "is_automatic observed_at_utc fetch_id",
    ),
    table(
        "core.orders",
        "An order of the account, paid or not.",
        key="account_id order_id",
        columns="account_id order_id ordered_at_utc due_at_utc? paid_at_utc? order_kind order_status "
        "vendor_order_type? net_amount? gross_amount from_balance_amount? unit_code "
        "first_observed_at_utc observed_at_utc fetch_id",
    ),
    table(
        "core.invoices",
        "An invoice to the account.",
        key="account_id invoice_id",
        columns="account_id invoice_id invoice_number invoiced_at_utc invoice_kind net_amount? gross_amount unit_code "
        "order_ids? observed_at_utc fetch_id",
    ),
    table(
        "core.payments",
        "A payment into the account, whether it became credit or not.",
        key="account_id payment_id",
        columns="account_id payment_id ordered_at_utc paid_at_utc? payment_amount payment_tax_amount? unit_code "
        "payment_status payment_kind? description? first_observed_at_utc observed_at_utc fetch_id",
    ),
    table(
        "core.auto_topups",
        "Whether and how an account is topped up by itself, as the vendor said last.",
        key="account_id",
        columns="account_id is_on auto_topup_status? threshold_amount? topup_amount? unit_code observed_at_utc "
        "fetch_id",
    ),
    table(
        "core.resource_days",
        "What one resource cost on one UTC day. They need not add up to the account's usage of the day.",
        key="account_id usage_date resource_kind resource_id",
        columns="account_id usage_date resource_kind resource_id resource_name? resource_amount unit_code is_partial "
        "observed_at_utc fetch_id",
    ),
    table(
        "core.spend_daily",
        "An account's spend in one unit on one UTC day that was observed; a day without a row was not observed.",
        key="account_id spend_date unit_code",
        columns="account_id spend_date spend_amount unit_code reporting_amount? reporting_unit_code fx_rate_date? "
        "fx_source? basis evidence_level is_complete is_lower_bound is_spread",
        month_column="spend_date",
        reach={
            "core.balance_snapshots": _BETWEEN_READINGS,
            "core.ledger_entries": Reach(),
            "core.usage_days": Reach(),
            "staging.evidence": Reach(),
        },
    ),
    table(
        "core.fx_rates",
        "An exchange rate of the euro on a day on which it was published.",
        key="rate_date unit_code",
        columns="rate_date unit_code eur_rate fx_source fetch_id",
        month_column="rate_date",
    ),
    table(
        "core.credit_prices",
        "What one credit cost the owner of an account, by the days for which the price holds.",
        key="account_id from_date",
        columns="account_id from_date to_date? price_amount price_unit_code",
        day_column="from_date",
        holds_on=True,
    ),
    table(
        "core.conversion_rates",
        "The exchange rates by which a unit that is in use is converted on a day: the last known, at most 7 days old; "
        "a day without a row has none.",
        key="unit_code conversion_date",
        columns="unit_code conversion_date eur_rate reporting_unit_code reporting_eur_rate fx_rate_date fx_source",
        day_column="conversion_date",
    ),
)


# -- forecasts ----------------------------------------------------------------------------------------------------

_LEVELS = "p05_amount p10_amount p25_amount p50_amount p75_amount p90_amount p95_amount"
_RUNWAY = (
    "balance_amount day_start_amount unit_code threshold_amount? unconfirmed_amount? observed_at_utc "
    "runway_p10_date? runway_p50_date? runway_p90_date? depleted_7d_probability depleted_30d_probability "
    "beyond_horizon_probability below_threshold_30d_probability? auto_topup_model method history_days"
)
_READ = (
    "core.spend_daily, core.balance_snapshots, core.known_charges, core.ledger_entries, core.vendor_claims, "
    "core.auto_topups, core.accounts, staging.build"
)
_ISSUED = f"landing _drawdown/forecasts, {_READ}"
_TESTED = "landing _drawdown/backtests, core.spend_daily, core.known_charges, core.ledger_entries, core.accounts"
_TOPUP = (
    "unit_code day_start_amount unconfirmed_amount? topup_risk_probability topup_lead_days topup_cover_days "
    "risk_passed_date? order_by_date? arrival_date? cover_until_date is_late is_capped spend_quantile_amount "
    "needed_amount topup_minimum_amount? topup_amount tax_rate? topup_gross_amount? with_topup_probability "
    "without_topup_probability topup_advice method history_days"
)

FORECASTS: Final = (
    table(
        "forecasts.cost_daily",
        "What an account was expected to spend on one day, as issued.",
        key="account_id issue_date horizon_days",
        columns=f"account_id issue_date horizon_days forecast_date {_LEVELS} unit_code method history_days "
        "issued_at_utc fetch_id",
        made_from=_ISSUED,
    ),
    table(
        "forecasts.cost_total",
        "What an account was expected to spend from the day of issue on, that day included, as issued.",
        key="account_id issue_date horizon_days",
        columns=f"account_id issue_date horizon_days forecast_date {_LEVELS} unit_code method history_days "
        "issued_at_utc fetch_id",
        made_from=_ISSUED,
    ),
    table(
        "forecasts.runway_curve",
        "How probable it was that an account would have run dry by a day, as issued.",
        key="account_id issue_date horizon_days",
        columns="account_id issue_date horizon_days forecast_date depleted_probability below_threshold_probability? "
        "method history_days issued_at_utc fetch_id",
        made_from=_ISSUED,
    ),
    table(
        "forecasts.runway",
        "When an account was expected to run dry, as issued.",
        key="account_id issue_date",
        columns=f"account_id issue_date {_RUNWAY} issued_at_utc fetch_id",
        made_from=_ISSUED,
    ),
    table(
        "forecasts.topup_plan",
        "How much to top an account up and by when, with its arithmetic, as issued. Accounts that the vendor tops up "
        "by itself have none.",
        key="account_id issue_date",
        columns=f"account_id issue_date {_TOPUP} issued_at_utc fetch_id",
        made_from=_ISSUED,
    ),
    table(
        "forecasts.current_topup_plan",
        "How much to top an account up and by when, by its newest balance.",
        key="account_id",
        columns=f"account_id {_TOPUP}",
        made_from=_READ,
    ),
    table(
        "forecasts.current_runway",
        "When an account is expected to run dry, by its newest balance.",
        key="account_id",
        columns=f"account_id {_RUNWAY} runway_p50_without_topups_date?",
        made_from=_READ,
    ),
    table(
        "forecasts.anomalies",
        "A day, or several in a row, so far outside what was forecast that chance does not explain it; or the day on "
        "which the unit of an account changed, or the way in which its ledger is signed.",
        key="account_id first_date anomaly_kind",
        columns="account_id first_date last_date anomaly_kind actual_amount? expected_amount? low_amount? high_amount? "
        "unit_code tail_probability? reason",
        made_from="forecasts.cost_daily, core.spend_daily, core.ledger_entries, staging.usage_statements, "
        "staging.ledger_entries, core.account_units, core.ledger_periods, core.ledger_evidence, core.accounts",
    ),
    table(
        "forecasts.backtest_scores",
        "How forecasts from past days compare with what came, by the newest backtest; `*` is all accounts together.",
        key="account_id forecaster horizon_days",
        columns="account_id forecaster horizon_days origin_count separate_origin_count forecast_count pinball_ratio? "
        "median_error_ratio? coverage_80_ratio? coverage_90_ratio? below_80_ratio? above_80_ratio? brier_score? "
        "backtested_at_utc fetch_id",
        made_from=_TESTED,
    ),
    table(
        "forecasts.calibration",
        "How often totals were at or below a quantile of their forecast, by the newest backtest; `*` is all accounts "
        "together.",
        key="account_id forecaster horizon_days nominal_ratio",
        columns="account_id forecaster horizon_days nominal_ratio observed_ratio forecast_count backtested_at_utc "
        "fetch_id",
        made_from=_TESTED,
    ),
)


# In the order that FOCUS wants: its own columns by name, before ours by name.
_FOCUS = (
    "BilledCost BillingAccountId BillingAccountName? BillingCurrency BillingPeriodEnd BillingPeriodStart "
    "ChargeCategory ChargeClass? ChargeDescription? ChargeFrequency ChargePeriodEnd ChargePeriodStart "
    "ConsumedQuantity? ConsumedUnit? ContractedCost EffectiveCost HostProviderName? InvoiceIssuerName ListCost "
    "PricingCurrency PricingCurrencyEffectiveCost PricingQuantity? PricingUnit? ServiceCategory ServiceName "
    "ServiceProviderName ServiceSubcategory Tags? "
)


# -- marts --------------------------------------------------------------------------------------------------------

MARTS: Final = (
    table(
        "marts.account_status",
        "An account now: what is left, how long it lasts, how urgent it is, and why.",
        key="account_id",
        columns="account_id vendor team? balance_amount? unit_code observed_at_utc? age_seconds? reading_state "
        "stale_after_seconds expected_balance_amount? threshold_amount? unconfirmed_amount? burn_7d_amount? "
        "burn_28d_amount? history_days method auto_topup_model? runway_days? runway_without_topups_days? "
        "runway_p10_date? runway_p50_date? runway_p90_date? depleted_7d_probability? depleted_30d_probability? "
        "severity alert_below_days? alert_below_amount? topup_amount? topup_gross_amount? order_by_date? "
        "topup_advice? reason evidence_level "
        "fetch_id? reporting_balance_amount? reporting_burn_28d_amount? "
        "reporting_unit_code fx_rate_date? fx_source?",
    ),
    table(
        "marts.balance_bridge_daily",
        "Where an account's money went in the intervals of one unit that closed on one UTC day.",
        key="account_id bridge_date unit_code",
        columns="account_id bridge_date opening_amount top_up_amount refund_amount usage_amount renewal_amount "
        "adjustment_amount pending_amount tax_amount unexplained_amount closing_amount unit_code "
        "inferred_top_up_amount unexplained_class? evidence_level interval_count "
        "unexplained_interval_count entry_count",
        month_column="bridge_date",
        reach={"core.balance_intervals": Reach(), "core.balance_residuals": Reach()},
    ),
    table(
        "marts.balance_bridge_monthly",
        "Where an account's money went in the intervals of one unit that closed in one UTC month.",
        key="account_id bridge_month unit_code",
        columns="account_id bridge_month opening_amount top_up_amount refund_amount usage_amount renewal_amount "
        "adjustment_amount pending_amount tax_amount unexplained_amount closing_amount unit_code "
        "inferred_top_up_amount unexplained_class? evidence_level interval_count "
        "unexplained_interval_count entry_count",
        month_column="bridge_month",
        reach={"core.balance_intervals": Reach(), "core.balance_residuals": Reach()},
    ),
    table(
        "marts.spend_monthly",
        "An account's spend in one unit in one UTC month.",
        key="account_id spend_month unit_code",
        columns="account_id spend_month spend_amount unit_code reporting_amount? reporting_unit_code basis "
        "evidence_level is_complete is_lower_bound team?",
    ),
    table(
        "marts.vendor_claim_accuracy",
        "How a vendor's claims about an account compare with what came.",
        key="account_id claim horizon_days unit_code",
        columns="account_id claim horizon_days unit_code claim_count due_claim_count exact_claim_count "
        "mean_error_amount? mean_absolute_error_amount? absolute_error_ratio? observed_at_utc claim_amount",
    ),
    table(
        "marts.forecast_accuracy",
        "How forecasts of an account's spend compare with what came: ours, and what people do by hand.",
        key="account_id forecaster horizon_days",
        columns="account_id forecaster horizon_days unit_code forecast_count first_issue_date last_issue_date "
        "mean_pinball_amount mean_absolute_error_amount coverage_80_ratio? coverage_90_ratio? below_80_ratio? "
        "above_80_ratio? mean_pit_ratio? brier_score?",
    ),
    table(
        "marts.data_freshness",
        "An account's endpoint: what is known, since when, and how the newest request ended.",
        key="account_id endpoint",
        columns="account_id vendor endpoint last_attempt_at_utc last_observed_at_utc? age_seconds? outcome "
        "status_code? reason? fetch_count failed_fetch_count",
    ),
    table(
        "marts.data_dictionary",
        "Every published column: its type, unit and meaning, as the database itself tells them.",
        key="table_name column_name",
        columns="table_name column_name data_type unit? doc is_nullable is_key source? vendor_fields? table_doc",
    ),
    table(
        "marts.build_info",
        "What this build was made from and when.",
        key="item",
        columns="item value?",
    ),
    table(
        "marts.spend_by_team_monthly",
        "A team's spend of one unit in one UTC month, by the teams of today; `unassigned` where an account names none.",
        key="team spend_month unit_code",
        columns="team spend_month spend_amount? unit_code reporting_amount? reporting_unit_code unconverted_amount? "
        "account_count is_complete is_lower_bound",
    ),
    table(
        "marts.fleet_status",
        "All accounts now, in the reporting currency, and what could not be converted.",
        key="",
        columns="reporting_unit_code account_count converted_account_count unconverted_account_count "
        "unread_account_count stale_account_count reporting_balance_amount? reporting_burn_28d_amount? "
        "unconverted_balances ok_account_count watch_account_count warning_account_count critical_account_count "
        "unknown_account_count oldest_fx_rate_date?",
    ),
    table(
        "marts.focus_cost_and_usage",
        "A charge in FOCUS 1.4, as the vendor reported it.",
        key="x_AccountId x_ChargeId",
        columns=f"{_FOCUS} x_AccountId x_ChargeId x_CreditPrice? x_EntryId? x_EvidenceLevel x_FetchId x_IsEstimated "
        "x_MeasurementMethod x_Vendor",
    ),
    table(
        "marts.focus_cost_and_usage_estimated",
        "The same charges, and what balances fell by where nothing else tells of usage. Never to be added to "
        "marts.focus_cost_and_usage, whose rows it repeats.",
        key="x_AccountId x_ChargeId",
        columns=f"{_FOCUS} x_AccountId x_ChargeId x_ClosingFetchId? x_CreditPrice? x_EntryId? x_EvidenceLevel "
        "x_FetchId? x_IsEstimated x_MeasurementMethod x_OpeningFetchId? x_Vendor",
    ),
)


# -- alerts -------------------------------------------------------------------------------------------------------

ALERTS: Final = (
    table(
        "alerts.events",
        "What happened to an alert, the numbers behind it, and who was told.",
        key="event_id",
        columns="event_id account_id rule event severity happened_at_utc message balance_amount? unit_code "
        "observed_at_utc? runway_days? runway_p50_date? depleted_7d_probability? alert_below_amount? "
        "threshold_amount? unexplained_amount? topup_amount? topup_gross_amount? order_by_date? recipients? "
        "delivery_state delivery_attempt_count delivered_at_utc? is_possibly_repeated delivery_problem? fetch_id",
        made_from="alerts.journal",
    ),
    table(
        "alerts.states",
        "How an account's alert stands; what never opened has no row.",
        key="account_id rule",
        columns="account_id rule alert_state severity since_at_utc message acknowledged_by? acknowledged_at_utc? "
        "acknowledgement_note? told_at_utc? event_id fetch_id",
        made_from="alerts.journal",
    ),
    table(
        "alerts.journal",
        "What Drawdown did about alerts, as landed: transitions, acknowledgements, messages.",
        key="fetch_id",
        columns="fetch_id run_id fetched_at_utc version_id? format_version? entry_json",
        is_published=False,
        made_from="landing _drawdown/alerts, staging.build, staging.fetches, staging.loads, staging.rejects, "
        "staging.schema_drift, staging.quarantine, core.accounts, core.balance_bridge, "
        "forecasts.anomalies, marts.account_status",
    ),
)

ALL: Final[dict[str, Table]] = {made.full_name: made for made in (*STAGING, *CORE, *FORECASTS, *MARTS, *ALERTS)}
"""Every table that is not a vendor's own, by full name."""


def vendor_table(vendor: str, kind: str) -> Table:
    """The staging table of one vendor's records of one kind: `staging.<vendor>_<kind>`.

    Raises KeyError for a kind that is not among RECORDS.
    """
    record = RECORDS[kind]
    return Table(
        layer="staging",
        name=f"{vendor}_{kind}",
        doc=record.doc,
        key=record.key,
        columns=record.columns,
        is_published=False,
    )


def published() -> tuple[Table, ...]:
    """The tables that readers get, in the order of the layers."""
    return tuple(made for made in ALL.values() if made.is_published)
