"""Rows of one answer with the same key: parts that add up, repetitions, or contradictions.

Over several answers the newest statement of a key counts (`pipeline.staging.storing`); within one answer nothing shows
which row is the newest, so none is preferred.
"""

from __future__ import annotations

import polars as pl

from pipeline.schema.tables import RECORDS
from pipeline.schema.units import MOST_AMOUNT
from pipeline.staging.answers import RecordReading, Reject, shown
from pipeline.vendors._port import Reads

_ADDITIVE = (Reads.MONEY, Reads.DOLLARS, Reads.NUMBER)
# Columns that may differ between repetitions.
_PLACES = ("_answer", "account_id", "fetch_id", "row_number")


def settle_repeats(reading: RecordReading) -> None:
    """Merge accepted rows of one answer that share a key if they may be merged, and reject the others."""
    table = RECORDS[reading.records.kind]
    same = ["_answer", *(name for name in table.key if name not in _PLACES)]
    accepted = reading.accepted
    of_rejected = accepted.clear()
    if reading.rejects and accepted.height:
        rejected = reading.candidates.join(accepted, on=["_answer", "row_number"], how="anti").select(same).unique()
        of_rejected = accepted.join(rejected, on=same, how="semi", maintain_order="left")
    repeats = accepted.filter(accepted.select(same).is_duplicated())
    if not repeats.height and not of_rejected.height:
        return
    adds_up = reading.records.parts_add_up
    # The other rows may be incomplete without the rejected row of the same key.
    _reject(reading, of_rejected, "has_all_parts" if adds_up else "is_unique", same)
    repeats = repeats.join(of_rejected, on=["_answer", "row_number"], how="anti")
    if adds_up:
        _add_up(reading, repeats, same)
        return
    content = [name for name in table.column_names if name not in (*_PLACES, "loaded_at_utc")]
    first = repeats.unique(subset=["_answer", *content], keep="last", maintain_order=True)
    differing = first.filter(first.select(same).is_duplicated()).select(same).unique()
    _reject(reading, repeats.join(differing, on=same, how="semi"), "is_unique", same)
    _fold(reading, repeats.join(differing, on=same, how="anti"), same)


def _add_up(reading: RecordReading, parts: pl.DataFrame, same: list[str]) -> None:
    """Put the sums of parts into their last row. A sum with a missing part is unknown."""
    if not parts.height:
        return
    additive = [field.column for field in reading.records.fields if field.reads in _ADDITIVE]
    sums = parts.group_by(same, maintain_order=True).agg(
        pl.when(pl.col(name).is_null().any()).then(None).otherwise(pl.col(name).sum()).alias(name) for name in additive
    )
    too_much = sums.filter(pl.any_horizontal((pl.col(name).abs() > MOST_AMOUNT).fill_null(False) for name in additive))
    beyond = parts.join(too_much, on=same, how="semi")
    _reject(reading, beyond, "is_plausible_amount", same)
    _fold(reading, parts.join(too_much, on=same, how="anti"), same)
    schema = reading.accepted.schema
    summed = reading.accepted.join(sums, on=same, how="left", suffix="_sum")
    has_parts = reading.accepted.join(sums.with_columns(_has=pl.lit(True)), on=same, how="left")["_has"].fill_null(
        False
    )
    reading.accepted = summed.with_columns(
        pl.when(has_parts).then(pl.col(f"{name}_sum")).otherwise(pl.col(name)).cast(schema[name]).alias(name)
        for name in additive
    ).select(schema.names())


def _fold(reading: RecordReading, rows: pl.DataFrame, same: list[str]) -> None:
    """Keep the last of the rows that share a key, and count the others as accepted."""
    last = rows.sort("row_number").unique(subset=same, keep="last", maintain_order=True)
    others = rows.join(last, on=["_answer", "row_number"], how="anti")
    for answer in others["_answer"].to_list():
        reading.folded[answer] = reading.folded.get(answer, 0) + 1
    reading.accepted = reading.accepted.join(others, on=["_answer", "row_number"], how="anti", maintain_order="left")


def _reject(reading: RecordReading, rows: pl.DataFrame, check_name: str, same: list[str]) -> None:
    if not rows.height:
        return
    key = next((name for name in same[1:]), "*")
    values = rows[key].cast(pl.String).to_list() if key != "*" else [None] * rows.height
    reading.rejects += [
        Reject(answer, number, key, check_name, shown(value))
        for answer, number, value in zip(rows["_answer"], rows["row_number"], values, strict=True)
    ]
    reading.accepted = reading.accepted.join(rows, on=["_answer", "row_number"], how="anti", maintain_order="left")
