"""The Spark session of a build: a cluster by its master, or a Spark Connect server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.settings.spark_target import SparkTarget
from pipeline.support.errors import DrawdownError, first_line

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SETTINGS: Final = {
    "spark.sql.session.timeZone": "UTC",
    # The run reports its own steps.
    "spark.ui.showConsoleProgress": "false",
    # Bodies of long listings have megabytes, and a batch is held in memory on both sides.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
    # One partition is one shard: none may be merged or split.
    "spark.sql.adaptive.enabled": "false",
}


def open_session(target: SparkTarget) -> SparkSession:
    """Open a session on the cluster. Raises DrawdownError if it cannot be reached, or pyspark is not installed."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise DrawdownError("engine is spark, and pyspark is not installed: pip install 'drawdown[spark]'") from None
    # pyspark's builder has no types for its shared methods.
    builder: Any = SparkSession.builder
    builder = builder.appName("drawdown")
    builder = builder.remote(target.remote) if target.remote else builder.master(target.master)
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    try:
        session: SparkSession = builder.getOrCreate()
    except Exception as problem:
        raise DrawdownError(
            f"Spark at {target.remote or target.master} cannot be reached: {first_line(problem)}"
        ) from None
    return session
