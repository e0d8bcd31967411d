"""Landing made by hand, and warehouses that open fast: the starting point of tests of several layers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from itertools import count, permutations
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import duckdb

from pipeline.landing.store import OWN, RUNS, Fetch, LandingWriter
from pipeline.models.discovery import in_order
from pipeline.models.lineage import record_lineage
from pipeline.models.recompute import recompute
from pipeline.settings import load as load_settings
from pipeline.staging.load import LoadReport, load
from pipeline.support.home import Home
from pipeline.vendors import discover
from pipeline.warehouse.writer import Warehouse

NOW = datetime(2026, 3, 18, 12, tzinfo=UTC)

Rows = dict[str, list[tuple[Any, ...]]]


@dataclass
class Landing:
    """Writes answers into a landing folder, one file each; ids rise from call to call unless they are given."""

    folder: Path
    ids: Iterable[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self._ids = iter(self.ids)

    def answer(
        self,
        vendor: str,
        endpoint: str,
        body: object,
        *,
        account_id: str = "main",
        at: datetime = NOW,
        outcome: str = "ok",
        run_id: str | None = None,
        fetch_id: str | None = None,
        days: tuple[date | None, date | None] = (None, None),
        page_number: int = 1,
        is_complete: bool = True,
    ) -> str:
        """Land one answer and return its fetch id. `body` is bytes or text unchanged, anything else as JSON."""
        fetch = self.fetch(
            vendor, endpoint, body, account_id=account_id, at=at, outcome=outcome, run_id=run_id, fetch_id=fetch_id,
            days=days, page_number=page_number, is_complete=is_complete,
        )  # fmt: skip
        write([fetch], self.folder)
        return fetch.fetch_id

    def fetch(
        self,
        vendor: str,
        endpoint: str,
        body: object,
        *,
        account_id: str = "main",
        at: datetime = NOW,
        outcome: str = "ok",
        run_id: str | None = None,
        fetch_id: str | None = None,
        days: tuple[date | None, date | None] = (None, None),
        page_number: int = 1,
        is_complete: bool = True,
        resume_json: str | None = None,
    ) -> Fetch:
        """The same, without writing it."""
        fetch_id = fetch_id or f"{next(self._ids):016x}"
        if isinstance(body, str):
            body = body.encode()
        return Fetch(
            fetch_id=fetch_id,
            run_id=run_id or f"run-{fetch_id}",
            vendor=vendor,
            account_id=account_id,
            endpoint=endpoint,
            request_url="https://vendor.example/",
            window_from_date=days[0],
            window_to_date=days[1],
            page_number=page_number,
            is_complete=is_complete and outcome == "ok",
            started_at_utc=at,
            fetched_at_utc=at,
            status_code=200 if outcome == "ok" else 503,
            outcome=outcome,
            reason=None if outcome == "ok" else "it did not answer",
            attempt_count=1,
            elapsed_seconds=0.1,
            content_type="application/json",
            body=body if isinstance(body, bytes) else json.dumps(body).encode(),
            is_redacted=False,
            resume_json=resume_json,
        )

    def run(
        self,
        accounts: Mapping[str, Mapping[str, Any]],
        *,
        at: datetime = NOW,
        reporting_currency: str = "EUR",
        oldest_days: int = 45,
        fetch_id: str | None = None,
    ) -> str:
        """Land a run with these accounts' settings; missing settings are as accounts.toml's defaults."""
        record = run_record(accounts, reporting_currency) | {"fx_oldest_days": oldest_days}
        return self.answer(OWN, RUNS, record, account_id="*", at=at, fetch_id=fetch_id)


def run_record(accounts: Mapping[str, Mapping[str, Any]], reporting_currency: str = "EUR") -> dict[str, Any]:
    """Run record of settings; missing settings of an account are as accounts.toml's defaults."""
    blank = _blank()
    settings = {
        account_id: blank["accounts"][given.get("vendor", "vpsbg")] | given for account_id, given in accounts.items()
    }
    return blank | {"reporting_currency": reporting_currency, "accounts": settings}


@cache
def _blank() -> dict[str, Any]:
    """Record of an accounts.toml with the minimum settings of each vendor's account, by vendor's name."""
    lines = []
    for name, vendor in discover().items():
        lines += [f"[accounts.{name}]", f'vendor = "{name}"', *(f'{key} = "A_KEY"' for key in vendor.secret_settings)]
        lines += [f'{key} = "part"' for key in vendor.placeholders]
        lines += ['path = "readings.csv"'] if vendor.base_url is None else []
    with NamedTemporaryFile("w", suffix=".toml") as file:
        file.write("\n".join(lines))
        file.flush()
        return load_settings(Path(file.name)).to_record()


def write(fetches: Iterable[Fetch], landing: Path) -> list[Path]:
    """Land fetches as runs do: one file for each endpoint and run, in the folder of the run's day."""
    writers: dict[tuple[str, str, str, date], LandingWriter] = {}
    for fetch in fetches:
        key = (fetch.vendor, fetch.endpoint, fetch.run_id, fetch.fetched_at_utc.date())
        writer = writers.setdefault(key, LandingWriter(landing, fetch.vendor, fetch.endpoint, key[3]))
        writer.add(fetch)
    return [path for writer in writers.values() if (path := writer.close())]


class Workshop:
    """A state folder whose landing is made by hand and whose warehouse is a copy of an empty one."""

    def __init__(self, path: Path, template: Path) -> None:
        self.home = Home(path)
        self.path = path
        self.landing = Landing(self.home.landing)
        self._template = template
        self._warehouse: Warehouse | None = None

    @property
    def warehouse(self) -> Warehouse:
        """The open warehouse."""
        if self._warehouse is None:
            self.path.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._template, self.home.warehouse)
            self._warehouse = Warehouse(self.home)
        return self._warehouse

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The warehouse's connection."""
        return self.warehouse.connection

    def load(self) -> LoadReport:
        """Load what landing has and the warehouse lacks."""
        with self.warehouse.transaction() as connection:
            report = load(connection, self.home.landing)
            record_lineage(connection)
            return report

    def recompute(self, *layers: str) -> None:
        """Recompute the models of these layers, each in its own transaction, as the assets do."""
        for model in in_order():
            if model.table.layer in layers:
                with self.warehouse.transaction() as connection:
                    recompute(connection, model)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """A query's rows."""
        return self.connection.sql(query).fetchall()

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        if self._warehouse is not None:
            self._warehouse.close()
            self._warehouse = None
        shutil.rmtree(self.path, ignore_errors=True)


NewWorkshop = Callable[[], Workshop]

_CHANGING = {"loaded_at_utc"}
_ABOUT_FILES = {
    f"staging.{name}" for name in ("landing_folders", "layout", "dirty_months", "published_build", "unpublished_months")
}


def contents(connection: duckdb.DuckDBPyConnection, *schemas: str) -> Rows:
    """Every row of every table of these schemas, sorted; without load times and bookkeeping about files."""
    columns: dict[str, list[str]] = {}
    for schema, name, column in connection.execute(
        "SELECT schema_name, table_name, column_name FROM duckdb_columns() "
        "WHERE schema_name IN (SELECT unnest(?)) AND table_name IN (SELECT table_name FROM duckdb_tables()) "
        "ORDER BY schema_name, table_name, column_index",
        [list(schemas)],
    ).fetchall():
        if f"{schema}.{name}" not in _ABOUT_FILES and column not in _CHANGING:
            columns.setdefault(f"{schema}.{name}", []).append(column)
    return {
        table: connection.sql(f"SELECT {', '.join(names)} FROM {table} ORDER BY ALL").fetchall()
        for table, names in columns.items()
    }


def rates_in_any_order(
    new_workshop: NewWorkshop, land: Callable[[Workshop, int], object], files: int
) -> list[tuple[Any, ...]]:
    """Day, currency and rate of core.fx_rates, after files are landed and loaded one by one in any order.

    `land` is called with the number of a file, from 0. Asserts that every order gives the same rows.
    """
    seen = []
    for order in permutations(range(files)):
        with new_workshop() as workshop:
            for number in order:
                land(workshop, number)
                workshop.load()
                workshop.recompute("core")
            seen.append(contents(workshop.connection, "core")["core.fx_rates"])
            stated = workshop.rows(
                "SELECT rate_date, unit_code, CAST(eur_rate AS VARCHAR) FROM core.fx_rates ORDER BY ALL"
            )
    assert all(rows == seen[0] for rows in seen)
    return stated
