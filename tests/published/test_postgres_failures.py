"""PostgreSQL as a part of the run: if it is missing, down or refuses, nothing else fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipeline.published.publishing_assets import postgres
from pipeline.support.errors import DrawdownError, UsageError
from tests.bench import Bench
from tests.canary import found_in, postgres_contents
from tests.published.builds import build
from tests.published.conftest import (
    DEAD_DSN,
    DSN_VARIABLE,
    NOW,
    PASSWORD,
    VARIABLE,
    Copy,
    Database,
    World,
    load_by_asset,
)


def test_a_postgresql_that_is_down_only_costs_one_line(world: World) -> None:
    home = world.bench.home
    (line,) = [line for line in world.outcome.problems if "postgres" in line]

    assert line.startswith(f"{world.bench.accounts}: publish.postgres: dsn_env: {DSN_VARIABLE}: ")
    assert "127.0.0.1" in line
    assert "check its host, port and database" in line
    assert not [secret for secret in (PASSWORD, DEAD_DSN) if secret in line]
    assert world.bench.rows("SELECT count(*) FROM marts.account_status")[0][0] > 3
    assert (home.published / "focus").is_dir()
    assert (home.published / "metrics" / "drawdown.prom").is_file()
    assert world.bench.leaks() == []


def test_the_asset_loads_the_published_tables_and_shows_no_secret(world: World, copy: Copy) -> None:
    (check,) = copy.result.get_asset_check_evaluations()
    query = "SELECT * FROM marts.build_info ORDER BY item"

    assert check.passed
    assert copy.database.rows(query) == world.bench.rows(query)
    (done,) = copy.result.asset_materializations_for_node("published__postgres")
    assert done.metadata["build"].value == world.bench.home.current.resolve().parent.name
    assert done.metadata["table_rows"].value["marts.build_info"] == len(world.bench.rows(query))
    logged = "".join(str(event) for event in copy.result.all_events)
    assert "build" in logged
    with copy.database.connect() as connection:
        kept = list(postgres_contents(connection))
    connection.close()
    assert "PostgreSQL: marts.account_status" in found_in(kept, ["vpsbg-main"])
    assert found_in([*kept, ("an event", logged.encode())], world.bench.keys.values()) == []


def test_an_unset_variable_is_reported_before_any_request(world: World, tmp_path: Path) -> None:
    keys = {name: value for name, value in world.bench.keys.items() if name != DSN_VARIABLE}
    bench = Bench(tmp_path, world.bench.accounts_toml, keys)

    with pytest.raises(UsageError, match=f"dsn_env: the environment variable {DSN_VARIABLE} is not set"):
        bench.run(NOW)
    assert not bench.home.path.exists()


@pytest.mark.parametrize("accounts", ["without", "absent"])
def test_without_a_configured_postgresql_nothing_is_done_and_reported(world: World, accounts: str) -> None:
    if accounts == "absent":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DRAWDOWN_ACCOUNTS", "/nowhere/accounts.toml")
            result = dg.materialize([postgres], resources={"home": world.bench.home})
    else:
        result = load_by_asset(world, world.bench.accounts_toml.partition("\n")[2], DEAD_DSN)
    (check,) = result.get_asset_check_evaluations()

    assert check.passed
    assert check.description == "accounts.toml names no publish.postgres: nothing to do."


CANARY = "canary-pg%2F7f3b%40Zq"


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        (f"postgresql://postgres:{CANARY}@127.0.0.1:1/x", "check its host, port and database"),
        (f"postgresql://nobody-here:{CANARY}@127.0.0.1:5432/postgres", "check its user and password"),
        (f"postgresql://postgres:{CANARY}@127.0.0.1:5432/not_there", "check its host, port and database"),
        (f"postgresql://postgres:{CANARY}@127.0.0.1:port/x", "its value is not shown"),
        ("postgresql://postgres:once@canary-pg@127.0.0.1:5432/x", "@ is written %40"),
        ("postgresql://postgres:canary-pg/7f3b@127.0.0.1:5432/x", "/ is %2F"),
        ("postgresql://postgres:12/canary-pg@127.0.0.1:5432/x", "/ is %2F"),
        (f"postgres {CANARY}", "its value is not shown"),
        (f"host=127.0.0.1 password={CANARY} sslmode=odd", "check its host, port and database"),
    ],
)
def test_a_failed_connection_is_one_line_without_the_password(
    link: Path, load: Callable[..., Any], dsn: str, words: str
) -> None:
    with pytest.raises(DrawdownError) as caught:
        load(build(link, 1), dsn=dsn)

    text = str(caught.value)
    assert text.startswith(f"accounts.toml: publish.postgres: dsn_env: {VARIABLE}: ")
    assert words in text
    assert text.endswith("PostgreSQL keeps the build that it has")
    assert len(text.splitlines()) == 1
    assert not [form for form in (CANARY, "canary-pg", "7f3b") if form in text]
    assert caught.value.__cause__ is None
    # The driver's message is not printed.
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_server_that_dies_during_the_load_leaves_the_old_build(
    link: Path, database: Database, load: Callable[..., Any]
) -> None:
    load(build(link, 1))
    build(link, 2, rows=1_000_000)
    administration = database.connect(database.dsn.replace(database.name, "postgres"))
    administration.autocommit = True
    ending = threading.Event()

    def kill() -> None:
        with administration.cursor() as cursor:
            while not ending.wait(0.01):
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'COPY%%'",
                    (database.name,),
                )

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(DrawdownError, match="PostgreSQL keeps the build that it has"):
        load(link)
    ending.set()
    thread.join()
    administration.close()
    assert database.rows("SELECT DISTINCT build_number FROM core.made") == [(1,)]
    assert load(link).table_rows["core.made"] == 1_000_000
