"""Names in accounts.toml that are one account at the vendor, now or compared with the last run.

Run records contain a keyed hash of each account's vendor, address and secrets. It identifies renamed accounts, and two
names for one account; neither the secrets nor the address can be recovered without the key, which never leaves the
state folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from pipeline.settings.account import AccountSettings
from pipeline.settings.typed_settings import Identities, Identity
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home, private_folder
from pipeline.vendors import discover

_KEY_BYTES: Final = 32
_DIGITS: Final = 16
"""Length of a hash in a run record: 64 bits, so that accounts do not collide by chance."""
_MOST_NAMED: Final = 5
"""Accounts listed in one line; the rest is counted."""


# -- hashing --------------------------------------------------------------------------------------------------------


def identity_key(home: Home) -> bytes:
    """Return the state folder's key; creates it, 0600, if it is missing or was truncated by a crash.

    Raises DrawdownError if something else is in its place, OSError if the disk fails.
    """
    private_folder(home.path)
    try:
        handle = os.open(home.identity_key, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (PermissionError, IsADirectoryError) as problem:
        raise DrawdownError(
            f"{home.identity_key} cannot be used: {problem.strerror}; remove it, and the next run creates a new one"
        ) from None
    with os.fdopen(handle, "r+b") as file:
        # Two concurrent first runs must end up with the same key.
        fcntl.flock(file, fcntl.LOCK_EX)
        key = file.read()
        if len(key) != _KEY_BYTES:
            key = os.urandom(_KEY_BYTES)
            file.seek(0)
            file.truncate()
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
    return key


def known_key(home: Home) -> bytes | None:
    """Return the state folder's key; None if no run has created one. Writes nothing."""
    try:
        key = home.identity_key.read_bytes()
    except OSError:
        return None
    return key if len(key) == _KEY_BYTES else None


def identify(accounts: Iterable[AccountSettings], key: bytes) -> Identities:
    """Hash the identity of each account.

    `accounts` in the order of accounts.toml, where the first of several duplicates counts.
    """
    found: dict[str, Identity] = {}
    first: dict[str, str] = {}
    for account in accounts:
        identity = _identity_hash(account, key)
        same_as = first.setdefault(identity, account.account_id) if identity else account.account_id
        found[account.account_id] = Identity(
            identity=identity,
            address_hash=_hash(key, "address", _place(account)),
            same_as=None if same_as == account.account_id else same_as,
        )
    return Identities(_hash(key, "key"), found)


def _identity_hash(account: AccountSettings, key: bytes) -> str | None:
    try:
        secrets = sorted(account.secrets().items())
    except UsageError:
        return None
    return _hash(key, "identity", _place(account), [(setting, secret.reveal()) for setting, secret in secrets])


def _place(account: AccountSettings) -> tuple[str, str]:
    """Vendor and address.

    An API's address also determines the identity if the account has a file of earlier readings.
    """
    if account.vendor.base_url is not None:
        # Already normalised: see `check_base_url`. What a path contains is part of the address.
        parts = "".join(f" {key}={value}" for key, value in sorted(account.placeholders.items()))
        return account.vendor.name, account.base_url + parts
    # A folder's name may contain bytes that are not valid text.
    return account.vendor.name, os.fsencode(os.path.realpath(account.path or Path())).decode("latin-1")


def _hash(key: bytes, *parts: Any) -> str:
    # JSON separates the parts: different lists of parts give different bytes.
    return hmac.new(key, msgspec.json.encode(parts), hashlib.sha256).hexdigest()[:_DIGITS]


# -- comparing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Likeness:
    """Accounts that are, or look like, one, according to two successive run records. Ids by id, in order."""

    duplicates: Mapping[str, tuple[str, ...]]
    """By the account that counts, its duplicates."""
    renames: Mapping[str, str]
    """By the earlier id, the new id of an account that continues under it, by identity or by `formerly`."""
    lookalikes: Mapping[str, tuple[str, ...]]
    """By a new account, the former accounts of its vendor and address that it may be, none of them configured."""
    reused: Mapping[str, str]
    """By an id that another account has now, the new id of the account that had it."""
    dropped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By account, the ids that its `formerly` no longer lists, although no account has them."""


def compare(earlier: Mapping[str, Any] | None, now: Mapping[str, Any]) -> Likeness:
    """Compare a run record with the one before it, or None. Both as `Settings.to_record` returns them.

    Records of versions without identities only allow vendors to be compared.
    """
    accounts: dict[str, dict[str, Any]] = now["accounts"]
    before: dict[str, dict[str, Any]] = (earlier or {}).get("accounts", {})
    # A duplicate name of an account has no history of its own.
    gone = {old: each for old, each in before.items() if old not in accounts and not each.get("same_as")}
    duplicates: dict[str, list[str]] = {}
    for account_id, each in accounts.items():
        if each.get("same_as"):
            duplicates.setdefault(each["same_as"], []).append(account_id)
    single = {account_id: each for account_id, each in accounts.items() if not each.get("same_as")}
    renames = {old: new for new, each in accounts.items() for old in each.get("formerly", ()) if old in gone}
    for old, was in gone.items():
        for new, each in single.items():
            if old not in renames and was.get("identity") and was["identity"] == each.get("identity"):
                renames[old] = new
    lookalikes = {}
    for new, each in single.items():
        if new in before or new in renames.values() or each.get("formerly"):
            continue
        alike = [old for old, was in gone.items() if old not in renames and _is_alike(was, each, earlier or {}, now)]
        if alike:
            lookalikes[new] = tuple(sorted(alike))
    reused = {
        old: new
        for old, was in before.items()
        for new, each in single.items()
        if old in accounts
        and was.get("identity")
        and accounts[old].get("identity") not in (None, was["identity"])
        and each.get("identity") == was["identity"] != before.get(new, {}).get("identity")
    }
    said = {name for each in accounts.values() for name in each.get("formerly", ())}
    dropped = {
        new: tuple(lost)
        for new, each in before.items()
        if new in accounts and (lost := [old for old in each.get("formerly", ()) if old not in {*said, *accounts}])
    }
    return Likeness({one: tuple(others) for one, others in duplicates.items()}, renames, lookalikes, reused, dropped)


def _is_alike(was: dict[str, Any], each: dict[str, Any], earlier: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether vendor and address are the same, as far as the two records show."""
    is_comparable = "address_hash" in was and earlier.get("identity_key_id") == now.get("identity_key_id")
    return was["vendor"] == each["vendor"] and (not is_comparable or was["address_hash"] == each.get("address_hash"))


def duplicate_words(first: str, others: Iterable[str], vendor: str, source: str) -> str:
    """Line about accounts that are the same."""
    others = list(others)
    what = "vendor and file" if discover()[vendor].base_url is None else "vendor, address and key"
    rest = others[0] if len(others) == 1 else "the others"
    return (
        f"accounts {_listed([first, *others])} are the same ({what}): only {first} counts in totals; remove {rest} "
        f"from {source}"
    )


def rename_words(old: str, new: str) -> str:
    """Line about an account that continues under another id."""
    return f"account {new} was called {old} until now: its history is kept"


def lookalike_words(new: str, alike: Iterable[str], source: str) -> str:
    """Line about an account that may be an earlier one under another id, with the remedy."""
    alike = list(alike)
    remedy = " or ".join(f'["{old}"]' for old in alike[:_MOST_NAMED])
    return (
        f"account {new} looks like {_listed(alike, 'or')}, which {source} no longer names: same vendor and address. If "
        f"it is the same account, add formerly = {remedy} to [accounts.{new}], so that its history is kept "
        "and its spend is not counted twice; if not, there is nothing to do"
    )


def reused_words(old: str, new: str) -> str:
    """Line about an id that was given to another account, with the remedy."""
    return (
        f"account {new} was called {old} until now, and {old} now names another account: the histories of both mix "
        f'under {old}. Give the other account its own id, and add formerly = ["{old}"] to [accounts.{new}]'
    )


def dropped_words(new: str, lost: Iterable[str]) -> str:
    """Line about former ids that were removed from the settings, with the remedy."""
    lost = list(lost)
    remedy = ", ".join(f'"{old}"' for old in lost[:_MOST_NAMED])
    return (
        f"account {new} no longer lists {_listed(lost, 'or')} under formerly: the history under the former name counts "
        f"as another account's, unless it had the same address and key. If it is the same account, put formerly = "
        f"[{remedy}] back into [accounts.{new}], so that its spend is not counted twice; if not, there is nothing to do"
    )


def warnings(likeness: Likeness, now: Mapping[str, Any], source: str) -> list[str]:
    """All warnings of a run about account identities, one line each."""
    vendors = {account_id: each["vendor"] for account_id, each in now["accounts"].items()}
    return [
        *(duplicate_words(one, others, vendors[one], source) for one, others in likeness.duplicates.items()),
        *(rename_words(old, new) for old, new in likeness.renames.items()),
        *(lookalike_words(new, alike, source) for new, alike in likeness.lookalikes.items()),
        *(reused_words(old, new) for old, new in likeness.reused.items()),
        *(dropped_words(new, lost) for new, lost in likeness.dropped.items()),
    ]


def _listed(names: list[str], word: str = "and") -> str:
    more = len(names) - _MOST_NAMED
    shown = [*names[:_MOST_NAMED], f"{more} others"] if more > 1 else names
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {word} {shown[-1]}"
