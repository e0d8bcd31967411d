"""Where published tables go beside the DuckDB file: `[publish]` in accounts.toml."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Final

from pydantic import Field

from pipeline.settings.table import Requirement, SettingsTable
from pipeline.settings.values import VARIABLE, VariableName, fits
from pipeline.support.errors import DrawdownError
from pipeline.support.secret import Secret, read_secret

_NAME: Final = r"(?!pg_|public\Z)[a-z_][a-z0-9_]{0,%d}"
"""What PostgreSQL takes without quotes, and does not keep for itself."""
DsnVariable = Annotated[
    VariableName, Requirement(f"{VARIABLE}DRAWDOWN_POSTGRES_DSN; never put the connection string itself here")
]
Role = Annotated[
    str,
    fits(re.compile(_NAME % 62).fullmatch),
    Requirement("must be the name of a role: small letters, digits and _, at most 63, not beginning with pg_"),
]
# Beside the longest name of a layer, and what marks a schema while it is loaded, within PostgreSQL's 63 bytes.
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
    """The accounts.toml that names it."""
    dsn_variable: DsnVariable = Field(validation_alias="dsn_env")
    """The environment variable that holds the connection string."""
    reader_role: Role | None = None
    """Who may read the tables, and nothing else; made where it is not there."""
    schema_prefix: Prefix = ""
    """Goes before the name of each schema: `drawdown_` makes `drawdown_marts`."""

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
        return read_secret(self.dsn_variable, self.where)


class Publish(SettingsTable):
    """The table `[publish]`."""

    must_be: ClassVar[str] = "must be a table, such as [publish]"

    postgres: PostgresTarget | None = None
