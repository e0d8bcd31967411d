"""Checks of what surrounds a refresh, for `drawdown doctor`: its schedule, PostgreSQL, and the recipients of alerts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pipeline.cli.machine_checks import CheckResult
from pipeline.settings import Settings
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.support.last_run import LATE_AFTER, read_last_run
from pipeline.support.secret import Secret, read_secret
from pipeline.support.wording import duration, instant
from pipeline.warehouse.reader import reading

REFRESHES: Final = "refreshes"
DELIVERY: Final = "alerts"
_POSTGRES: Final = "publish.postgres"


def last_refresh(settings: Settings, home: Home, now: datetime | None = None) -> CheckResult:
    """When the last refresh published a build, and whether the schedule should have made a newer one by now.

    With Dagster's hourly schedules a refresh is late after LATE_AFTER; with any other schedule, from the age on
    at which the first of the accounts' readings is stale.
    """
    now = now or datetime.now(UTC)
    ended = read_last_run(home)
    if not home.current.exists():
        if ended is not None and not ended.is_ok:
            return CheckResult("fail", REFRESHES, f"none has published a build yet; {_failure(ended.problems)}")
        return CheckResult("ok", REFRESHES, "none yet; `drawdown run` is the first")
    try:
        with reading(home.current) as connection:
            [(value,)] = connection.execute("SELECT value FROM marts.build_info WHERE item = 'as_of_utc'").fetchall()
    except DrawdownError as problem:
        return CheckResult("fail", REFRESHES, str(problem))
    as_of = datetime.fromisoformat(value)
    words = f"the last good one is of {instant(as_of)}, {duration((now - as_of).total_seconds())} ago"
    if ended is not None and not ended.is_ok:
        since = f", and runs fail since {instant(ended.failed_since_utc)}" if ended.failed_since_utc else ""
        return CheckResult("warn", REFRESHES, f"{words}{since}: {_failure(ended.problems)}")
    limit, why = _limit(settings, home)
    if now - as_of <= limit:
        return CheckResult("ok", REFRESHES, words)
    return CheckResult("warn", REFRESHES, f"{words}, and {why}: check that the schedule runs")


def _failure(problems: tuple[str, ...]) -> str:
    return f"the last run failed: {problems[0]}" if problems else "the last run failed"


def _limit(settings: Settings, home: Home) -> tuple[timedelta, str]:
    """Age from which a refresh is late, and the reason."""
    if os.environ.get("DAGSTER_HOME") or (home.dagster / "dagster.yaml").exists():
        return LATE_AFTER, f"one of Dagster's hourly schedules is late after {duration(LATE_AFTER.total_seconds())}"
    accounts = settings.accounts.values()
    limit = min((each.vendor.stale_after for each in accounts), default=LATE_AFTER)
    return limit, f"readings are stale after {duration(limit.total_seconds())}"


def postgres_servers(settings: Settings, home: Home) -> Iterator[CheckResult]:
    """Connect to each PostgreSQL that is configured: that of published tables, and that of Dagster's own records."""
    from pipeline.published.postgres import reach_postgres

    target = settings.postgres
    if target is not None:
        try:
            yield CheckResult("ok", _POSTGRES, f"{reach_postgres(target.dsn(), target.failure)} can be reached")
        except DrawdownError as problem:
            yield CheckResult("fail", _POSTGRES, str(problem))
    file = Path(os.environ.get("DAGSTER_HOME") or home.dagster) / "dagster.yaml"
    if file.is_file():
        try:
            dsn = _dagster_dsn(file)
            if dsn is not None:
                about = f"{file}: storage.postgres: {dsn.name}"
                found = reach_postgres(dsn, lambda words: DrawdownError(f"{about}: {words}"))
                yield CheckResult("ok", "dagster.yaml", f"{found} can be reached, for Dagster's records")
        except DrawdownError as problem:
            yield CheckResult("fail", "dagster.yaml", str(problem))


def _dagster_dsn(file: Path) -> Secret | None:
    """Connection string of Dagster's storage; None if that is not PostgreSQL.

    Raises DrawdownError if the file cannot be read, or names a variable that is not set.
    """
    import yaml

    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise DrawdownError(f"{file}: cannot be read: {type(problem).__name__}") from None
    storage = given.get("storage") if isinstance(given, dict) else None
    settings = storage.get("postgres") if isinstance(storage, dict) else None
    if not isinstance(settings, dict):
        return None
    if "postgres_url" in settings:
        url = _value(settings["postgres_url"], "postgres_url", file)
        # SQLAlchemy's name of the driver, which PostgreSQL itself does not know.
        return Secret(url.reveal().replace("postgresql+psycopg2://", "postgresql://", 1), name=url.name)
    parts = settings.get("postgres_db")
    if not isinstance(parts, dict):
        return None
    names = ("username", "password", "hostname", "db_name")
    found = {name: _value(parts[name], name, file) for name in names if name in parts}
    port = _value(parts["port"], "port", file).reveal() if "port" in parts else "5432"
    user, password, host, database = (quote(found[name].reveal(), "") if name in found else "" for name in names)
    variable = found["password"].name if "password" in found else "postgres_db"
    return Secret(f"postgresql://{user}:{password}@{host}:{port}/{database}", name=variable)


def _value(given: Any, key: str, file: Path) -> Secret:
    """A value of dagster.yaml: a text, or the environment variable that has it."""
    where = f"{file}: storage.postgres: {key}"
    if isinstance(given, dict):
        return read_secret(str(given.get("env")), where)
    try:
        return Secret(str(given), name=key)
    except ValueError:
        raise DrawdownError(f"{where}: is no usable text; its value is not shown") from None


def deliveries(settings: Settings) -> Iterator[CheckResult]:
    """Send a test message to every recipient of alerts."""
    from pipeline.cli.alerting import send_tests

    sent = send_tests(settings)
    if not sent:
        yield CheckResult("warn", DELIVERY, f"{settings.source}: no recipient is configured: set notify_url_env")
    for state, variable, finding in sent:
        yield CheckResult(state, variable, finding)
