"""Freeze a small landing of this version, for later versions to rebuild: `python -m tests.replay.freeze [WORD]`.

Run it once before a release whose version has none yet, and, with a word for it, once landing has new kinds of entries
that no frozen one has. A frozen landing is never made again: it represents users' state folders. It consists of five
days of the sandbox's four vendors and a file kept by hand: failures of several kinds, rejected rows, schema drift, a
restated day, changed settings, issued forecasts, alerts, one of them acknowledged, a backtest, one compacted day. The
keys are invented, and must not appear in it.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

from pipeline import __version__
from pipeline.alerts.journal import land
from pipeline.alerts.state_machine import Acknowledgement
from pipeline.landing import ecb_rates as rates
from pipeline.landing.compact import compact
from pipeline.support.clock import Clock
from tests import sandbox_faults as sandboxes
from tests.bench import Bench

HERE = Path(__file__).parent
FIRST = datetime(2026, 10, 29, 9, 0, tzinfo=UTC)
_REGISTRAR = """
[accounts.registrar]
vendor = "manual"
path = "registrar.csv"
"""
_READINGS = "observed_at_utc,balance_amount,unit_code\n2026-09-01,120.50,EUR\n2026-10-05T08:00:00Z,99.999999999,EUR\n"
# Faults by the day and hour of the run: name, account, path, parameters.
_FAULTS = {
    (1, 0): [("status", "vpsbg-main", "/balance", {"code": 500}), ("html", "voxpria-campaign", "", {})],
    (1, 6): [("echo_key", "vpsbg-main", "/balance", {})],
    (2, 0): [
        ("money_null", "deepvue-main", "", {}),
        ("money_ten_decimals", "vpsbg-agency", "/balance/transactions", {}),
    ],
    (3, 0): [("unknown_field", "voxpria-main", "", {}), ("truncated", "hyperstack-main", "", {})],
    (4, 6): [("rate_limited", "deepvue-main", "", {"retry_after": "3600"})],
}


def archive(word: str = "") -> Path:
    """Path of this version's landing, by the first two numbers of the version and its new kind of entries."""
    name = "-".join(["landing", ".".join(__version__.split(".")[:2]), *([word] if word else [])])
    return HERE / f"{name}.tar.xz"


def freeze(target: Path) -> None:
    """Run five days against the sandbox, and pack the landing: its hundreds of small files are alike."""
    with tempfile.TemporaryDirectory() as folder, sandboxes.start(seed=5, days=45, now=FIRST) as world:
        registrar = Path(folder) / "registrar.csv"
        registrar.write_text(_READINGS)
        bench = Bench(Path(folder), world.accounts_toml() + _REGISTRAR, world.keys)
        # A few months of rates instead of eleven years: a fixture need not have more.
        with patch.object(rates, "FIRST_DAY", date(2026, 6, 1)):
            for day in range(5):
                _run_day(bench, world, day, FIRST + timedelta(days=day))
        _backtest(bench, FIRST + timedelta(days=4, hours=1))
        compact(bench.home.landing, (FIRST + timedelta(days=1)).date())
        if leaks := bench.leaks():
            raise RuntimeError(f"keys stand in {leaks}")
        with tarfile.open(target, "x:xz") as packed:
            packed.add(bench.home.landing, "landing")


def _run_day(bench: Bench, world: sandboxes.Sandbox, day: int, at: datetime) -> None:
    if day == 3:
        text = bench.accounts_toml.replace('vendor = "deepvue"', 'vendor = "deepvue"\nteam = "research"')
        bench.accounts.write_text(text.replace('"0.10"', '"0.12"'))
        (bench.folder / "registrar.csv").write_text(_READINGS + "2026-10-31T12:00:00Z,80.25,EUR\n")
        taken = Acknowledgement(account_id="voxpria-campaign", rule="runway", by="operator", at=at, note="it may end")
        land(bench.home, Clock(at), str(uuid4()), taken)
    for hour in (0, 6):
        world.move_clock(at + timedelta(hours=hour))
        for fault, account, path, params in _FAULTS.get((day, hour), []):
            world.put_fault(fault, account=account, path=path, **params)
        problems = bench.run(at + timedelta(hours=hour)).problems
        world.clear_faults()
        print(f"{at + timedelta(hours=hour):%Y-%m-%d %H:%M}: {len(problems)} problems", *problems, sep="\n  ")


def _backtest(bench: Bench, at: datetime) -> None:
    from pipeline.cli.backtesting import compare, read_history
    from pipeline.forecasts.backtest_tables import land_backtest

    land_backtest(bench.home, Clock(at), "backtest", compare(read_history(bench.home, [])))


def main(arguments: list[str]) -> int:
    """Freeze this version's landing if there is none; returns 1 if there is one."""
    target = archive(*arguments[:1])
    if target.exists():
        print(f"{target} is frozen; it is never made again", file=sys.stderr)
        return 1
    freeze(target)
    print(f"now: python -m tests.replay.expect 'the first expectation of {target.name}'")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
