"""Where published tables go beside the DuckDB file: `[publish]` in accounts.toml."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Final

from pipeline.support.errors import DrawdownError, UsageError, unknown
from pipeline.support.secret import Secret

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_ROLE = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
# Beside the longest name of a layer, and what marks a schema while it is loaded, within PostgreSQL's 63 bytes.
_PREFIX = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,31}")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEYS: Final = ("dsn_env", "reader_role", "schema_prefix")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresTarget:
    """A PostgreSQL database that gets a copy of each published build."""

    source: str
    """The accounts.toml that names it."""
    dsn_variable: str
    """The environment variable that holds the connection string."""
    reader_role: str | None = None
    """Who may read the tables, and nothing else; made where it is not there."""
    schema_prefix: str = ""
    """Stands before the name of each schema: `drawdown_` makes `drawdown_marts`."""

    @property
    def where(self) -> str:
        """The place that a message about it begins with."""
        return f"{self.source}: publish.postgres: dsn_env"

    def failure(self, words: str) -> DrawdownError:
        """An error in one line: which setting, which variable, what is wrong, and what readers have now."""
        return DrawdownError(f"{self.where}: {self.dsn_variable}: {words}. PostgreSQL keeps the build that it has")

    def dsn(self) -> Secret:
        """The connection string, read from the environment now.

        Raises UsageError naming the variable, never its value, where it is absent or unusable.
        """
        value = os.environ.get(self.dsn_variable)
        if value is None:
            raise UsageError(f"{self.where}: the environment variable {self.dsn_variable} is not set; export it first")
        try:
            return Secret(value, name=self.dsn_variable)
        except ValueError as problem:
            raise UsageError(f"{self.where}: {problem}") from None


def read_publish(source: str, table: Any) -> PostgresTarget | None:
    """Read `[publish]`; None where it names no target. Raises ValueError in words that hold no value."""
    if not isinstance(table, dict):
        raise ValueError("must be a table, such as [publish]")
    for key in sorted(table.keys() - {"postgres"}):
        raise ValueError(f"{_shown(key)}: {unknown('key')}; known is postgres")
    postgres = table.get("postgres")
    if postgres is None:
        return None
    if not isinstance(postgres, dict):
        raise ValueError('postgres: must be a table, such as { dsn_env = "DRAWDOWN_POSTGRES_DSN" }')
    for key in sorted(postgres.keys() - set(_KEYS)):
        raise ValueError(
            f"postgres: {_shown(key)}: {unknown('key')}; known are {', '.join(_KEYS)}. The connection string stands in "
            "the environment, never here"
        )
    if "dsn_env" not in postgres:
        raise ValueError("postgres: dsn_env: is missing; give the NAME of the environment variable")
    return PostgresTarget(
        source=source,
        dsn_variable=_text(
            postgres,
            "dsn_env",
            _VARIABLE,
            "must be the NAME of an environment variable in capitals, such as DRAWDOWN_POSTGRES_DSN; never put the "
            "connection string itself here",
        ),
        reader_role=_text(
            postgres,
            "reader_role",
            _ROLE,
            "must be the name of a role: small letters, digits and _, at most 63, not beginning with pg_",
        )
        if "reader_role" in postgres
        else None,
        schema_prefix=_text(
            postgres,
            "schema_prefix",
            _PREFIX,
            "must be small letters, digits and _, at most 32, not beginning with pg_",
        )
        if "schema_prefix" in postgres
        else "",
    )


def _text(table: dict[str, Any], key: str, pattern: re.Pattern[str], rule: str) -> str:
    value = table[key]
    if not isinstance(value, str) or not pattern.fullmatch(value) or value == "public":
        raise ValueError(f"postgres: {key}: {rule}")
    return value


def _shown(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else ascii(key[:40])
