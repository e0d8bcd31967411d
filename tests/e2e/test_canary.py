"""A key that a vendor echoes, in any encoding, is stored nowhere, not even after a run that crashes."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.landing.runs import newest_record
from pipeline.landing.store import iterate
from pipeline.published.focus import TABLES
from tests import sandbox_faults as sandboxes
from tests.bench import Bench, only
from tests.canary import contents_of, leaks
from tests.e2e.conftest import NOW

ECHOES: dict[tuple[str, str], dict[str, Any]] = {
    # Successful answers that contain the key.
    ("vpsbg-main", "/balance"): {"disguise": "plain"},
    ("vpsbg-main", "/balance/transactions"): {"disguise": "base64"},
    ("hyperstack-main", "/billing/user-credit/credit"): {"disguise": "basic"},
    ("voxpria-main", "/api/v1/credits"): {"disguise": "percent"},
    # Refusals with the key in the reason.
    ("vpsbg-agency", "/balance"): {"code": 401},
    ("vpsbg-agency", "/balance/transactions"): {"code": 500, "disguise": "basic"},
    ("deepvue-main", "/v1/internal/wallet-balance"): {"code": 403, "disguise": "base64"},
    ("voxpria-main", "/api/v1/credits/usage"): {"code": 422, "disguise": "percent"},
}
IN_ROWS = ("vpsbg-idle", "/balance/transactions")
REDIRECTED = ("voxpria-campaign", "/api/v1/credits")


@dataclass
class Swept:
    """Runs over vendors that echo keys, and one that ends in a traceback."""

    bench: Bench
    sandbox: sandboxes.Sandbox
    dagster_home: Path

    @property
    def events(self) -> str:
        """Everything in Dagster's event log, as text."""
        return "\n".join(
            content.decode("utf-8", "replace")
            for place, content in contents_of(self.dagster_home)
            if place.endswith(": event_logs")
        )


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    folder = tmp_path_factory.mktemp("swept")
    with sandboxes.start(seed=5, days=40, now=NOW) as world:
        accounts = {account for account, _ in (*ECHOES, IN_ROWS, REDIRECTED)}
        bench = Bench(folder, only(world.accounts_toml(), *sorted(accounts)), world.keys)
        environment = {"DAGSTER_HOME": str(folder / "dagster")}
        bench.command("init", "--dagster", **environment)
        for (account, path), how in ECHOES.items():
            world.put_fault("echo_key", account=account, path=path, exact=True, **how)
        account, path = IN_ROWS
        world.put_fault("echo_key_in_rows", account=account, path=path, exact=True)
        account, path = REDIRECTED
        world.put_fault("echo_key_in_headers", account=account, path=path, exact=True)
        ran = bench.command("run", "--as-of", NOW.isoformat(), **environment)
        assert ran.returncode == 1, ran.stderr
        for command in (
            ["doctor"], ["doctor", "--json"], ["status"], ["alerts"], ["report"], ["explain", "vpsbg-main"],
            ["explain", "vpsbg-main", "--json"], ["sql", "FROM marts.data_freshness", "--format", "json"],
            ["sql", "FROM staging.rejects"], ["sql", "FROM staging.schema_drift"],
        ):  # fmt: skip
            bench.new_process(*command, PYTHONDEVMODE="1", **environment)
        broken = folder / "data" / "landing" / "vpsbg"
        shutil.move(broken, folder / "vpsbg")
        broken.write_text("a file where a folder should be")
        crashed = bench.command("run", "--as-of", NOW.isoformat(), **environment)
        assert crashed.returncode == 1
        broken.unlink()
        shutil.move(folder / "vpsbg", broken)
        yield Swept(bench, world, folder / "dagster")


def test_no_key_is_in_files_or_output_of_the_runs(swept: Swept) -> None:
    assert len(swept.bench.keys) > len(ECHOES) // 2
    assert swept.bench.leaks() == []
    # The same sweep finds text that is really there.
    assert len(leaks(["vpsbg-main"], swept.bench.home.path, swept.dagster_home, said=swept.bench.said)) > 20


def test_each_echoed_key_was_landed_as_the_name_of_its_variable(swept: Swept) -> None:
    rows = [
        row
        for path in iterate(swept.bench.home.landing)
        for row in pq.read_table(path, columns=["account_id", "request_url", "body", "is_redacted"]).to_pylist()
    ]
    for account, path in ECHOES:
        variable = f"SANDBOX_{account.upper().replace('-', '_')}_KEY"
        found = [
            row for row in rows if row["account_id"] == account and row["request_url"].split("?")[0].endswith(path)
        ]
        assert found, path
        for row in found:
            assert row["is_redacted"], row
            assert f"[redacted:{variable}]".encode() in row["body"], path
    assert {row["account_id"] for row in rows if not row["is_redacted"]} > {"vpsbg-main"}


def test_a_key_that_was_escaped_in_each_description_is_in_no_decoded_one(swept: Swept) -> None:
    rows = swept.bench.rows(
        "SELECT DISTINCT description FROM core.ledger_entries WHERE account_id = 'vpsbg-idle' AND entry_source = 'ledger'"
    )
    assert rows == [("[redacted:SANDBOX_VPSBG_IDLE_KEY]",)]
    exported = swept.bench.home.focus.resolve().rglob("*.csv")
    marked = [path for path in exported if b"[redacted:SANDBOX_VPSBG_IDLE_KEY]" in path.read_bytes()]
    assert {path.parent.name for path in marked} == {table.name for table in TABLES}


def test_the_sweep_reads_dagsters_records(swept: Swept) -> None:
    events = swept.events
    assert "STEP_SUCCESS" in events
    # The reasons that contained a key, and the stack of the crashed run.
    assert "check the value of SANDBOX_VPSBG_AGENCY_KEY" in events
    assert "STEP_FAILURE" in events
    assert "fetching.py" in events
    logs = [path for path in (swept.dagster_home / "storage").rglob("*") if path.suffix in (".err", ".out")]
    assert logs
    databases = [path for path in swept.dagster_home.rglob("*.db") if path.stat().st_size]
    assert databases
    for database in databases:
        with sqlite3.connect(database) as connection:
            assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0


def test_output_names_accounts_and_variables(swept: Swept) -> None:
    said = "\n".join(swept.bench.said.values())
    assert "vpsbg account vpsbg-agency: GET" in said
    assert "check the value of SANDBOX_VPSBG_AGENCY_KEY" in said
    doctor = next(text for name, text in swept.bench.said.items() if name.startswith("doctor --json"))
    found, _ = json.JSONDecoder().raw_decode(doctor)
    assert {each["about"] for each in found if each["state"] == "fail"} >= {"vpsbg-agency", "voxpria-campaign"}


def test_accounts_are_recognised_by_hashes_whose_key_is_only_in_its_file(swept: Swept) -> None:
    record = newest_record(swept.bench.home.landing, NOW)
    assert record is not None
    identities = [each["identity"] for each in record["accounts"].values()]
    assert len(identities) == len({*identities} - {None}) > 4
    key = swept.bench.home.identity_key.read_bytes()
    forms = (key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key)[:-2])
    contents = [each for folder in (swept.bench.home.path, swept.dagster_home) for each in contents_of(folder)]
    where = {place for place, content in contents if any(form in content for form in forms)}
    assert where == {str(swept.bench.home.identity_key)}
    assert not any(form.decode("latin-1") in said for form in forms for said in swept.bench.said.values())
    # The sweep reads the files with the hashes.
    assert any(identities[0].encode() in content for place, content in contents if place.endswith(": body"))


def test_vendors_only_received_get(swept: Swept) -> None:
    received = swept.sandbox.requests()
    assert {each.vendor for each in received} == {"vpsbg", "hyperstack", "voxpria", "deepvue"}
    assert {each.method for each in received} == {"GET"}


def test_a_rotated_key_is_taken_up_by_the_next_run(bench: Bench, sandbox: sandboxes.Sandbox) -> None:
    right = dict(bench.keys)
    variable = "SANDBOX_VPSBG_MAIN_KEY"
    bench.keys = {**right, variable: "canary-old-9f2c7Wb4"}
    refused = bench.run(NOW)
    assert [line for line in refused.problems if f"check the value of {variable}" in line]

    bench.keys = right
    assert bench.run(NOW).problems == []

    # The fixture also sweeps for the old one.
    bench.keys = {**right, "OLD": "canary-old-9f2c7Wb4"}
