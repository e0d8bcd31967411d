"""Results of all shards, added up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline.models.checks import Warned
from pipeline.models.quarantine import Findings
from pipeline.models.table_state import TableState
from pipeline.staging.accounting import Recount
from pipeline.staging.load import LoadReport
from pipeline.staging.readable import Found
from pipeline.staging.refresh_staging import StagingResult
from pipeline.warehouse.model_refresh import Refreshed


def merged_staging(found: Sequence[StagingResult]) -> StagingResult:
    """The update of staging in all shards. Raises ValueError without any."""
    first, *others = found
    report = replace(first.report, accepted_by_table=dict(first.report.accepted_by_table))
    recounts = {name: replace(each, broken=list(each.broken)) for name, each in first.recounts.items()}
    readable = {
        name: Found(list(each.errors), list(each.warnings), list(each.accounts)) for name, each in first.found.items()
    }
    for other in others:
        _add_report(report, other.report)
        for name, recount in other.recounts.items():
            _add_recount(recounts[name], recount)
        for name, unreadable in other.found.items():
            readable[name].errors += unreadable.errors
            readable[name].warnings += unreadable.warnings
            readable[name].accounts += unreadable.accounts
    return StagingResult(report=report, recounts=recounts, found=readable)


def _add_report(report: LoadReport, other: LoadReport) -> None:
    for name in ("fetches", "failed_fetches", "received", "accepted", "rejected", "future_fetches"):
        setattr(report, name, getattr(report, name) + getattr(other, name))
    report.is_reloaded |= other.is_reloaded
    for table, rows in other.accepted_by_table.items():
        report.accepted_by_table[table] = report.accepted_by_table.get(table, 0) + rows


def _add_recount(recount: Recount, other: Recount) -> None:
    recount.answers_not_accounted_for += other.answers_not_accounted_for
    recount.duplicate_keys += other.duplicate_keys
    recount.rows_without_a_load += other.rows_without_a_load
    recount.broken += other.broken


def merged_model(found: Sequence[Refreshed]) -> Refreshed:
    """The update of a model's table in all shards. Raises ValueError without any."""
    first, *_ = found
    return Refreshed(
        rows=sum(each.rows for each in found),
        broken=sorted({broken for each in found for broken in each.broken}),
        kept=sum(each.kept for each in found),
        duplicate_keys=sum(each.duplicate_keys for each in found),
        findings={
            name: Findings(
                [broken for each in found for broken in each.findings[name].accounts],
                list(dict.fromkeys(rule for each in found for rule in each.findings[name].rules)),
            )
            for name in first.findings
        },
        warned=_warned(each.warned for each in found),
        dirty_month_count=max(each.dirty_month_count for each in found),
    )


def merged_state(found: Sequence[TableState]) -> TableState:
    """What the checks of a table found in all shards."""
    return TableState(
        duplicate_keys=sum(each.duplicate_keys for each in found), warned=_warned(each.warned for each in found)
    )


def _warned(found: Iterable[Warned]) -> Warned:
    """Warnings of all shards, by account as a whole table has them."""
    merged: Warned = {}
    for each in found:
        for name, rows in each.items():
            merged.setdefault(name, []).extend(rows)
    return {name: sorted(rows, key=lambda row: (row[0] or "", row[1])) for name, rows in merged.items()}
