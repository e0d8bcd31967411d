"""What `drawdown explain` prints: an account in plain words, each number with what it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Final

from pipeline.cli.explain import COMPONENTS, Row, Section
from pipeline.cli.terminal import SEVERITY_STYLES, aligned, console, indented
from pipeline.schema.limits import HORIZON_DAYS
from pipeline.support.wording import amount, count, duration, exact_amount, exact_amounts, exact_percent, percent

_WIDEST: Final = 100
"""Beyond this the eye loses the line."""
_INDENT: Final = "  "
_COMPONENT_WORDS: Final = {"top_up": "top-ups", "refund": "refunds", "renewal": "renewals", "adjustment": "adjustments"}
_EVIDENCE: Final = {
    "ledger": "the vendor's ledger shows what moved it",
    "usage": "the vendor's daily usage shows what moved it",
    "balance": "only balances are known: a fall is usage, a rise is a top-up, and both are lower bounds",
}
_CLASSES: Final = {
    "missing_entry": "an entry seems to be missing",
    "amount_mismatch": "there is an entry, but the balance moved by a different amount",
    "duplicate_entry": "an entry seems to be duplicated",
    "tax": "it is the tax of an entry",
    "unit_price": "usage was billed at a different price than stated",
    "pending_deposit": "it is what unconfirmed deposits changed by",
    "restated": "the vendor restated its figures",
    "boundary": "it was booked in one interval and moved the balance in the next",
    "rounding": "it is smaller than the last digit that the vendor states",
    "unit_change": "the balance was held in another unit in between",
    "unknown": "no known cause fits",
}
_METHODS: Final = {
    "none": "there is no history to forecast from",
    "mean_28d": "the balance divided by the mean spend of 28 days, because there is no forecast",
    "prior": "no day of spend was observed yet: the vendor's own estimate, with the weekly pattern of other accounts",
    "donors": "few days were observed: their mean, with the weekly pattern of other accounts",
    "weeks": "its own past weeks are resampled; the level is uncertain, because few weeks are known",
    "blocks": "its own past weeks are resampled and scaled to the recent level, which is still somewhat uncertain",
    "full": "past weeks of half a year are resampled and scaled to the recent level; the range fits past errors",
}
_AUTO: Final = {
    "modelled": "The vendor's automatic top-ups are included.",
    "not_modelled": "The vendor tops it up automatically, on terms that are not known: those top-ups are not included.",
}
_KINDS: Final = {
    "spike": "a day far above what was forecast",
    "step": "a new level of spend",
    "stop": "spend has stopped",
    "restatement": "days that the vendor restated",
    "unit_changed": "the balance has changed its unit",
    "convention_changed": "the sign convention of the ledger has changed",
}
_MOST_CHARGES: Final = 6
_MOST_ENTRIES: Final = 4


def show(found: Section) -> None:
    """Print what `pipeline.cli.explain` found of an account, within the terminal's width."""
    from rich.text import Text

    screen = console()
    width = min(screen.width, _WIDEST)
    status = found["status"]["row"]
    words = f"{_balance(status)}, {status['severity']}"
    gap = " " if len(found["account_id"]) + len(words) + 2 <= width else f"\n{_INDENT}"
    head = Text(f"{found['account_id']}:{gap}{words}")
    start = len(head.plain) - len(status["severity"])
    head.stylize(SEVERITY_STYLES[status["severity"]], start)
    screen.print(head, soft_wrap=True)
    for title, lines, section in _sections(found, width):
        screen.print()
        screen.print(Text(title, style="bold"), soft_wrap=True)
        for line in lines:
            screen.print(line, markup=False, soft_wrap=True)
        for line in _sources(section, width) if section else ():
            screen.print(Text(line, style="dim"), soft_wrap=True)
    screen.print()
    for line in _ways(found, width):
        screen.print(line, markup=False, soft_wrap=True)


def _sections(found: Section, width: int) -> Iterator[tuple[str, list[str], Section | None]]:
    yield "In short", [indented(_reason(found["status"]["row"]), width)], found["status"]
    yield "The balance", list(_reading(found, width)), found["reading"]
    last, move = found["last_interval"], found["last_move"]
    if last["row"]:
        yield _title("The last interval", last["row"]), list(_interval(last, width)), last
        if move["row"] and move["row"]["closed_at_utc"] != last["row"]["closed_at_utc"]:
            yield _title("The last interval with a change", move["row"]), list(_interval(move, width)), move
    else:
        yield "The last interval", [indented("There is none yet: it takes two good readings.", width)], None
    days = found["last_30_days"]
    if days["row"]:
        yield f"Where the money went in {days['days']} days", list(_last_days(days, width)), days
    yield "Why the forecast says so", list(_forecast(found, width)), found["forecast"]
    if found["topup"]["row"]:
        yield "The next top-up", list(_topup(found["topup"]["row"], width)), found["topup"]
    yield "Findings", list(_odd(found["odd"], width)), found["odd"] if found["odd"]["tables"] else None


# -- words --------------------------------------------------------------------------------------------------------


def _money(row: Row, name: str) -> str:
    return exact_amount(row[name], row["unit_code"])


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"


def _balance(status: Row) -> str:
    return "no balance is known" if status["balance_amount"] is None else _money(status, "balance_amount")


def _reason(status: Row) -> str:
    words: str = status["reason"]
    return f"{words} {status['topup_advice']}" if status["topup_advice"] else words


def _title(words: str, interval: Row) -> str:
    return f"{words}: {_at(interval['opened_at_utc'])} to {_at(interval['closed_at_utc'])} UTC"


# -- the sections -------------------------------------------------------------------------------------------------


def _reading(found: Section, width: int) -> Iterator[str]:
    row, status = found["reading"]["row"], found["status"]["row"]
    if row is None:
        yield indented("It has not been read yet.", width)
    else:
        age = duration((found["read_at_utc"] - row["observed_at_utc"]).total_seconds())
        # Readings kept by hand have no vendor that could be asked.
        how = "as written down for" if status["vendor"] == "manual" else f"as {found['provider']} stated it at"
        yield indented(
            f"{_money(row, 'balance_amount')}, {how} {_at(row['observed_at_utc'])} UTC, {age} ago. The "
            f"reading is {status['reading_state']}.",
            width,
        )
        for name, words in (
            ("unconfirmed_amount", "Deposits not credited yet, not included"),
            ("threshold_amount", "The vendor's own threshold"),
            ("limit_amount", "Credit limit"),
        ):
            if row[name]:
                yield indented(f"{words}: {_money(row, name)}.", width)
    for each in found["reading"]["endpoints"]:
        if each["outcome"] != "ok":
            yield indented(
                f"The newest request to {each['endpoint']}, at {_at(each['last_attempt_at_utc'])} UTC, ended in "
                f"{each['outcome']}: {each['reason'] or 'no reason was given'}",
                width,
            )
    fine = [each["endpoint"] for each in found["reading"]["endpoints"] if each["outcome"] == "ok"]
    if fine:
        yield indented(f"Answered when last asked: {', '.join(fine)}.", width)


def _bridge(row: Row, notes: dict[str, str], width: int) -> Iterator[str]:
    """Opening, what is not zero in between, closing: the amounts add up to the last digit."""
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
        yield f"{_INDENT}{line}"
        if note:
            yield indented(indented(note, width - 2), width)


def _interval(section: Section, width: int) -> Iterator[str]:
    row = section["row"]
    by_kind: dict[str, list[str]] = {}
    for entry in section["entries"]:
        words = f"{entry['entry_id']} of {_at(entry['effective_at_utc'])}, {_money(entry, 'entry_amount')}"
        words += f" ({_cut(entry['description'], 40)})" if entry["description"] else ""
        kind = "pending" if entry["entry_status"] == "pending" else entry["entry_kind"]
        by_kind.setdefault("adjustment" if kind == "other" else kind, []).append(words)
    notes = {kind: _several(words) for kind, words in by_kind.items()}
    if row["unexplained_class"]:
        words = _CLASSES.get(row["unexplained_class"], "")
        notes["unexplained"] = f"{row['unexplained_class']}: {words}" if words else row["unexplained_class"]
    if row["inferred_top_up_amount"]:
        notes["top_up"] = f"{_money(row, 'inferred_top_up_amount')} of it is inferred from a rise in the balance"
    yield from _bridge(row, notes, width)
    if not any(row[f"{each}_amount"] for each in COMPONENTS):
        yield indented("The balance did not move.", width)
    elif not row["unexplained_amount"]:
        yield indented(f"All of it is explained; {_EVIDENCE[row['evidence_level']]}.", width)
    else:
        yield indented(f"Evidence: {_EVIDENCE[row['evidence_level']]}.", width)


def _several(words: list[str]) -> str:
    more = f"; and {len(words) - _MOST_ENTRIES} more" if len(words) > _MOST_ENTRIES else ""
    return "; ".join(words[:_MOST_ENTRIES]) + more


def _last_days(section: Section, width: int) -> Iterator[str]:
    for row in (section["row"], *section["other_units"]):
        yield from _bridge(row, {}, width)
        between = f"{_at(row['opened_at_utc'])} to {_at(row['closed_at_utc'])} UTC"
        inferred = ""
        if row["inferred_top_up_amount"]:
            inferred = f" Inferred from rises: {_money(row, 'inferred_top_up_amount')} of the top-ups."
        yield indented(f"{count(row['interval_count'], 'interval')}, {between}.{inferred}", width)
    if section["spent_on"]:
        yield indented(f"The largest {len(section['spent_on'])} of {section['spent_on_count']}:", width)
        rows = [
            (
                _cut(row["what"], width - 50),
                text,
                row["unit_code"],
                row["kind"].replace("_", " ") + (f", {row['row_count']} times" if row["row_count"] > 1 else ""),
            )
            for row, text in zip(
                section["spent_on"], exact_amounts([row["spend_amount"] for row in section["spent_on"]]), strict=True
            )
        ]
        for line in aligned(rows, (False, True, False, False)):
            yield f"{_INDENT * 2}{line}"
    if section["resource_days"]:
        yield indented(f"Single resources are known for {count(section['resource_days'], 'day')} of these.", width)


def _cut(text: str, width: int) -> str:
    most = max(width, 12)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _forecast(found: Section, width: int) -> Iterator[str]:
    section, status = found["forecast"], found["status"]["row"]
    row = section["row"]
    if row is None:
        method = f"Method {status['method']}: {_METHODS[status['method']]}."
        yield indented(f"There is no forecast of this account. {method}", width)
        if status["burn_28d_amount"]:
            yield indented(
                f"Mean spend of up to 28 days: {amount(status['burn_28d_amount'], status['unit_code'])} a day.", width
            )
    else:
        days = count(int(row["history_days"]), "observed day")
        yield indented(f"Method {row['method']}, from {days}: {_METHODS[row['method']]}.", width)
        yield indented(
            f"It starts from {_money(row, 'day_start_amount')}: the balance, plus what had been spent that day by "
            "then.",
            width,
        )
        yield from (indented(line, width) for line in _chances(row))
        if row["auto_topup_model"] in _AUTO:
            yield indented(_AUTO[row["auto_topup_model"]], width)
        yield from _expected(section, width)
    yield from _charges(section["known_charges"], width)


def _chances(row: Row) -> Iterator[str]:
    early, middle, late = (row[f"runway_{level}_date"] for level in ("p10", "p50", "p90"))
    horizon = f"{HORIZON_DAYS} days"
    if early is None:
        yield f"It is not expected to run dry within {horizon}."
    elif middle is None:
        yield f"It probably lasts beyond {horizon}; with a chance of 10 % it runs dry by {early}."
    elif early == late:
        yield f"Expected to run dry on {middle}: the whole 80 % range is that day."
    else:
        until = f"beyond {horizon}" if late is None else str(late)
        yield f"Expected to run dry on {middle}; 80 % range: {early} to {until}."
    yield f"Chance that it lasts beyond {HORIZON_DAYS} days: {percent(row['beyond_horizon_probability'])}."
    yield (
        f"Chance of running dry within 7 days {percent(row['depleted_7d_probability'])}, within 30 days "
        f"{percent(row['depleted_30d_probability'])}."
    )
    if row["below_threshold_30d_probability"] is not None:
        yield (
            f"Chance of falling below the vendor's threshold within 30 days "
            f"{percent(row['below_threshold_30d_probability'])}."
        )


def _expected(section: Section, width: int) -> Iterator[str]:
    def table(rows: list[Row], name: Any) -> Iterator[str]:
        head = ("", "p10", "p50", "p90")
        lines = [(name(row), *(amount(row[f"{level}_amount"]) for level in head[1:])) for row in rows]
        for line in aligned([head, *lines], (False, True, True, True)):
            yield f"{_INDENT * 2}{line}"

    if section["totals"]:
        first = section["totals"][0]
        yield indented(f"Expected spend in {first['unit_code']}, as issued on {first['issue_date']}:", width)
        yield from table(section["totals"], lambda row: f"next {count(int(row['horizon_days']), 'day')}")
    if section["next_days"]:
        yield indented("Day by day, with the weekly pattern:", width)
        yield from table(section["next_days"], lambda row: f"{row['forecast_date']:%a} {row['forecast_date']}")


def _charges(rows: list[Row], width: int) -> Iterator[str]:
    automatic = [row for row in rows if row["is_automatic"]]
    if rows:
        yield indented(
            f"Known charges: {len(rows)}, of which {len(automatic)} renew automatically and are in the forecast "
            "on their days:",
            width,
        )
        lines = [
            (
                str(row["due_date"]),
                exact_amount(row["charge_amount"]),
                row["unit_code"],
                _cut(row["description"] or row["charge_id"], width - 50)
                + _cycle(row["cycle_months"])
                + ("" if row["is_automatic"] else ", not automatic"),
            )
            for row in rows[:_MOST_CHARGES]
        ]
        for line in aligned(lines, (False, True, False, False)):
            yield f"{_INDENT * 2}{line}"
        if len(rows) > _MOST_CHARGES:
            yield f"{_INDENT * 2}and {len(rows) - _MOST_CHARGES} more"


def _cycle(months: float | None) -> str:
    if not months:
        return ""
    return ", every month" if months == 1 else f", every {months:g} months"


def _topup(row: Row, width: int) -> Iterator[str]:
    unit = row["unit_code"]
    risk = exact_percent(row["topup_risk_probability"])
    if row["topup_amount"]:
        parts = [
            (f"spent by {row['cover_until_date']} at most", row["spend_quantile_amount"]),
            ("balance at the start of the day", -row["day_start_amount"]),
            ("needed", row["needed_amount"]),
        ]
        if row["topup_minimum_amount"] is not None:
            parts.append(("smallest order", row["topup_minimum_amount"]))
        parts.append(("rounded up to what can be ordered", row["topup_amount"]))
        if row["topup_gross_amount"] is not None:
            parts.append((f"with {exact_percent(row['tax_rate'])} tax", row["topup_gross_amount"]))
        shown = exact_amounts([value for _, value in parts])
        rows = [(name, text, unit) for (name, _), text in zip(parts, shown, strict=True)]
        for line in aligned(rows, (False, True, False)):
            yield f"{_INDENT}{line}"
        yield indented(f'"At most" holds except with a chance of {risk}, the accepted risk.', width)
    else:
        yield indented(f"None is needed: the chance of running dry stays within {risk}.", width)
    if row["risk_passed_date"] is not None:
        late = " That date has passed." if row["is_late"] else ""
        yield indented(
            f"The chance of having run dry passes {risk} on {row['risk_passed_date']}; an order takes "
            f"{row['topup_lead_days']:g} days: order by {row['order_by_date']}.{late}",
            width,
        )
        yield indented(
            f"Chance of running dry by {row['cover_until_date']}: with it "
            f"{percent(row['with_topup_probability'])}, without it {percent(row['without_topup_probability'])}.",
            width,
        )
    if row["unconfirmed_amount"]:
        yield indented(f"Pending and not counted: {exact_amount(row['unconfirmed_amount'], unit)}.", width)


def _odd(odd: Section, width: int) -> Iterator[str]:
    lines = []
    for row in odd["anomalies"]:
        kind = _KINDS.get(row["anomaly_kind"], row["anomaly_kind"])
        lines.append(f"{_span(row['first_date'], row['last_date'])}: {kind}. {row['reason']}")
    for row in odd["unexplained"]:
        words = _CLASSES.get(row["unexplained_class"], row["unexplained_class"])
        lines.append(
            f"{_money(row, 'unexplained_amount')} unexplained in {count(row['interval_count'], 'interval')} of 30 "
            f"days, last at {_at(row['closed_at_utc'])} UTC ({row['unexplained_class']}: {words})."
        )
    for row in odd["failing_endpoints"]:
        lines.append(f"{row['endpoint']} does not answer: {row['outcome']}.")
    for row in odd["rejects"]:
        lines.append(
            f"{row['endpoint']}: {count(row['row_count'], 'row')} rejected, {row['column_name']} broke "
            f"{row['check_name']}, last {row['redacted_value'] or 'nothing'!r} at {_at(row['observed_at_utc'])} UTC."
        )
    for row in odd["schema_drift"]:
        lines.append(
            f"{row['endpoint']}: {row['column_name']}: {row['check_name']} "
            f"({row['redacted_value'] or 'nothing there'}), first on {row['first_observed_at_utc']:%Y-%m-%d}."
        )
    for line in lines or ["Nothing: no anomaly, nothing unexplained, no rejected row, no changed answer."]:
        yield indented(line, width)


def _span(first: date, last: date) -> str:
    return f"{first}" if first == last else f"{first} to {last}"


# -- sources ------------------------------------------------------------------------------------------------------


def _sources(section: Section, width: int) -> Iterator[str]:
    ids = section["fetch_ids"]
    words = f"Source: {', '.join(section['tables'])}"
    if ids:
        shown = ids[:6]
        words += f"; {'answer' if len(ids) == 1 else 'answers'} {', '.join(shown)}"
        words += f" and {len(ids) - len(shown)} more (--json)" if len(ids) > len(shown) else ""
    yield indented(f"{words}.", width)


def _ways(found: Section, width: int) -> Iterator[str]:
    """The commands that lead on: the rows of each section, and the bytes of an answer. They work as printed."""
    yield "The rows behind it:"
    for query in dict.fromkeys(
        found[name]["query"] for name in ("status", "reading", "last_interval", "forecast", "topup", "odd")
    ):
        if query:
            table, _, rest = query.partition(" where ")
            yield f'{_INDENT}drawdown sql "{table}'
            yield indented(indented(f'where {rest}"', width - 2), width)
    ids = found["reading"]["fetch_ids"] or found["odd"]["fetch_ids"]
    if ids:
        yield "The bytes of an answer, as the vendor sent them:"
        yield f"{_INDENT}drawdown explain --bytes {ids[0]} \\\n{_INDENT * 2}{found['account_id']}"
