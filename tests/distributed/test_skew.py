"""One account with a thousand times the answers of the others: its shard has more to do, and the others have not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.answers import good_answer
from benchmarks.fleet import END, Fleet
from pipeline.cli.checksum import checksums
from pipeline.distributed.landed_files import landed_keys, rows_by_shard
from pipeline.distributed.shard_tasks import BuildTask
from pipeline.distributed.shards import shard_of
from pipeline.distributed.uploads import upload
from pipeline.lake.open_store import open_store
from pipeline.landing.store import OWN, LandingWriter
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from tests.distributed.comparing_builds import build_whole, differing
from tests.distributed.serial import build_by_shards

pytestmark = pytest.mark.long

LARGE, HOURS, TIMES, SHARDS = "voxpria-00", 6, 1_000, 5


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A state folder with a few hours of fifty accounts, one of which was asked every few seconds."""
    folder = tmp_path_factory.mktemp("skew")
    home = Home(folder / "data")
    fleet = Fleet(home.landing, hours=HOURS, end=END)
    accounts = folder / "accounts.toml"
    accounts.write_text(fleet.accounts_toml())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_KEY", "bench")
        fleet.land_history(accounts)
    writer = LandingWriter(home.landing, "voxpria", "credits", END.date())
    # Between two hours' runs, and never at the instant of one.
    step = timedelta(hours=HOURS - 1) / (HOURS * TIMES + 1)
    for number in range(1, HOURS * TIMES + 1):
        at = (fleet.start + number * step).replace(microsecond=1)
        body = f'{{"success": true, "data": {{"balance": {50_000 - number}, "currency": "credits", "lastUpdated": "{at:%Y-%m-%dT%H:%M:%SZ}"}}}}'
        writer.add(good_answer("voxpria", LARGE, "credits", body.encode(), at=at, number=1_000 + number))
    writer.close()
    return home


def test_its_tables_are_those_of_a_whole_build(home: Home, tmp_path: Path) -> None:
    whole = tmp_path / "whole.duckdb"
    build_whole(home, Clock(END), whole)
    assert next(each.rows for each in checksums(whole) if each.table == "core.balance_snapshots") > HOURS * TIMES
    assert differing(build_by_shards(home.landing, SHARDS, tmp_path / "shards", Clock(END)), whole) == {}


def test_only_its_shard_gets_its_answers(home: Home, tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/lake")
    upload(home, store)
    task = BuildTask(
        storage=store.url, build_id="1", run_id="run", count=SHARDS, former_names={}, known_at=None, is_replay=True,
        fixed_now=None, follows=None,
    )  # fmt: skip
    answers = dict.fromkeys(range(SHARDS), 0)
    for shard, rows in rows_by_shard(task, landed_keys(store), range(SHARDS)):
        if rows["vendor"][0].as_py() != OWN:
            answers[shard] += rows.num_rows
    large = answers.pop(shard_of(LARGE, SHARDS))
    assert large > HOURS * TIMES
    assert max(answers.values()) < HOURS * TIMES / 10
