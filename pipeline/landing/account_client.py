"""The client of one account at one endpoint: the vendor's API with the account's secrets, or the account's file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pipeline.http import Client, Network, Patience, RateLimit, RateLimits
from pipeline.landing.listing_walk import Requester
from pipeline.landing.localfile import LocalFile
from pipeline.settings import AccountSettings
from pipeline.support.errors import UsageError
from pipeline.support.secret import Secret
from pipeline.vendors._port import Auth, AuthBasic, AuthHeader, AuthQuery, Endpoint, Vendor

_UNLIMITED: Final = RateLimit(requests=1_000_000, per_seconds=1, scope="address")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Endpoint of an account that a run will visit, with the account's secrets."""

    account: AccountSettings
    vendor: Vendor
    """Vendor of the endpoint: the account's own, or `manual` for its file of readings."""
    secrets: dict[str, Secret]
    endpoint: Endpoint


def _header(auth: Auth, call: Call) -> Iterator[tuple[str, Secret]]:
    match auth:
        case AuthHeader():
            yield auth.name, call.secrets[auth.setting].with_prefix(auth.prefix)
        case AuthBasic():
            user = call.secrets.get(auth.user) or call.account.placeholders[auth.user]
            yield "Authorization", Secret.basic(user, call.secrets[auth.password])


def client_for(
    call: Call,
    network: Network,
    limits: RateLimits,
    *,
    patience: Patience,
    allow_http_loopback: bool,
    is_limited: bool = True,
) -> Requester:
    """Client of a call: the vendor's API with the account's secrets and rate limit, or the account's file."""
    account = call.account
    if call.vendor.base_url is None:
        if account.path is None:
            raise UsageError(
                f"{account.source}: account {account.account_id}: path: is missing; give the path of the CSV file"
            )
        return LocalFile(account.path, account.account_id)
    return Client(
        network,
        vendor=call.vendor.name,
        account_id=account.account_id,
        base_url=account.base_url,
        headers={name: value for each in call.vendor.auth for name, value in _header(each, call)},
        query={each.name: call.secrets[each.setting] for each in call.vendor.auth if isinstance(each, AuthQuery)},
        more_secrets=call.secrets.values(),
        redacted=call.endpoint.redacted,
        rate_limit=call.vendor.rate_limit if is_limited else _UNLIMITED,
        rate_limits=limits,
        patience=patience,
        allow_http_loopback=allow_http_loopback,
        refusals=call.vendor.refusals,
    )
