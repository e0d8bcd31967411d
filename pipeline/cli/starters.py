"""Starter files: accounts.toml and dagster.yaml."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.settings import accounts_path
from pipeline.support.errors import UsageError
from pipeline.support.home import Home, private_folder
from pipeline.vendors import discover
from pipeline.vendors._port import Vendor

ACCOUNTS_TOML = """\
# The accounts that Drawdown watches. Never write secrets here: each account names the environment variable that
# holds its key. `drawdown doctor` tries every account with one request.

reporting_currency = "EUR"           # currency of fleet totals, converted by ECB reference rates
# notify_url_env = "DRAWDOWN_NOTIFY_URL"   # NAME of the variable with the Apprise URL that alerts are sent to
# heartbeat_url_env = "DRAWDOWN_HEARTBEAT_URL" # NAME of the variable with an address to request after each good run
# publish.postgres = { dsn_env = "DRAWDOWN_POSTGRES_DSN" } # a copy of each build in PostgreSQL; NAME of the variable
# monthly_budget_amount = "2000"     # of all accounts together, in the reporting currency; see also [teams.NAME]
# engine = "spark"                   # tables are computed on the cluster of [spark]
# allow_http_loopback = true         # only for a sandbox on this machine

# [fx]                               # exchange rates; they are requested once a day, without a key
# source = "package"                 # no request: only the rates in the installed package; default "ecb"
# url = "https://rates.example.com/eurofxref" # another folder with the ECB's files, or one such file
# oldest_days = 45                   # a rate of more than 7 days is marked, one of more than this is not used

# [spark]                            # the cluster, if engine = "spark"; see docs/scale.md
# master = "spark://host:7077"       # or remote = "sc://host:15002", a Spark Connect server
# storage = "s3://bucket/drawdown"   # or file:///path, a folder that all machines share
# shards = 64                        # parts that accounts are divided into
# pollers = 8                        # runs that share the requests; default 1: the run that makes the tables
# catalog_env = "DRAWDOWN_CATALOG"   # NAME of the variable with the catalog's database; default: a file
# task_memory_mb = 2048              # memory of a task

# [alerts]                           # which alerts are sent, and when
# lowest_severity = "warning"        # watch, warning or critical; milder alerts are recorded, but not sent
# quiet_hours = "22:00-07:00"        # alerts are held back, and sent as one message afterwards
# timezone = "Europe/Berlin"         # of the quiet hours; default UTC
# critical_waits = true              # quiet hours also hold back critical alerts
# report_url = "https://reports.example.com/"   # where messages say that the report is
# severities = { stale = "critical", anomaly = "warning", drift = "off" }   # by rule
# budget_probability = "0.5"         # a month whose budget is exceeded with this chance is an alert

# [teams.platform]                   # a team, as its accounts name it
# monthly_budget_amount = "800"      # in the reporting currency
# monthly_budgets = [{ from = 2026-06-01, amount = "900" }]   # from a month on

[accounts.vpsbg-main]                # the account's name in every table: small letters, digits, - and _
vendor = "vpsbg"
api_key_env = "VPSBG_API_KEY"        # the variable's NAME
# history_days = 400                 # how far back the first request reaches
# path = "earlier.csv"               # readings from before Drawdown: observed_at_utc,balance_amount,unit_code
# team = "platform"                  # your cost centre
# tags = { product = "shop" }
# monthly_budget_amount = "120"      # in the account's unit; monthly_budget_unit = "EUR" for the reporting currency
# monthly_budgets = [{ from = 2026-06-01, amount = "150" }]   # from a month on
# alert_below_days = 10              # at least a warning with fewer days left
# alert_below_amount = "25.00"       # at least a warning below it; money is quoted to stay exact
# topup_lead_days = 2                # from ordering a top-up to its credit
# topup_minimum_amount = "10.00"
# tax_rate = "0.20"                  # VAT that a top-up costs on top
# notify_url_env = "PLATFORM_NOTIFY_URL"   # additional recipient of this account's alerts
# formerly = ["vpsbg-old"]           # earlier names of the account, whose history it keeps
# planned = [{ from = 2026-12-01, to = 2026-12-14, amount = "120", note = "launch" }] # spend on top of the usual
# ignore_date_header = true          # the vendor's servers permanently state a wrong time
"""

# Purpose of a vendor's setting, for a new user.
_EXAMPLES = {
    "credit_price_amount": ("0.10", "what one credit cost you; without it credits stay credits"),
    "credit_price_currency": ("USD", ""),
    "credit_prices": ('[{ from = 2026-06-01, amount = "0.08", currency = "USD" }]', "what it costs from a day on"),
    "path": ("readings.csv", "observed_at_utc,balance_amount,unit_code; kept by hand"),
    "unit": ("USD", "your account's: the API names no unit; without this it stays unknown"),
}

DAGSTER_YAML = """\
# Written by `drawdown init --dagster`.
telemetry:
  enabled: false

# No newsletter dialog at the first visit.
nux:
  enabled: false

# The daemon evaluates the assets' freshness policies.
freshness:
  enabled: true

# Two refreshes at once would only wait for each other's lock on the warehouse.
concurrency:
  runs:
    max_concurrent_runs: 1

# A run that cannot start or never ends is marked as failed; one whose process died is marked by the sensor lost_runs.
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  max_runtime_seconds: 14400
  poll_interval_seconds: 30

retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 7
      failure: 30
      success: 30
"""


def accounts_toml() -> str:
    """Text of the commented accounts.toml: one account to fill in, and one of each other vendor to uncomment."""
    others = [_commented(vendor) for name, vendor in discover().items() if f'vendor = "{name}"' not in ACCOUNTS_TOML]
    return "\n".join([ACCOUNTS_TOML, *others])


def _commented(vendor: Vendor) -> str:
    settings = [(key, _variable(vendor.name, key), "") for key in vendor.secret_settings]
    settings += [(key, f"your-{key.replace('_', '-')}", f"the {what}") for key, what in vendor.placeholders.items()]
    keys = vendor.settings if vendor.base_url is not None else ("path", *vendor.settings)
    settings += [(key, *_EXAMPLES[key]) for key in keys if key in _EXAMPLES]
    lines = [f"[accounts.{vendor.name}-main]", f'vendor = "{vendor.name}"']
    for key, value, why in settings:
        line = f"{key} = {value}" if value.startswith("[") else f'{key} = "{value}"'
        lines.append(line.ljust(34) + f" # {why}" if why else line)
    return "".join(f"# {line}\n" for line in dict.fromkeys(lines))


def _variable(vendor_name: str, setting: str) -> str:
    return f"{vendor_name}_{setting.removesuffix('_env')}".upper()


def write_accounts() -> Path:
    """Write the commented accounts.toml where settings are read from; UsageError if the file exists."""
    return _write_new(accounts_path(), accounts_toml())


def write_dagster_yaml(home: Home) -> tuple[Path, bool]:
    """Write dagster.yaml into `DAGSTER_HOME`, or else into the state folder's `dagster`; an existing file is kept.

    Returns its path, and whether it is new.
    """
    folder = Path(os.environ.get("DAGSTER_HOME") or home.dagster)
    path = private_folder(folder.absolute()) / "dagster.yaml"
    if path.exists():
        return path, False
    return _write_new(path, DAGSTER_YAML), True


def _write_new(path: Path, text: str) -> Path:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} already exists and is left unchanged; edit it, then try `drawdown doctor`") from None
    except OSError as problem:
        raise UsageError(
            f"{path} cannot be written: {problem.strerror}; make its folder, or name another place"
        ) from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return path
