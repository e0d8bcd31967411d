"""What is refused before anything is asked or written, in a state folder that holds something already."""

from __future__ import annotations

import shutil
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.home import Home
from pipeline.landing.fetching import FetchPolicy, Visit
from pipeline.landing.store import iterate, read
from pipeline.published.focus import publish_focus
from pipeline.published.snapshot import publish
from pipeline.schema.tables import published
from tests.bench import HURRIED, Bench
from tests.faults.storm import wallet
from tests.http.conftest import CANARY
from tests.http.fault_server import FaultServer, reply
from tests.staging.landed import Workshop

_ACCOUNT = 'vendor = "vpsbg"\napi_key_env = "QUIET_KEY"\n'


@dataclass
class Quiet:
    """A state folder with an empty warehouse, and one account."""

    bench: Bench

    @property
    def home(self) -> Home:
        return self.bench.home

    @property
    def keys(self) -> dict[str, str]:
        return dict(self.bench.keys)

    def refused(self, **request: object) -> UsageError:
        """The error of a run that is refused; nothing may be written by it."""
        self.bench.accounts.write_text(self.bench.accounts_toml, encoding="utf-8")
        with pytest.raises(UsageError) as caught:
            self.bench.run(**request)  # type: ignore[arg-type]
        assert sorted(path.name for path in self.home.path.iterdir()) == ["warehouse.duckdb"]
        return caught.value


@pytest.fixture
def quiet(template: Path, tmp_path: Path) -> Quiet:
    (tmp_path / "data").mkdir()
    shutil.copy(template, tmp_path / "data" / "warehouse.duckdb")
    return Quiet(Bench(tmp_path, f"[accounts.main]\n{_ACCOUNT}", {"QUIET_KEY": CANARY}))


@pytest.mark.faults(39)
@pytest.mark.parametrize("key", [f"{CANARY}\n", f"{CANARY}\r\nX-Evil: 1", f" {CANARY}", f"{CANARY}é", ""], ids=ascii)
def test_a_key_that_no_header_can_hold_is_refused_with_its_value_hidden(quiet: Quiet, key: str) -> None:
    quiet.bench.keys = {"QUIET_KEY": key}
    refusal = quiet.refused()
    quiet.bench.keys = {"QUIET_KEY": CANARY}

    assert "QUIET_KEY" in str(refusal)
    assert CANARY not in "".join(traceback.format_exception(refusal))


@pytest.mark.faults(40)
@pytest.mark.parametrize(
    "url",
    [
        "https://good.com\\\\@evil.com",
        "https://good.com@evil.com",
        "http://good.com",
        "https://192.168.1.1",
        "https://169.254.169.254/latest",
        "https://0x7f.1",
        "http://127.0.0.1:8700",
        "https://localhost",
    ],
)
def test_an_address_that_is_not_plainly_public_is_refused(quiet: Quiet, url: str) -> None:
    quiet.bench.accounts_toml = f'[accounts.main]\n{_ACCOUNT}base_url = "{url}"\n'

    assert "base_url" in str(quiet.refused())


_HOSTILE = "t; drop table t"
_TABLES = "SELECT count(*) FROM duckdb_tables() WHERE NOT temporary"


@pytest.mark.faults(43)
def test_an_account_id_that_is_no_plain_name_is_refused(quiet: Quiet) -> None:
    assert _HOSTILE in str(quiet.refused(accounts=(_HOSTILE,)))
    quiet.bench.accounts_toml = f'[accounts."{_HOSTILE}"]\n{_ACCOUNT}'
    assert "drop table" in str(quiet.refused())


@pytest.mark.faults(43)
def test_identifiers_of_a_vendor_are_kept_as_text_and_every_table_stands(workshop: Workshop) -> None:
    hostile = [_HOSTILE, "x'); DROP TABLE staging.fetches; --", '"; DROP SCHEMA core CASCADE; --', "{0} %s \\"]
    rows = [
        {"id": each, "type": each, "amount": "-1.00", "created_at": f"2026-03-1{number}T00:00:00.000000Z", each: each}
        for number, each in enumerate(hostile)
    ]
    before = workshop.rows(_TABLES)
    workshop.landing.run({"main": {"vendor": "vpsbg"}})
    workshop.landing.answer("vpsbg", "transactions", {"data": rows, "links": {"next": None}, "meta": {}})
    workshop.load()
    workshop.recompute("core")

    found = workshop.rows("SELECT entry_id, vendor_entry_type FROM core.ledger_entries ORDER BY effective_at_utc")
    assert found == [(each, each) for each in hostile]
    assert workshop.rows(_TABLES) == before
    assert len(workshop.rows("SELECT column_name FROM staging.schema_drift")) == len(hostile)


_FORMULAS = ["=HYPERLINK(1)", "+1", "-1+1", "@SUM(1)", "\t=1", "plain = text"]


@pytest.mark.faults(42)
def test_formulas_in_vendors_words_are_defused_in_the_exports_and_numbers_are_not_touched(workshop: Workshop) -> None:
    import csv

    workshop.landing.run({"main": {"vendor": "vpsbg"}})
    workshop.landing.answer("vpsbg", "balance", {"balance": "5.00", "currency": "EUR"})
    rows = [
        {"id": str(number), "type": "usage", "amount": "-1.50", "created_at": f"2026-03-1{number}T00:00:00.000000Z",
         "description": words}
        for number, words in enumerate(_FORMULAS)
    ]  # fmt: skip
    workshop.landing.answer("vpsbg", "transactions", {"data": rows, "links": {"next": None}, "meta": {}})
    workshop.load()
    workshop.recompute("core", "marts")
    build = publish(workshop.connection, workshop.home, published())

    files = publish_focus(build.path, workshop.home)

    with next(path for path in files if path.name == "focus_cost_and_usage.csv").open(newline="") as file:
        written = {row["x_ChargeId"]: row for row in csv.DictReader(file)}
    for number, words in enumerate(_FORMULAS):
        row = written[f"entry/{number}"]
        # What begins with a tab or a line's end is spelled out, and then begins with a backslash.
        is_kept = words.startswith("plain")
        assert row["ChargeDescription"] == (ascii(words)[1:-1] if words[0] < " " else words if is_kept else f"'{words}")
        assert row["EffectiveCost"] == "1.500000000"


@pytest.mark.faults(38)
@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_is_a_day_off_is_warned_of_and_marks_nothing_as_seen_that_was_not(quiet: Quiet, days: int) -> None:
    """The vendor's Date header says what day it is."""
    now = datetime.now(UTC)
    date = f"{now - timedelta(days=days):%a, %d %b %Y %H:%M:%S GMT}"
    told: list[Visit] = []
    with FaultServer(reply(200, wallet("5"), {"Date": date})) as server:
        quiet.bench.accounts_toml = (
            f'allow_http_loopback = true\n[accounts.main]\nvendor = "deepvue"\nclient_id_env = "QUIET_KEY"\n'
            f'api_key_env = "QUIET_KEY"\nbase_url = "{server.url}"\n'
        )
        quiet.bench.accounts.write_text(quiet.bench.accounts_toml)
        policy = FetchPolicy(patience=HURRIED.patience, on_visit=told.append, is_limited=False)
        quiet.bench.run(selection="group:landing", policy=policy)

    [warning] = [visit.clock_warning for visit in told]
    seconds, where = 86_400, "ahead of" if days > 0 else "behind"
    assert warning is not None
    assert where in warning
    assert any(f"{seconds + more} s" in warning for more in range(-120, 121))
    [resume] = [row for path in iterate(quiet.home.landing) if "deepvue" in str(path) for row in _resumes(path)]
    assert str(min(now.date(), (now - timedelta(days=days)).date())) in resume


def _resumes(path: Path) -> list[str]:
    return [str(each) for each in read(path, ["resume_json"]).column("resume_json").to_pylist()]
