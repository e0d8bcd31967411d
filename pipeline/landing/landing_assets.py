"""Assets of the layer `landing`: one for each vendor's endpoint, fetched together by one step.

Any subset can be selected.
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from pipeline.landing.account_requests import request_accounts
from pipeline.landing.fetching import FetchPolicy, Visit
from pipeline.landing.listing_walk import Span
from pipeline.landing.pollers import Poller
from pipeline.settings import AccountSettings, Settings, load
from pipeline.support.clock import Clock, parse_day
from pipeline.support.dagster_steps import HOURLY, OWNERS, described, note, readable_failures
from pipeline.support.errors import UsageError
from pipeline.support.home import Home
from pipeline.support.printable import printable_lines
from pipeline.vendors import discover


class LandingConfig(dg.Config):
    """Configuration of a fetch. Empty: every account, continuing after the last run."""

    accounts: list[str] = Field(default_factory=list, description="Account ids; empty means all.")
    from_date: str | None = Field(default=None, description="First UTC day of a backfill, such as 2026-01-01.")
    to_date: str | None = Field(default=None, description="Last UTC day of a backfill; today where absent.")
    poller: int | None = Field(default=None, description="Number of the poller whose accounts are requested.")

    def own_accounts(self, settings: Settings) -> tuple[list[AccountSettings], str]:
        """The accounts to request, and a line about those that other runs request, if any.

        Raises UsageError for an unknown account, a poller that the settings lack, and a missing secret.
        """
        selected = settings.select(self.accounts)
        if self.poller is not None:
            return Poller.of(settings, self.poller).accounts(selected), ""
        if settings.poller_count == 1 or self.accounts or self.from_date:
            return selected, ""
        return (
            [],
            f"{settings.poller_count} pollers request the accounts; this run makes the tables of what they landed",
        )

    def span(self) -> Span:
        """The requested days; UsageError if they are invalid, or end before they begin."""
        try:
            first = parse_day(self.from_date) if self.from_date else None
            last = parse_day(self.to_date) if self.to_date else None
        except ValueError as problem:
            raise UsageError(str(problem)) from None
        if last and not first:
            raise UsageError("a backfill with a last day needs a first day: set from_date")
        if first and last and last < first:
            raise UsageError(
                f"the backfill ends on {last}, before it begins on {first}; give the earlier day as from_date"
            )
        return Span(from_date=first, to_date=last)


def landing_key(vendor: str, endpoint: str) -> dg.AssetKey:
    """The asset key of a vendor's endpoint: `landing/<vendor>_<endpoint>`."""
    return dg.AssetKey(["landing", f"{vendor}_{endpoint}"])


ENDPOINTS = {
    landing_key(vendor.name, endpoint.name): (vendor, endpoint)
    for vendor in discover().values()
    for endpoint in vendor.endpoints
}


@dg.multi_asset(
    name="landing",
    specs=[
        dg.AssetSpec(
            key,
            group_name="landing",
            description=f"{vendor.title}: {endpoint.doc} Exact bytes of every answer, good or bad.",
            kinds={"python", "parquet"},
            owners=OWNERS,
            freshness_policy=HOURLY,
        )
        for key, (vendor, endpoint) in ENDPOINTS.items()
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "is_fetched",
            asset=key,
            description="Every account's newest request to this endpoint was answered, or the account has no such "
            "evidence, which is optional.",
        )
        for key in ENDPOINTS
    ],
    can_subset=True,
)
def landing(
    context: dg.AssetExecutionContext,
    config: LandingConfig,
    home: dg.ResourceParam[Home],
    clock: dg.ResourceParam[Clock],
    fetch_policy: dg.ResourceParam[FetchPolicy],
) -> Iterator[dg.MaterializeResult[None]]:
    """Request the endpoints of every account concurrently, and land the answers."""
    with readable_failures():
        settings = load()

        def warn(line: str) -> None:
            note(context, line, is_warning=True)
            fetch_policy.on_warning(line)

        accounts, others = config.own_accounts(settings)
        if others:
            warn(others)
        visits = request_accounts(
            settings,
            accounts,
            {(ENDPOINTS[key][0].name, ENDPOINTS[key][1].name) for key in context.selected_asset_keys},
            home=home,
            clock=clock,
            run_id=context.run.run_id,
            span=config.span(),
            policy=fetch_policy,
            warn=warn,
        )
    for visit in visits:
        if visit.news:
            # Reported once, and kept in marts.data_freshness: a run does not fail because a key lacks an optional
            # right.
            note(context, visit.news)
    for warning in {visit.account_id: visit.clock_warning for visit in visits}.values():
        if warning:
            note(context, warning, is_warning=True)
    for key in sorted(context.selected_asset_keys, key=lambda each: each.path):
        vendor, endpoint = ENDPOINTS[key]
        own = [each for each in visits if (each.vendor, each.endpoint) == (vendor.name, endpoint.name)]
        # Also without any account to request: downstream assets must be made for the others.
        yield dg.MaterializeResult(asset_key=key, metadata=_metadata(own), check_results=[_is_fetched(key, own)])


def _metadata(visits: list[Visit]) -> dict[str, dg.MetadataValue]:
    lines = [f"| {each.account_id} | {each.outcome} | {each.fetch_count} | {each.reason} |" for each in visits]
    return {
        "accounts": dg.MetadataValue.int(len(visits)),
        "failed_accounts": dg.MetadataValue.int(sum(each.is_failed for each in visits)),
        "accounts_without_it": dg.MetadataValue.int(sum(each.is_absent for each in visits)),
        "fetches": dg.MetadataValue.int(sum(each.fetch_count for each in visits)),
        "body_bytes": dg.MetadataValue.int(sum(each.body_bytes for each in visits)),
        "answers": dg.MetadataValue.md(
            printable_lines(["| account | outcome | fetches | reason |", "|-|-|-|-|", *lines])
        ),
    }


def _is_fetched(key: dg.AssetKey, visits: list[Visit]) -> dg.AssetCheckResult:
    failed = [each for each in visits if each.is_failed]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name="is_fetched",
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=described(each.reason for each in failed),
        metadata={"failed_accounts": [each.account_id for each in failed]},
    )
