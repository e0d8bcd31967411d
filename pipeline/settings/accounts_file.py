"""Reading accounts.toml."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from pipeline.http import check_base_url
from pipeline.settings.alert_policy import read_policy
from pipeline.settings.model import AccountSettings, Settings
from pipeline.settings.publish_targets import read_publish
from pipeline.settings.values import ACCOUNT_ID, READERS, currency, notify_variable, secret_variable, shown_key
from pipeline.support.errors import UsageError, unknown
from pipeline.vendors import discover

_CREDIT_PRICE: Final = ("credit_price_amount", "credit_price_currency")
_SECRET_LIKE = re.compile(r"(?i)(api_?key|secret|token|password|passwd|credential|bearer|client_id)$")
_PLAIN_TEXT: Final = (
    "looks like a secret in plain text; put the secret into an environment variable and its NAME under a key "
    "such as api_key_env"
)
_TOP: Final = ("reporting_currency", "allow_http_loopback", "notify_url_env", "publish")
_COMMON: Final = (
    "path",
    "history_days",
    "team",
    "tags",
    "alert_below_days",
    "alert_below_amount",
    "topup_lead_days",
    "topup_minimum_amount",
    "tax_rate",
    "notify_url_env",
    "formerly",
)


def accounts_path() -> Path:
    """The file that `DRAWDOWN_ACCOUNTS` names, else `./accounts.toml`."""
    return Path(os.environ.get("DRAWDOWN_ACCOUNTS") or "accounts.toml")


def load(path: Path | None = None) -> Settings:
    """Read and check accounts.toml.

    Raises UsageError with one line that names the file, the account and the key.
    """
    path = path or accounts_path()
    try:
        # Some editors begin a file with a byte order mark, which TOML does not know.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; `drawdown init` writes one to start from") from None
    except OSError as problem:
        raise UsageError(f"{path}: cannot be read: {problem.strerror}; DRAWDOWN_ACCOUNTS names the file") from None
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path}: is not UTF-8: {problem.reason} at byte {problem.start}") from None
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{path}: not TOML that can be read: nested too deeply") from None
    except ValueError as problem:
        # tomllib's own words hold a key or position, never a value.
        hint = " (is an account or a key there twice?)" if re.search("twice|overwrite", str(problem)) else ""
        raise UsageError(f"{path}: not TOML: {problem}{hint}") from None
    return _Reader(str(path)).settings(document)


class _Reader:
    """Turns a TOML document into settings, or into the first line that says what is wrong."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, message: str, account_id: str | None = None, key: str | None = None) -> UsageError:
        where = [self.source, f"account {account_id}" if account_id else "", "" if key is None else shown_key(key)]
        return UsageError(": ".join([*filter(None, where), message]))

    def settings(self, document: dict[str, Any]) -> Settings:
        for key in sorted(document.keys() - {*_TOP, "alerts", "accounts"}):
            if _SECRET_LIKE.search(key):
                raise self.fail(_PLAIN_TEXT, key=key)
            raise self.fail(f"{unknown('key')}; known are {', '.join(_TOP)}, [alerts], [accounts.ID]", key=key)
        try:
            reporting_currency = currency(document.get("reporting_currency", "EUR"))
        except ValueError as problem:
            raise self.fail(str(problem), key="reporting_currency") from None
        loopback = document.get("allow_http_loopback", False)
        if not isinstance(loopback, bool):
            raise self.fail("must be true or false", key="allow_http_loopback")
        try:
            variable = notify_variable(document["notify_url_env"]) if "notify_url_env" in document else None
        except ValueError as problem:
            raise self.fail(str(problem), key="notify_url_env") from None
        try:
            alerts = read_policy(document.get("alerts", {}))
        except ValueError as problem:
            raise self.fail(str(problem), key="alerts") from None
        try:
            postgres = read_publish(self.source, document.get("publish", {}))
        except ValueError as problem:
            raise self.fail(str(problem), key="publish") from None
        tables = document.get("accounts", {})
        if not isinstance(tables, dict) or not tables:
            raise self.fail("names no account; add a table such as [accounts.vpsbg-main]", key="accounts")
        accounts = {
            account_id: self.account(account_id, table, loopback=loopback) for account_id, table in tables.items()
        }
        self.check_former_ids(accounts)
        return Settings(
            source=self.source,
            reporting_currency=reporting_currency,
            allow_http_loopback=loopback,
            notify_variable=variable,
            postgres=postgres,
            accounts=accounts,
            alerts=alerts,
        )

    def account(self, account_id: str, table: Any, *, loopback: bool) -> AccountSettings:
        if not ACCOUNT_ID.fullmatch(account_id):
            raise self.fail(
                f"unsafe account id {account_id[:40]!a}; use small letters, digits, - and _, at most 63",
                key="accounts",
            )
        if not isinstance(table, dict):
            raise self.fail("must be a table: [accounts.ID]", account_id)
        vendors = discover()
        name = table.get("vendor")
        if not isinstance(name, str) or name not in vendors:
            wrong = "is missing" if name is None else unknown("vendor")
            raise self.fail(f"{wrong}; known are {', '.join(vendors)}", account_id, "vendor")
        vendor = vendors[name]
        secret_keys = tuple(dict.fromkeys(header.setting for header in vendor.auth))
        known_keys = {"vendor", *secret_keys, *_COMMON, *vendor.settings}
        if vendor.base_url is not None:
            known_keys.add("base_url")
        elif "path" not in table:
            raise self.fail("is missing; give the path of the CSV file", account_id, "path")
        for key in sorted(table.keys() - known_keys):
            if _SECRET_LIKE.search(key):
                raise self.fail(_PLAIN_TEXT, account_id, key)
            raise self.fail(
                f"{unknown(f'key for {vendor.title}')}; known are {', '.join(sorted(known_keys))}", account_id, key
            )
        variables = {}
        for key in secret_keys:
            value = table.get(key)
            if value is None:
                raise self.fail("is missing; give the NAME of the environment variable", account_id, key)
            try:
                variables[key] = secret_variable(value)
            except ValueError as problem:
                raise self.fail(str(problem), account_id, key) from None
        base_url = ""
        if vendor.base_url is not None:
            base_url = self.base_url(account_id, table.get("base_url", vendor.base_url), loopback=loopback)
        values = {}
        for key in sorted((set(_COMMON) | set(vendor.settings)) & table.keys()):
            try:
                values[key] = READERS[key](table[key])
            except ValueError as problem:
                raise self.fail(str(problem), account_id, key) from None
        if "notify_url_env" in values:
            values["notify_variable"] = values.pop("notify_url_env")
        if "path" in values:
            values["path"] = Path(self.source).absolute().parent / values["path"]
        for one, other in (_CREDIT_PRICE, _CREDIT_PRICE[::-1]):
            if one in values and other not in values:
                raise self.fail(f"is missing; {one} and {other} go together", account_id, other)
        return AccountSettings(
            account_id=account_id,
            vendor=vendor,
            base_url=base_url,
            secret_variables=variables,
            source=self.source,
            **values,
        )

    def check_former_ids(self, accounts: dict[str, AccountSettings]) -> None:
        """A history belongs to one account: raise UsageError where `formerly` gives it to two."""
        named: dict[str, str] = {}
        for account_id, account in accounts.items():
            for number, old in enumerate(account.formerly, 1):
                if old == account_id:
                    problem = f"id {number} is the account's own; take it out"
                elif old in accounts:
                    problem = (
                        f"id {number} is account {old} of this file, which keeps its own history; take one of them out"
                    )
                elif old in named:
                    problem = f"id {number} stands in formerly of account {named[old]}, too; leave it to one of them"
                else:
                    named[old] = account_id
                    continue
                raise self.fail(problem, account_id, "formerly")

    def base_url(self, account_id: str, given: Any, *, loopback: bool) -> str:
        if not isinstance(given, str):
            raise self.fail("must be a text in quotes, such as https://api.example.com/v1", account_id, "base_url")
        try:
            return check_base_url(given, allow_http_loopback=loopback)
        except ValueError as problem:
            # The address is left out: it may hold a key, and the line names its place already.
            reason = str(problem).removeprefix("base_url").replace(repr(given), "").strip()
            raise self.fail(reason, account_id, "base_url") from None
