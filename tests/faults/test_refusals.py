"""Refusals before anything is requested or written, in a state folder with existing contents."""

from __future__ import annotations

import shutil
import traceback
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.landing.fetching import FetchPolicy, Visit
from pipeline.landing.store import iterate, read
from pipeline.published.focus import publish_focus
from pipeline.published.snapshot import publish
from pipeline.schema.tables import published
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home
from tests.bench import HURRIED, Bench
from tests.faults.storm import wallet
from tests.http.conftest import CANARY
from tests.http.fault_server import FaultServer, Script, Wire, reply
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
        """The error of a refused run, which must write nothing."""
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
def test_a_key_that_is_invalid_in_a_header_is_refused_with_its_value_hidden(quiet: Quiet, key: str) -> None:
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
def test_identifiers_of_a_vendor_are_kept_as_text_and_every_table_is_intact(workshop: Workshop) -> None:
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

    publish_focus(build.path, workshop.home)

    with (workshop.home.focus / "focus_cost_and_usage" / "2026-03.csv").open(newline="") as file:
        written = {row["x_ChargeId"]: row for row in csv.DictReader(file)}
    for number, words in enumerate(_FORMULAS):
        row = written[f"entry/{number}"]
        # Text that begins with a tab or a line end is escaped, and then begins with a backslash.
        is_kept = words.startswith("plain")
        assert row["ChargeDescription"] == (ascii(words)[1:-1] if words[0] < " " else words if is_kept else f"'{words}")
        assert row["EffectiveCost"] == "1.500000000"


def _clock_accounts(quiet: Quiet, *servers: FaultServer) -> None:
    lines = ["allow_http_loopback = true"]
    for number, server in enumerate(servers):
        lines += [
            f"[accounts.main-{number}]", 'vendor = "deepvue"', 'client_id_env = "QUIET_KEY"',
            'api_key_env = "QUIET_KEY"', f'base_url = "{server.url}"',
        ]  # fmt: skip
    quiet.bench.accounts_toml = "\n".join(lines)
    quiet.bench.accounts.write_text(quiet.bench.accounts_toml)


def _dated(off: timedelta) -> Script:
    """An answer of a server whose clock differs from this machine's by a given time."""

    def play(wire: Wire) -> bool | None:
        date = f"{datetime.now(UTC) + off:%a, %d %b %Y %H:%M:%S GMT}"
        return reply(200, wallet("5"), {"Date": date})(wire)

    return play


def _landed(quiet: Quiet) -> list[str]:
    """Folders of landed answers and runs; the alert about a failed run is separate."""
    folders = [str(path.relative_to(quiet.home.landing).parent) for path in iterate(quiet.home.landing)]
    return [each for each in folders if not each.startswith("_drawdown/alerts/")]


@pytest.mark.faults(38)
@pytest.mark.faults(48)
@pytest.mark.parametrize("days", [-1, 1])
def test_one_vendor_whose_date_is_a_day_off_is_warned_of_and_marks_nothing_as_seen_that_was_not(
    quiet: Quiet, days: int
) -> None:
    """The other vendor's clock agrees with this machine's."""
    now = datetime.now(UTC)
    visits: list[Visit] = []
    with FaultServer(_dated(timedelta(days=-days))) as odd, FaultServer(_dated(timedelta())) as right:
        _clock_accounts(quiet, odd, right)
        policy = FetchPolicy(patience=HURRIED.patience, on_visit=visits.append, is_limited=False)
        quiet.bench.run(selection="group:landing", policy=policy)

    warnings = {visit.account_id: visit.clock_warning for visit in visits}
    assert warnings["main-1"] is None
    warning, seconds, where = warnings["main-0"], 86_400, "ahead of" if days > 0 else "behind"
    assert warning is not None
    assert where in warning
    assert any(f"{seconds + more} s" in warning for more in range(-120, 121))
    assert "no other vendor says so" in warning
    resumes = {
        row["account_id"]: row["resume_json"]
        for path in iterate(quiet.home.landing)
        if "deepvue" in str(path)
        for row in read(path, ["account_id", "resume_json"]).to_pylist()
    }
    assert str(min(now.date(), (now - timedelta(days=days)).date())) in resumes["main-0"]
    assert set(resumes) == {"main-0", "main-1"}


@pytest.mark.faults(48)
@pytest.mark.parametrize("offs", [[24], [-24], [3, 3], [-3, -3, 0]], ids=str)
def test_a_clock_hours_off_the_vendors_lands_nothing_and_the_next_run_requests_everything(
    quiet: Quiet, offs: list[int]
) -> None:
    scripts = [_dated(timedelta(hours=off)) for off in offs]
    with ExitStack() as stack:
        servers = [stack.enter_context(FaultServer(script)) for script in scripts]
        _clock_accounts(quiet, *servers)
        before = datetime.now(UTC)
        with pytest.raises(DrawdownError) as caught:
            quiet.bench.run(selection="group:landing")
        sentence = str(caught.value)
        assert _landed(quiet) == []
        assert sentence.count("\n") == 0
        assert f"{abs(offs[0])}.0 hours {'later' if offs[0] > 0 else 'earlier'}" in sentence
        days = {
            f"{each + timedelta(hours=off):%Y-%m-%d}" for each in (before, datetime.now(UTC)) for off in (0, offs[0])
        }
        assert len([day for day in days if day in sentence]) >= len(
            {before.date(), (before + timedelta(hours=offs[0])).date()}
        )
        assert all(f"127.0.0.1:{each.port}" in sentence for each, off in zip(servers, offs, strict=True) if off)
        assert "set the clock" in sentence
        for server in servers:
            server.scripts = (_dated(timedelta()),)
        assert quiet.bench.run(selection="group:landing").problems == []
    assert sorted(_landed(quiet))[-1].startswith("deepvue/wallet/")
    fetched = [row for path in iterate(quiet.home.landing) if "deepvue" in str(path) for row in read(path).to_pylist()]
    assert sorted(row["account_id"] for row in fetched) == [f"main-{number}" for number in range(len(offs))]


@pytest.mark.faults(48)
def test_an_age_in_a_cache_is_no_wrong_clock_and_a_set_clock_is_not_compared(quiet: Quiet) -> None:
    date = f"{datetime.now(UTC) - timedelta(hours=9):%a, %d %b %Y %H:%M:%S GMT}"
    with FaultServer(reply(200, wallet("5"), {"Date": date, "Age": str(9 * 3600)})) as server:
        _clock_accounts(quiet, server)
        quiet.bench.run(selection="group:landing")
        server.scripts = (_dated(timedelta(days=200)),)
        quiet.bench.run(datetime(2026, 3, 18, tzinfo=UTC), selection="group:landing")
    assert len([each for each in _landed(quiet) if "deepvue" in each]) == 2
