"""accounts.toml as typed settings: the accounts, and their owner's settings for each and for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.schema.engines import DUCKDB, SPARK
from pipeline.schema.scopes import NO_TEAM, alert_id
from pipeline.schema.severities import EVERY_ACCOUNT
from pipeline.settings.account import AccountSettings
from pipeline.settings.alert_policy import Policy
from pipeline.settings.budgets import BudgetSettings, TeamSettings
from pipeline.settings.publish_targets import PostgresTarget, Publish
from pipeline.settings.rate_source import RateSource
from pipeline.settings.spark_target import Engine, SparkTarget, engine_of
from pipeline.settings.table import Requirement, mistake, shown_key
from pipeline.settings.values import ACCOUNT_ID, Currency, Flag, Text, UrlVariable, exact_text
from pipeline.support.errors import UsageError
from pipeline.support.secret import Secret, read_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Identity of an account at its vendor, hashed with the state folder's key."""

    identity: str | None
    """Hash of vendor, address and secrets; None if a secret cannot be read."""
    address_hash: str
    """Hash of vendor and address only."""
    same_as: str | None = None
    """The account that this one duplicates: the first in accounts.toml with the same identity."""


@dataclass(frozen=True, slots=True)
class Identities:
    """The identities of all configured accounts, by account id."""

    key_id: str
    """Identifies the key: hashes made with different keys cannot be compared."""
    accounts: Mapping[str, Identity]


def _account_id(value: str) -> str:
    if not ACCOUNT_ID.fullmatch(value):
        raise mistake(f"unsafe account id {value[:40]!a}; use small letters, digits, - and _, at most 63")
    return value


def _named(accounts: dict[str, AccountSettings]) -> dict[str, AccountSettings]:
    return {account_id: each.model_copy(update={"account_id": account_id}) for account_id, each in accounts.items()}


class Settings(BudgetSettings):
    """Contents of accounts.toml; its own budget is the fleet's."""

    source: str
    reporting_currency: Currency = "EUR"
    allow_http_loopback: Flag = False
    notify_variable: UrlVariable | None = Field(default=None, validation_alias="notify_url_env")
    """Environment variable with the Apprise URL of recipients for every account."""
    heartbeat_variable: UrlVariable | None = Field(default=None, validation_alias="heartbeat_url_env")
    """Environment variable with an address that is requested after each run that published a build."""
    publish: Publish = Publish()
    fx: RateSource = Field(default=RateSource(), title="[fx]")
    engine: Engine = DUCKDB
    """What computes the tables."""
    spark: SparkTarget = Field(default=SparkTarget(), title="[spark]")
    alerts: Policy = Field(default=Policy(), title="[alerts]")
    teams: Annotated[dict[Text, TeamSettings], Requirement("must be tables: [teams.NAME]")] = Field(
        default={}, title="[teams.NAME]"
    )
    accounts: Annotated[
        dict[Annotated[str, AfterValidator(_account_id)], AccountSettings],
        Field(min_length=1),
        AfterValidator(_named),
        Requirement("names no account; add a table such as [accounts.vpsbg-main]"),
    ] = Field(default={}, title="[accounts.ID]", validate_default=True)

    @property
    def postgres(self) -> PostgresTarget | None:
        """PostgreSQL database that gets a copy of each build, if any."""
        return self.publish.postgres

    @property
    def poller_count(self) -> int:
        """Number of runs that share the requests. Raises UsageError if the environment names an unknown engine."""
        return self.spark.pollers if engine_of(self.engine) == SPARK else 1

    @model_validator(mode="after")
    def _former_ids_are_free(self) -> Self:
        """A history belongs to one account: `formerly` must not give it to two."""
        owners: dict[str, str] = {}
        for account_id, account in self.accounts.items():
            for number, old in enumerate(account.formerly, 1):
                if old == account_id:
                    problem = f"id {number} is the account's own; remove it"
                elif old in self.accounts:
                    problem = (
                        f"id {number} is account {old} of this file, which keeps its own history; remove one of them"
                    )
                elif old in owners:
                    problem = f"id {number} is also listed for account {owners[old]}; keep it in one of them"
                else:
                    owners[old] = account_id
                    continue
                raise mistake(f"account {account_id}: formerly: {problem}")
        return self

    @model_validator(mode="after")
    def _teams_are_used(self) -> Self:
        """A budget of a team without accounts, such as a misspelt one, would never be compared with anything."""
        used = sorted({each.team or NO_TEAM for each in self.accounts.values()})
        for team in self.teams:
            if team not in used:
                raise mistake(f"team {shown_key(team)}: no account has this team; teams: {', '.join(used)}")
        return self

    @model_validator(mode="after")
    def _shared_budgets_are_in_the_reporting_currency(self) -> Self:
        """Accounts of a team may have several units, which can only be added in the reporting currency."""
        shared: dict[str, BudgetSettings] = {"": self}
        shared |= {f"team {shown_key(team)}: ": settings for team, settings in self.teams.items()}
        for whose, settings in shared.items():
            for key, unit in settings.budget_units().items():
                if unit not in (None, self.reporting_currency):
                    raise mistake(
                        f"{whose}{key}: must be the reporting currency, {self.reporting_currency}, or left out: "
                        "accounts of several units are added in it"
                    )
        return self

    def recipients(self) -> dict[str, tuple[str, ...]]:
        """By account, the variables with the Apprise URLs of its recipients, without repetition."""
        return {
            each.account_id: tuple(dict.fromkeys(filter(None, (self.notify_variable, each.notify_variable))))
            for each in self.accounts.values()
        }

    def alert_recipients(self) -> dict[str, tuple[str, ...]]:
        """`recipients`, those of each team's accounts, and under EVERY_ACCOUNT those of alerts about runs or the fleet.

        Those are the recipients for every account; without any, all recipients.
        """
        by_account = self.recipients()
        by_team: dict[str, tuple[str, ...]] = {}
        for each in self.accounts.values():
            team = alert_id("team", each.team or NO_TEAM)
            by_team[team] = tuple(dict.fromkeys((*by_team.get(team, ()), *by_account[each.account_id])))
        everybody = tuple(dict.fromkeys(name for names in by_account.values() for name in names))
        return {**by_account, **by_team, EVERY_ACCOUNT: (self.notify_variable,) if self.notify_variable else everybody}

    def vendor_titles(self) -> dict[str, str]:
        """Title of each account's vendor."""
        return {each.account_id: each.vendor.title for each in self.accounts.values()}

    def notify_url(self, variable: str) -> Secret:
        """Read the Apprise URL of a variable.

        Raises UsageError if the variable is not set or holds no URL.
        """
        account = next((each.account_id for each in self.accounts.values() if each.notify_variable == variable), None)
        whose = f"account {account}: " if account and variable != self.notify_variable else ""
        return read_secret(variable, f"{self.source}: {whose}notify_url_env")

    def heartbeat_url(self) -> Secret | None:
        """Address to request after each run that published a build, if any.

        Raises UsageError if the variable is not set or holds no URL.
        """
        if self.heartbeat_variable is None:
            return None
        return read_secret(self.heartbeat_variable, f"{self.source}: heartbeat_url_env")

    def check_recipients(self) -> None:
        """Raise UsageError if a variable that the settings name for messages is not set or holds no URL."""
        self.heartbeat_url()
        for variable in dict.fromkeys(name for names in self.recipients().values() for name in names):
            self.notify_url(variable)

    def select(self, account_ids: list[str]) -> list[AccountSettings]:
        """Accounts of the given ids, or all if there are none; UsageError for an unknown id."""
        for account_id in account_ids:
            if account_id not in self.accounts:
                for each in self.accounts.values():
                    if account_id in each.formerly:
                        raise UsageError(f"{self.source}: account {account_id} is called {each.account_id} now")
                known = ", ".join(self.accounts) or "none"
                raise UsageError(f"{self.source}: there is no account {account_id!r}; it knows: {known}")
        return [each for each in self.accounts.values() if not account_ids or each.account_id in account_ids]

    def to_record(self, identities: Identities | None = None) -> dict[str, Any]:
        """The settings as landed with each run: plain values, decimals as text, nothing secret.

        Without `identities`, no account is marked as a duplicate.
        """
        known = identities.accounts if identities else {}
        return {
            "reporting_currency": self.reporting_currency,
            "monthly_budgets": self.budget_records(),
            "teams": {team: {"monthly_budgets": each.budget_records()} for team, each in sorted(self.teams.items())},
            "fx_oldest_days": self.fx.oldest_days,
            "identity_key_id": identities.key_id if identities else None,
            "accounts": {
                each.account_id: {
                    "vendor": each.vendor.name,
                    "unit_code": each.unit or each.vendor.unit_code,
                    "tax_basis": each.vendor.tax_basis,
                    "stale_after_seconds": str(int(each.vendor.stale_after.total_seconds())),
                    "team": each.team,
                    "tags": dict(sorted(each.tags.items())),
                    "alert_below_days": _plain(each.alert_below_days),
                    "alert_below_amount": _plain(each.alert_below_amount),
                    "topup_lead_days": _plain(each.topup_lead_days),
                    "topup_minimum_amount": _plain(each.topup_minimum_amount),
                    "tax_rate": _plain(each.tax_rate),
                    "credit_price_amount": _plain(each.credit_price_amount),
                    "credit_price_unit_code": each.credit_price_currency,
                    "credit_prices": [
                        {
                            "from_date": price.from_date.isoformat(),
                            "price_amount": _plain(price.amount),
                            "price_unit_code": price.currency,
                        }
                        for price in each.credit_prices
                    ],
                    "monthly_budgets": each.budget_records(),
                    "planned": [
                        {
                            "from_date": plan.from_date.isoformat(),
                            "to_date": plan.to_date.isoformat(),
                            "planned_amount": _plain(plan.amount),
                            "multiplier": _plain(plan.multiplier),
                            "note": plan.note,
                        }
                        for plan in each.planned
                    ],
                    "identity": known[each.account_id].identity if known else None,
                    "address_hash": known[each.account_id].address_hash if known else None,
                    "same_as": known[each.account_id].same_as if known else None,
                    "formerly": list(each.formerly),
                    **each.service(),
                }
                for each in self.accounts.values()
            },
        }


def _plain(value: Decimal | int | None) -> str | None:
    return None if value is None else exact_text(value)
