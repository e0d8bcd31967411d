"""accounts.toml and the environment, read into typed settings.

Every mistake is one line with the file, the account and the key, reported before any request; never with the value,
which may be a secret in the wrong place. Settings contain the *names* of the variables that hold secrets;
`AccountSettings.secrets` reads them late, and nothing prints them.
"""

from __future__ import annotations

from pipeline.settings.account import DEFAULT_HISTORY_DAYS, AccountSettings, CreditPrice, taken_keys
from pipeline.settings.accounts_file import accounts_path, load
from pipeline.settings.identity import compare, identify, identity_key, known_key, warnings
from pipeline.settings.planned_spend import PlannedSpend
from pipeline.settings.rate_source import RateSource
from pipeline.settings.typed_settings import Settings

__all__ = [
    "DEFAULT_HISTORY_DAYS",
    "AccountSettings",
    "CreditPrice",
    "PlannedSpend",
    "RateSource",
    "Settings",
    "accounts_path",
    "compare",
    "identify",
    "identity_key",
    "known_key",
    "load",
    "taken_keys",
    "warnings",
]
