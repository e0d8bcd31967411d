"""What `drawdown explain` says about the balance: its newest reading, its intervals, and what looks wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.cli.explain import COMPONENTS, Row, Section
from pipeline.cli.explain_words import INDENT, at, cut, money, span
from pipeline.cli.terminal import aligned, indented
from pipeline.schema.limits import SUMMARY_DAYS
from pipeline.schema.unexplained_classes import MEANINGS
from pipeline.support.wording import count, duration, exact_amounts

_COMPONENT_WORDS: Final = {
    "top_up": "top-ups",
    "refund": "refunds",
    "renewal": "renewals",
    "adjustment": "adjustments",
    "quota_reset": "quota resets",
}
_EVIDENCE: Final = {
    "ledger": "the vendor's ledger shows what moved it",
    "usage": "the vendor's daily usage shows what moved it",
    "balance": "only balances are known: a fall counts as usage, a rise as a top-up, and both are lower bounds",
}
_KINDS: Final = {
    "spike": "a day far above what was forecast",
    "step": "a new level of spend",
    "stop": "spend has stopped",
    "restatement": "days whose figures the vendor changed",
    "unit_changed": "the unit of the balance changed",
    "convention_changed": "the sign convention of the ledger changed",
}
_MOST_ENTRIES: Final = 4


def reading_lines(found: Section, width: int) -> Iterator[str]:
    """Yield the newest reading, and how the newest request to each endpoint ended."""
    row, status = found["reading"]["row"], found["status"]["row"]
    if row is None:
        yield indented("Its balance has not been read yet.", width)
    else:
        age = duration((found["read_at_utc"] - row["observed_at_utc"]).total_seconds())
        # Balances of a manual account have no vendor that states them.
        how = "as entered for" if status["vendor"] == "manual" else f"as {found['provider']} stated it at"
        yield indented(
            f"{money(row, 'balance_amount')}, {how} {at(row['observed_at_utc'])} UTC, {age} ago. The "
            f"reading is {status['reading_state']}.",
            width,
        )
        for name, words in (
            ("unconfirmed_amount", "Deposits not credited yet, not included"),
            ("threshold_amount", "The vendor's own threshold"),
            ("limit_amount", "Credit limit"),
            ("quota_amount", "Full size of the quota"),
        ):
            if row[name]:
                yield indented(f"{words}: {money(row, name)}.", width)
        if row["resets_at_utc"] is not None:
            yield indented(f"The vendor states its next reset for {at(row['resets_at_utc'])} UTC.", width)
    for each in found["reading"]["endpoints"]:
        if each["outcome"] != "ok":
            yield indented(
                f"The newest request to {each['endpoint']}, at {at(each['last_attempt_at_utc'])} UTC, ended in "
                f"{each['outcome']}: {each['reason'] or 'no reason was given'}",
                width,
            )
    fine = [each["endpoint"] for each in found["reading"]["endpoints"] if each["outcome"] == "ok"]
    if fine:
        yield indented(f"Endpoints that answered the newest request: {', '.join(fine)}.", width)


def _bridge(row: Row, notes: dict[str, str], width: int) -> Iterator[str]:
    """Yield the opening balance, the components that are not zero, and the closing balance, their exact sum."""
    parts = [("opening", row["opening_amount"], "")]
    parts += [
        (_COMPONENT_WORDS.get(each, each), row[f"{each}_amount"], notes.get(each, ""))
        for each in COMPONENTS
        if row[f"{each}_amount"]
    ]
    parts.append(("closing", row["closing_amount"], ""))
    shown = exact_amounts([value for _, value, _ in parts])
    texts = [(name, text, row["unit_code"]) for (name, _, _), text in zip(parts, shown, strict=True)]
    for line, (_, _, note) in zip(aligned(texts, (False, True, False)), parts, strict=True):
        yield f"{INDENT}{line}"
        if note:
            yield indented(indented(note, width - 2), width)


def interval_lines(section: Section, width: int) -> Iterator[str]:
    """Yield what moved the balance in one interval, and the evidence for it."""
    row = section["row"]
    by_kind: dict[str, list[str]] = {}
    for entry in section["entries"]:
        words = f"{entry['entry_id']} of {at(entry['effective_at_utc'])}, {money(entry, 'entry_amount')}"
        words += f" ({cut(entry['description'], 40)})" if entry["description"] else ""
        kind = "pending" if entry["entry_status"] == "pending" else entry["entry_kind"]
        by_kind.setdefault("adjustment" if kind == "other" else kind, []).append(words)
    notes = {kind: _several(words) for kind, words in by_kind.items()}
    if row["unexplained_class"]:
        notes["unexplained"] = _class(row["unexplained_class"])
    if row["inferred_top_up_amount"]:
        notes["top_up"] = f"{money(row, 'inferred_top_up_amount')} of it is inferred from a rise of the balance"
    yield from _bridge(row, notes, width)
    if not any(row[f"{each}_amount"] for each in COMPONENTS):
        yield indented("The balance did not move.", width)
    elif not row["unexplained_amount"]:
        yield indented(f"All of it is explained; {_EVIDENCE[row['evidence_level']]}.", width)
    else:
        yield indented(f"Evidence: {_EVIDENCE[row['evidence_level']]}.", width)


def _class(name: str) -> str:
    return f"{name}: {MEANINGS[name]}"


def _several(words: list[str]) -> str:
    more = f"; and {len(words) - _MOST_ENTRIES} more" if len(words) > _MOST_ENTRIES else ""
    return "; ".join(words[:_MOST_ENTRIES]) + more


def last_days_lines(section: Section, width: int) -> Iterator[str]:
    """Yield what moved the balance in the last days, and the largest items of spend."""
    for row in (section["row"], *section["other_units"]):
        yield from _bridge(row, {}, width)
        between = f"{at(row['opened_at_utc'])} to {at(row['closed_at_utc'])} UTC"
        inferred = ""
        if row["inferred_top_up_amount"]:
            inferred = f" Inferred from rises of the balance: {money(row, 'inferred_top_up_amount')} of the top-ups."
        yield indented(f"{count(row['interval_count'], 'interval')}, {between}.{inferred}", width)
    if section["spent_on"]:
        yield indented(f"The largest {len(section['spent_on'])} of {section['spent_on_count']}:", width)
        rows = [
            (
                cut(row["what"], width - 50),
                text,
                row["unit_code"],
                row["kind"].replace("_", " ") + (f", {row['row_count']} times" if row["row_count"] > 1 else ""),
            )
            for row, text in zip(
                section["spent_on"], exact_amounts([row["spend_amount"] for row in section["spent_on"]]), strict=True
            )
        ]
        for line in aligned(rows, (False, True, False, False)):
            yield f"{INDENT * 2}{line}"
    if section["resource_days"]:
        yield indented(f"Spend by resource is known for {count(section['resource_days'], 'day')} of these.", width)


def finding_lines(odd: Section, width: int) -> Iterator[str]:
    """Yield what looks wrong: anomalies, unexplained amounts, failing endpoints, rejected rows, schema drift."""
    lines = []
    for row in odd["anomalies"]:
        kind = _KINDS.get(row["anomaly_kind"], row["anomaly_kind"])
        lines.append(f"{span(row['first_date'], row['last_date'])}: {kind}. {row['reason']}")
    for row in odd["unexplained"]:
        lines.append(
            f"{money(row, 'unexplained_amount')} unexplained in {count(row['interval_count'], 'interval')} of "
            f"{SUMMARY_DAYS} days, last at {at(row['closed_at_utc'])} UTC ({_class(row['unexplained_class'])})."
        )
    for row in odd["failing_endpoints"]:
        lines.append(f"{row['endpoint']} does not answer: {row['outcome']}.")
    for row in odd["rejects"]:
        lines.append(
            f"{row['endpoint']}: {count(row['row_count'], 'row')} rejected, {row['column_name']} failed "
            f"{row['check_name']}, last {row['redacted_value'] or 'nothing'!r} at {at(row['observed_at_utc'])} UTC."
        )
    for row in odd["schema_drift"]:
        lines.append(
            f"{row['endpoint']}: {row['column_name']}: {row['check_name']} "
            f"({row['redacted_value'] or 'nothing there'}), first on {row['first_observed_at_utc']:%Y-%m-%d}."
        )
    for line in lines or ["Nothing: no anomaly, nothing unexplained, no row rejected, no schema drift."]:
        yield indented(line, width)
