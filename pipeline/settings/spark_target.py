"""Where tables are computed if one machine is not enough: `engine` and the table `[spark]` of accounts.toml."""

from __future__ import annotations

import os
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from pipeline.schema.engines import ENGINE_VARIABLE, ENGINES
from pipeline.settings.table import Requirement, SettingsTable, mistake
from pipeline.settings.values import VARIABLE, Text, VariableName, one_of
from pipeline.support.errors import UsageError

MASTER_VARIABLE: Final = "DRAWDOWN_SPARK_MASTER"
"""Takes precedence over `master` and `remote`."""
REMOTE_VARIABLE: Final = "DRAWDOWN_SPARK_REMOTE"
"""Takes precedence over `master` and `remote`."""
STORAGE_VARIABLE: Final = "DRAWDOWN_STORAGE"
"""Takes precedence over `storage`."""
_MOST_SHARDS: Final = 100_000
_MOST_POLLERS: Final = 1_000

Engine = Annotated[str, one_of(*ENGINES)]


class SparkTarget(SettingsTable):
    """The table `[spark]`."""

    must_be: ClassVar[str] = 'must be a table, such as [spark] with master = "spark://host:7077"'

    master: Text | None = None
    """URL of the cluster's master, as for spark-submit; `local[2]` for this machine."""
    remote: Text | None = None
    """URL of a Spark Connect server, such as sc://host:15002, in place of a master."""
    storage: Text | None = None
    """Folder that all machines share: file:///path or s3://bucket/prefix."""
    shards: Annotated[
        int, Field(ge=1, le=_MOST_SHARDS), Requirement(f"must be a whole number between 1 and {_MOST_SHARDS}")
    ] = 16
    """Number of shards that accounts are divided into."""
    pollers: Annotated[
        int, Field(ge=1, le=_MOST_POLLERS), Requirement(f"must be a whole number between 1 and {_MOST_POLLERS}")
    ] = 1
    """Number of runs that share the requests; 1: the run that computes the tables makes them."""
    catalog_variable: Annotated[
        VariableName | None, Requirement(f"{VARIABLE}DRAWDOWN_CATALOG; never put the connection string itself here")
    ] = Field(default=None, validation_alias="catalog_env")
    """Environment variable with the URI of the Iceberg catalog's PostgreSQL database; None for a file in the state
    folder."""
    task_memory_mb: Annotated[int, Field(ge=256), Requirement("must be a whole number of megabytes, 256 or more")] = (
        1024
    )
    """Memory that DuckDB may use in one task."""

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        if self.master and self.remote:
            raise mistake("remote: there is a master, too; keep one of them")
        return self

    def with_variables(self) -> SparkTarget:
        """The target with what environment variables replace. Raises UsageError if something is still missing."""
        master, remote = os.environ.get(MASTER_VARIABLE), os.environ.get(REMOTE_VARIABLE)
        if master and remote:
            raise UsageError(f"{MASTER_VARIABLE} and {REMOTE_VARIABLE} are both set; unset one of them")
        found = self
        if master or remote:
            found = found.model_copy(update={"master": master or None, "remote": remote or None})
        if storage := os.environ.get(STORAGE_VARIABLE):
            found = found.model_copy(update={"storage": storage})
        if not (found.master or found.remote):
            raise UsageError(
                "engine is spark, and no cluster is named: give spark.master or spark.remote, or set "
                f"{MASTER_VARIABLE} or {REMOTE_VARIABLE}"
            )
        if not found.storage:
            raise UsageError(
                "engine is spark, and no storage is named: give spark.storage, such as file:///srv/drawdown or "
                f"s3://bucket/drawdown, or set {STORAGE_VARIABLE}"
            )
        return found


def engine_of(engine: str) -> str:
    """The engine, from the environment or else from the settings. Raises UsageError for an unknown one."""
    named = os.environ.get(ENGINE_VARIABLE) or engine
    if named not in ENGINES:
        raise UsageError(f"{ENGINE_VARIABLE} is {named[:40]!r}; it must be {' or '.join(ENGINES)}")
    return named
