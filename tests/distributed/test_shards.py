"""Which accounts belong to a shard, and what of landing each shard gets."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.distributed.shards import Shards, shard_of, write_landing
from pipeline.landing import store
from pipeline.landing.parquet_bodies import parquet_body, read_parquet
from pipeline.models.discovery import discover
from pipeline.schema.tables import ALL
from pipeline.staging.aliases import Aliases

_NAMES = st.lists(st.text("abcdefghij-0123456789", min_size=1, max_size=8), min_size=1, max_size=20, unique=True)


def _rows(names: list[str]) -> pa.Table:
    rows = [
        {"fetch_id": f"{place:016x}", "vendor": "vpsbg", "endpoint": "balance", "account_id": name, "body": b"{}"}
        for place, name in enumerate(names)
    ]
    return pa.Table.from_pylist([{name: row.get(name) for name in store.SCHEMA.names} for row in rows], store.SCHEMA)


def test_the_shard_of_an_account_never_changes() -> None:
    assert [shard_of(name, 7) for name in ("main", "gpu", "réseau")] == [1, 3, 4]


@given(_NAMES, st.integers(1, 9), st.data())
def test_each_answer_goes_to_the_one_shard_of_its_account(names: list[str], count: int, data: st.DataObject) -> None:
    wanted = data.draw(st.sets(st.integers(0, count - 1)))
    shards = Shards(count, Aliases({}))
    found = {
        name: shard for shard, own in shards.divide(_rows(names), wanted) for name in own["account_id"].to_pylist()
    }
    assert found == {name: shard_of(name, count) for name in names if shard_of(name, count) in wanted}


@given(_NAMES, st.integers(1, 5))
def test_rows_of_an_own_body_go_to_the_shards_of_their_accounts_and_rows_without_one_to_none(
    names: list[str], count: int
) -> None:
    body = parquet_body(pl.DataFrame({"account_id": [*names, None], "value": [*range(len(names)), -1]}))
    shards = Shards(count, Aliases({}))
    for kind, is_kept_empty in ((store.FORECASTS, False), (store.STATUSES, False), (store.BACKTESTS, True)):
        rows = [{"fetch_id": "1", "vendor": store.OWN, "endpoint": kind, "account_id": "*", "body": body}]
        landed = pa.Table.from_pylist(
            [{name: row.get(name) for name in store.SCHEMA.names} for row in rows], store.SCHEMA
        )
        found = {shard: read_parquet(own["body"][0].as_py()) for shard, own in shards.divide(landed, range(count))}
        assert all(
            set(own["account_id"]) == {name for name in names if shards.of(name) == shard}
            for shard, own in found.items()
        )
        assert sum(own.height for own in found.values()) == len(names)
        assert set(found) == set(range(count) if is_kept_empty else map(shards.of, names))


def test_a_former_name_belongs_to_the_shard_of_the_current_one() -> None:
    shards = Shards(97, Aliases({"old": "new"}))
    assert shards.of("old") == shards.of("new") == shard_of("new", 97)


def test_a_table_of_accounts_is_made_of_no_table_that_needs_all_of_them_but_currencies(tmp_path: Path) -> None:
    del tmp_path
    read = {
        (name, source)
        for name, model in discover().items()
        if model.table.partition == "account"
        for source in model.reads
        if source in ALL and ALL[source].partition == "fleet"
    }
    # Rows of these that an account's tables need are the same, whichever accounts there are.
    shared = {"core.conversion_rates", "core.fx_rates", "staging.build", "staging.budgets", "staging.dirty_months"}
    assert {source for _, source in read} <= shared


def test_landing_of_a_shard_is_read_like_any_other(tmp_path: Path) -> None:
    rows = _rows(["a", "b", "c"])
    at = pl.datetime(2026, 3, 18, 12, time_zone="UTC")
    timed = pl.from_arrow(rows).with_columns(at.alias("fetched_at_utc")).to_arrow().cast(store.SCHEMA)
    write_landing(tmp_path, [timed])
    [folder] = store.day_folders(tmp_path)
    assert folder.relative_to(tmp_path).as_posix() == "vpsbg/balance/2026/03/18"
    [(_, found)] = list(store.each(folder))
    assert found.sort_by("fetch_id").equals(timed)
