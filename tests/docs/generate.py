"""Files made from the code: docs/vendors.md, docs/faults.md, docs/dictionary, accounts.example.toml. `make docs`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pipeline.cli.dictionary import pages
from pipeline.cli.starters import accounts_toml
from pipeline.vendors import discover
from pipeline.vendors._port import Endpoint, Once, Pages, Vendor, Window
from tests.docs.pages import CLONE, DICTIONARY, DOCS
from tests.faults.matrix import ROWS, TESTS, marked

_HEAD = """\
# The vendors, and what is assumed about them

Made from the declarations in `pipeline/vendors`; `make docs` writes this page anew, and a test holds it to the code. The clients were written from the vendors' public documentation and tested against a sandbox. No
live account was asked.

An assumption that breaks shows in one of these places:

| what breaks | where it shows |
|---|---|"""

_SIGNS = (
    (
        "an endpoint is elsewhere, refuses the key or does not answer",
        "`marts.data_freshness`: `outcome`, `status_code`, `reason`; the run exits 1, unless the endpoint is optional and "
        "the key has no right to it: then it is said once",
    ),
    (
        "a row lacks a required field, or holds what cannot be read exactly",
        "`staging.rejects`: `column_name`, `check_name`, `redacted_value`",
    ),
    (
        "an answer says of itself that it failed, where the vendor documents a flag for that",
        "`staging.rejects`: `is_success` and the vendor's words; nothing of it is read, and the run exits 1",
    ),
    (
        "an amount is further from zero than a quadrillion (10^15)",
        "`staging.rejects`: `is_plausible_amount`",
    ),
    (
        "rows of one answer have one key and say different things",
        "`staging.rejects`: `is_unique`, all of them; `has_all_parts` where they would add up and one cannot be read",
    ),
    (
        "a field that a row can do without cannot be read",
        "`staging.schema_drift`: `unreadable_field`; it is NULL, the row is kept",
    ),
    (
        "an answer makes reading it fail in a way that nobody foresaw",
        "`staging.rejects`: `answer_is_readable` and the kind of failure; other answers are read, and the run exits 1",
    ),
    (
        "a field is new, gone or renamed",
        "`staging.schema_drift`: `unknown_field`, `missing_field`, `renamed_field`",
    ),
    (
        "the amount is unreadable in every row",
        "`staging.schema_drift`: `unreadable_in_every_row`; the whole answer is refused",
    ),
    (
        "an amount had more than nine decimals, where the vendor's amounts are floats",
        "`staging.schema_drift`: `rounded_amount`, which is no change of shape and raises no alert",
    ),
    (
        "ledger amounts are signed otherwise than thought",
        "`core.ledger_conventions`: `sign_convention`, `proof`",
    ),
)

_TAIL = (
    "\nA failed or refused answer never becomes a number: the account shows the last good balance as `stale`, or "
    "`unknown`.\n"
)


def vendors_page() -> str:
    """docs/vendors.md."""
    signs = [f"| {breaks} | {shows} |" for breaks, shows in _SIGNS]
    return "\n".join([_HEAD, *signs, _TAIL, *("\n".join(_vendor(vendor)) for vendor in discover().values())])


def _vendor(vendor: Vendor) -> Iterator[str]:
    yield f"## {vendor.title} (`{vendor.name}`)\n"
    yield " ".join(_facts(vendor)) + "\n"
    yield "| endpoint | what it tells | asked as | becomes | refreshed | where the key may not |"
    yield "|---|---|---|---|---|---|"
    for endpoint in vendor.endpoints:
        kinds = ", ".join(f"`{kind}`" for kind in dict.fromkeys(records.kind for records in endpoint.records))
        cells = (f"`{endpoint.name}`", endpoint.doc, _asked(endpoint), kinds, endpoint.refresh, _refused(endpoint))
        yield f"| {' | '.join(map(_cell, cells))} |"
    yield "\n| | assumed, and how it shows when it breaks |"
    yield "|---|---|"
    for number, assumption in enumerate(vendor.assumptions, 1):
        yield f"| {vendor.name} {number} | {_cell(assumption)} |"
    yield ""


def _facts(vendor: Vendor) -> Iterator[str]:
    if vendor.base_url is None:
        yield "A file on this machine, which the account's `path` names; nothing is asked over the network."
    else:
        yield f"Address: `{vendor.base_url}`."
        headers = " and ".join(f"`{header.name}: {header.prefix}…` from `{header.setting}`" for header in vendor.auth)
        yield f"Key: {headers}."
        limit = vendor.rate_limit
        yield f"Limit kept: {limit.requests:,} requests in {limit.per_seconds:,.0f} s for each {limit.scope}."
    yield f"Unit: {f'`{vendor.unit_code}`' if vendor.unit_code else _unit_of(vendor)}."
    if vendor.tax_basis != "unknown":
        yield f"Amounts are {vendor.tax_basis} of tax."
    hours = vendor.stale_after.total_seconds() / 3600
    yield f"A reading is stale after {f'{hours / 24:.0f} days' if hours > 48 else f'{hours:.0f} hours'}."
    if vendor.settings:
        yield f"Settings of its own: {', '.join(f'`{key}`' for key in vendor.settings)}."


def _unit_of(vendor: Vendor) -> str:
    return "yours to say (`unit`), else `unknown`" if "unit" in vendor.settings else "as the answers say"


def _asked(endpoint: Endpoint) -> str:
    match endpoint.listing:
        case Once():
            return "whole"
        case Pages(newest_first_by=None):
            return "page by page, always all of them"
        case Pages(look_back_days=days):
            return f"page by page, {days} days back once its order is known"
        case Window() as window:
            each = "a day a request" if window.chunk_days == 1 else f"{window.chunk_days} days a request"
            daily = f", once a day the last {window.daily_look_back_days}" if window.daily_look_back_days else ""
            first = f", at first {window.history_days} at most" if window.history_days else ""
            return f"by day, {each}, the last {window.look_back_days} days again{daily}{first}"


def _refused(endpoint: Endpoint) -> str:
    if not endpoint.is_optional:
        return "fails"
    return "goes on without, until it has answered once" if endpoint.is_extra else "403, 404: goes on without"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


_FAULTS_HEAD = """\
# The faults that it survives

What goes wrong between a vendor, this machine and its disk, and what holds all the same. Each row is tested over real
sockets, files and processes. Nothing that is tested is replaced; row 32 alone chooses the instant of its kill from within.

```console
$ python -m pytest -m faults
```

ends with each row and whether it held. A row held when its tests ran and passed, none was skipped, and what they left
behind was looked through (`tests/faults/aftermath.py`): the warehouse opens and nobody holds its lock; no answer is
stored in part; received = accepted + rejected; what readers open is whole; and no key stands in a table, a landed body, a
published file, a log or Dagster's records.

A row's test carries `@pytest.mark.faults(row)`, wherever it stands. Row 33 fills a small disk of its own; where none can
be mounted (`mount -t tmpfs`), the kernel limits how long its files may get. `DRAWDOWN_TEST_KILLS` says how many times row
31 kills: 50 with `-m faults`, else 3. `make docs` writes this page anew from `tests/faults/matrix.py`.

| row | fault | what holds | tested in |
|---|---|---|---|"""


def faults_page() -> str:
    """docs/faults.md."""
    files: dict[int, dict[str, None]] = {row: {} for row in ROWS}
    for row, path, _ in marked():
        files[row][str(path.relative_to(TESTS))] = None
    lines = [
        f"| {row} | {_cell(fault)} | {_cell(holds)} | {', '.join(f'[{each}](../tests/{each})' for each in files[row])} |"
        for row, (fault, holds) in ROWS.items()
    ]
    return "\n".join([_FAULTS_HEAD, *lines, ""])


GENERATED: dict[Path, Callable[[], str]] = {
    DOCS / "vendors.md": vendors_page,
    DOCS / "faults.md": faults_page,
    CLONE / "accounts.example.toml": accounts_toml,
    **{DICTIONARY / name: partial(str, text) for name, text in pages().items()},
}
"""Each file, and what makes its text."""

if __name__ == "__main__":
    DICTIONARY.mkdir(exist_ok=True)
    for stale in set(DICTIONARY.glob("*.md")) - GENERATED.keys():
        stale.unlink()
    for path, make in GENERATED.items():
        path.write_text(make(), encoding="utf-8")
