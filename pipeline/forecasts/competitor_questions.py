"""The questions of a backtest as a file, for forecasters in another environment or language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.forecasts.backtest_origins import Origins
from pipeline.forecasts.competitors import KEYS
from pipeline.forecasts.engine.histories import QUANTILES
from pipeline.support.errors import UsageError

ARROW: Final = (".arrow", ".feather", ".ipc")
PARQUET: Final = ".parquet"
FORMATS: Final = f"{', '.join(ARROW)} or {PARQUET}"
_COLUMNS: Final = {
    "as_of_date": pl.Date,
    "account_id": pl.String,
    "date": pl.Date,
    "spend_amount": pl.Float64,
    "vendor": pl.String,
}


def write_questions(origins: Origins, path: Path) -> int:
    """Write what was known at each origin as one Arrow IPC or Parquet file; return the number of rows.

    The rows: as_of_date, account_id, date, spend_amount (in the unit of the account's balance), vendor; a record batch
    or row group an origin. The schema's metadata has the horizons and quantiles to answer under `drawdown`, as JSON.
    Raises UsageError for another kind of file, OSError if it cannot be written.
    """
    if path.suffix not in (*ARROW, PARQUET):
        raise UsageError(f"--questions {path}: the file's name must end in {FORMATS}")
    key = " or ".join(KEYS.values())
    asked = {
        "horizons_days": origins.horizons,
        "quantiles": QUANTILES,
        "answer_columns": ["as_of_date", "account_id", key, "quantile", "spend_amount"],
    }
    empty = pl.DataFrame(schema=_COLUMNS).to_arrow(compat_level=pl.CompatLevel.oldest())
    schema = empty.schema.with_metadata({"drawdown": json.dumps(asked)})
    # Beside the target, and renamed once it is whole.
    partial = path.with_name(f".{path.name}.partial")
    rows = 0
    try:
        with (
            partial.open("wb") as file,
            pq.ParquetWriter(file, schema, compression="zstd")
            if path.suffix == PARQUET
            else pa.ipc.new_file(file, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer,
        ):
            for as_of, past in origins.questions():
                if "vendor" not in past.columns:
                    past = past.with_columns(pl.lit(None, pl.String).alias("vendor"))
                question = past.with_columns(pl.lit(as_of).alias("as_of_date")).select(
                    pl.col(name).cast(dtype) for name, dtype in _COLUMNS.items()
                )
                # The layout that every reader of Arrow knows, without string views.
                writer.write_table(question.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema))
                rows += question.height
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return rows
