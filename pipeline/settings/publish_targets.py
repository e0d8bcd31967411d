"""Targets of published tables in addition to the DuckDB file: `[publish]` in accounts.toml."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Final

from pydantic import Field

from pipeline.settings.table import Requirement, SettingsTable
from pipeline.settings.values import VARIABLE, VariableName, fits
from pipeline.support.errors import DrawdownError
from pipeline.support.secret import Secret, read_secret

_NAME: Final = r"(?!pg_|public\Z)[a-z_][a-z0-9_]{0,%d}"
"""Names that PostgreSQL accepts without quotes, and does not reserve."""
DsnVariable = Annotated[
    VariableName, Requirement(f"{VARIABLE}DRAWDOWN_POSTGRES_DSN; never put the connection string itself here")
]
Role = Annotated[
    str,
    fits(re.compile(_NAME % 62).fullmatch),
    Requirement("must be the name of a role: small letters, digits and _, at most 63, not beginning with pg_"),
]
# Leaves room within PostgreSQL's 63 bytes for the longest layer name and the suffix of a schema being loaded.
Prefix = Annotated[
    str,
    fits(re.compile(_NAME % 31).fullmatch),
    Requirement("must be small letters, digits and _, at most 32, not beginning with pg_"),
]


class PostgresTarget(SettingsTable):
    """A PostgreSQL database that gets a copy of each published build."""

    must_be: ClassVar[str] = 'must be a table, such as { dsn_env = "DRAWDOWN_POSTGRES_DSN" }'
    missing: ClassVar[str] = "give the NAME of the environment variable"
    advice: ClassVar[str] = ". The connection string belongs in the environment, never here"

    source: str
    """accounts.toml that names it."""
    dsn_variable: DsnVariable = Field(validation_alias="dsn_env")
    """The environment variable that holds the connection string."""
    reader_role: Role | None = None
    """Role that may only read the tables; created if it does not exist."""
    schema_prefix: Prefix = ""
    """Prefix of each schema: `drawdown_` makes `drawdown_marts`."""

    @property
    def where(self) -> str:
        """Beginning of messages about it."""
        return f"{self.source}: publish.postgres: dsn_env"

    def failure(self, words: str) -> DrawdownError:
        """One line about an error: the setting, the variable, the problem, and what readers have now."""
        return DrawdownError(f"{self.where}: {self.dsn_variable}: {words}. PostgreSQL keeps the build that it has")

    def dsn(self) -> Secret:
        """Read the connection string from the environment.

        Raises UsageError with the variable, never its value, if it is missing or unusable.
        """
        return read_secret(self.dsn_variable, self.where)


class Publish(SettingsTable):
    """The table `[publish]`."""

    must_be: ClassVar[str] = "must be a table, such as [publish]"

    postgres: PostgresTarget | None = None
