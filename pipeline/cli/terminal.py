"""Output of the command line: tables, and rows in file formats.

Short tables are printed by rich, which wraps names to the terminal's width. Query results, possibly a hundred thousand
rows, are aligned here, because rich needs about a millisecond for a row of eight columns.

Text from outside is printed with its control characters escaped, so that a vendor's text cannot move the cursor, break
a row or hide one.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from pipeline.schema.limits import CURRENT_RATE_DAYS
from pipeline.support.errors import DrawdownError, first_line
from pipeline.support.printable import printable, printable_json
from pipeline.support.tabular import FORMULA_STARTS
from pipeline.support.wording import amount, count

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console
    from rich.segment import Segment
    from rich.text import Text

SEVERITY_STYLES: Final = {
    "critical": "bold red",
    "warning": "yellow",
    "watch": "cyan",
    "unknown": "magenta",
    "ok": "green",
}
_STATE_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_GAP: Final = "  "
_LEAST_NAME_WIDTH: Final = 16
"""Names longer than this wrap on a narrow terminal; shorter ones never do."""
_ANY_WIDTH: Final = 10_000
"""More columns than any table needs: it is as wide as its texts."""
_PERCENT: Final = re.compile(r"(?<=\d) (?=%)")
_CSV_SPECIAL: Final = re.compile(r'[",]')


def console(*, stderr: bool = False) -> Console:
    """Console that keeps to its width on a terminal, and plain text elsewhere."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


# -- query results ------------------------------------------------------------------------------------------------


def show_rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows on stdout, with every digit and every character.

    As a table; on a terminal that is too narrow for it, as a block of `name value` lines for each row. A query plan,
    which EXPLAIN draws itself, is printed as drawn.
    """
    if list(names) == ["explain_key", "explain_value"]:
        for _, plan in rows:
            print("\n".join(map(_visible, str(plan).splitlines())))
        return
    shown = [[_visible(cell(value)) for value in row] for row in rows]
    titles = [_visible(name) for name in names]
    is_number = [_is_numeric([row[index] for row in rows]) for index in range(len(names))]
    lines = list(_aligned(titles, shown, is_number))
    if sys.stdout.isatty() and lines and _width_of(lines[1]) > shutil.get_terminal_size().columns:
        lines = list(_blocks(titles, shown))
    for line in lines:
        print(line)


def aligned(rows: Sequence[Sequence[str]], is_right: Sequence[bool]) -> list[str]:
    """Format rows of texts as aligned lines; columns marked by `is_right` are flush right."""
    if not rows:
        return []
    first, *others = [[_visible(text) for text in row] for row in rows]
    head, _, *body = _aligned(first, others, is_right)
    return [head, *body]


def _is_numeric(values: Sequence[Any]) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(
        isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in present
    )


def _aligned(names: Sequence[str], rows: Sequence[Sequence[str]], is_right: Sequence[bool]) -> Iterator[str]:
    widths = [max(map(_width_of, column)) for column in zip(names, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            _padding(text, width) + text if right else text + _padding(text, width)
            for text, width, right in zip(cells, widths, is_right, strict=True)
        ]
        return _GAP.join(padded).rstrip()

    yield line(names)
    yield _GAP.join(_rule(width) for width in widths)
    yield from map(line, rows)


def _blocks(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    width = max(map(_width_of, names))
    for number, row in enumerate(rows, 1):
        yield f"{_rule(2)} {number} {_rule(max(width - len(str(number)) - 4, 2))}"
        for name, text in zip(names, row, strict=True):
            yield f"{name}{_padding(name, width)}{_GAP}{text}".rstrip()


def _padding(text: str, width: int) -> str:
    return " " * (width - _width_of(text))


def _width_of(text: str) -> int:
    from rich.cells import cell_len

    return len(text) if text.isascii() else cell_len(text)


def _rule(width: int) -> str:
    return ("─" if (sys.stdout.encoding or "").lower().startswith("utf") else "-") * width


def _visible(text: str) -> str:
    """Text on one line, with control and invisible characters escaped; other letters are kept."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


def cell(value: Any) -> str:
    """A value as text, exact and always in the same form: instants in UTC with Z, NULL empty, lists as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return value.isoformat(sep=" ")
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple | dict):
        import msgspec

        return msgspec.json.encode(_jsonable(value)).decode()
    return str(value)


def write_csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as CSV; text that a spreadsheet would run as a formula is prefixed with an apostrophe.

    NULL is empty, and an empty text is `""`. Control characters are escaped; JSON and Parquet keep them.
    """
    print(",".join(map(_csv_field, names)))
    for row in rows:
        print(",".join(map(_csv_field, row)))


def _csv_field(value: Any) -> str:
    text = printable(cell(value))
    if isinstance(value, str) and text.startswith(FORMULA_STARTS):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if _CSV_SPECIAL.search(text) or text == value == "" else text


def write_json(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as a JSON array of objects; decimals are exact JSON numbers.

    Raises DrawdownError if two columns have the same name, because an object would lose one of them.
    """
    import msgspec

    _check_names(names)
    objects = [dict(zip(names, map(_jsonable, row), strict=True)) for row in rows]
    print(printable_json(msgspec.json.format(msgspec.json.encode(objects), indent=2).decode()))


def write_json_object(found: dict[str, Any]) -> None:
    """Print one JSON object, nested as it is; decimals are exact JSON numbers."""
    import msgspec

    print(printable_json(msgspec.json.format(msgspec.json.encode(_jsonable(found)), indent=2).decode()))


def _jsonable(value: Any) -> Any:
    import msgspec

    if isinstance(value, Decimal):
        # The digits of a number as they are: neither through a float nor as 0E-9.
        return msgspec.Raw(format(value, "f").encode()) if value.is_finite() else None
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in value]
    if isinstance(value, dict):
        return {cell(key): _jsonable(each) for key, each in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else cell(value)


def write_parquet(table: pa.Table, target: BinaryIO) -> None:
    """Write rows as Parquet, types kept.

    Raises DrawdownError if two columns have the same name, which most readers of Parquet refuse, or if Parquet has no
    type for a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_names(table.column_names)
    try:
        pq.write_table(table, target, compression="zstd")
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as problem:
        raise DrawdownError(
            f"Parquet has no type for a column: {first_line(problem)}; cast it to another type"
        ) from None


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if list(names).count(name) > 1:
            raise DrawdownError(f"two columns are called {name!r}; give one of them another name with AS")


# -- short tables -------------------------------------------------------------------------------------------------


def print_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = (), width: int | None = None
) -> None:
    """Print rows of texts on stdout as a table within `width` columns, by default the terminal's width.

    The columns named in `right` are flush right, and the one named `severity` is coloured. The first column wraps; no
    other is ever cut: if they do not fit, the lines are wider than `width`.
    """
    from rich.box import Box
    from rich.table import Table
    from rich.text import Text

    screen = console()
    shown = [[_visible(text) for text in row] for row in rows]
    rule = _rule(1)
    shape = Box("\n".join(["    ", "    ", f" {rule}  ", *["    "] * 5]), ascii=rule == "-")
    table = Table(box=shape, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    longest, *others = (max(map(_width_of, column)) for column in zip(titles, *shown, strict=True))
    room = (width or screen.width) - sum(others) - len(_GAP) * len(others)
    for title in titles:
        table.add_column(title, justify="right" if title in right else "left", no_wrap=title != titles[0])
    table.columns[0].overflow = "fold"
    table.columns[0].width = min(longest, max(room, _LEAST_NAME_WIDTH))
    for row in shown:
        table.add_row(
            *(
                Text(text, style=SEVERITY_STYLES.get(text, "") if title == "severity" else "")
                for title, text in zip(titles, row, strict=True)
            )
        )
    lines = screen.render_lines(table, screen.options.update(width=_ANY_WIDTH), pad=False)
    # One call, because one for each of hundreds of lines is slow.
    screen.print(Text("\n").join(map(_trimmed, lines)), soft_wrap=True)


def _trimmed(line: Sequence[Segment]) -> Text:
    """A line as text, without trailing blanks."""
    from rich.text import Text

    text = Text.assemble(*((each.text, each.style or "") for each in line))
    text.rstrip()
    return text


def sentence(about: str, text: str, width: int) -> str:
    """`about: text`, wrapped within `width` columns, the second line indented."""
    return paragraph(f"{about}: {text}", width)


def paragraph(text: str, width: int) -> str:
    """The text, wrapped within `width` columns, the second line indented."""
    return "\n".join(_wrapped(_visible(text), width, indent=_GAP))


def indented(text: str, width: int) -> str:
    """The text, wrapped within `width` columns, every line indented."""
    return textwrap.indent("\n".join(_wrapped(_visible(text), width - len(_GAP))), _GAP)


def fleet_words(fleet: dict[str, Any]) -> str:
    """The total of the row of marts.fleet_status, and the amounts that it does not include."""
    unit = fleet["reporting_unit_code"]
    words = "no balance in the reporting currency"
    if fleet["reporting_balance_amount"] is not None:
        words = f"{amount(fleet['reporting_balance_amount'], unit)} in {fleet['converted_account_count']} of "
        words += count(fleet["account_count"], "account")
    if fleet["reporting_burn_28d_amount"] is not None:
        words += f", {amount(fleet['reporting_burn_28d_amount'], unit)} a day"
        if fleet["burn_account_count"] != fleet["converted_account_count"]:
            words += f" in {fleet['burn_account_count']} of them"
    if fleet["oldest_fx_rate_date"] is not None:
        rates = f"rates of {fleet['oldest_fx_rate_date']} or later"
        if fleet["old_rate_account_count"]:
            rates += f"; more than {CURRENT_RATE_DAYS} days old for {count(fleet['old_rate_account_count'], 'account')}"
        words += f" ({rates})"
    if fleet["unconverted_balances"]:
        left_over = (each.split(" ") for each in fleet["unconverted_balances"].split(", "))
        words += "; not converted: " + ", ".join(amount(Decimal(text), code) for text, code in left_over)
    return f"{words}."


# -- check results ------------------------------------------------------------------------------------------------


def show_findings(findings: Sequence[tuple[str, str, str]]) -> None:
    """Print check results, given as (`ok`, `warn` or `fail`; subject; result).

    One line each; on a terminal, the result is wrapped beside or below its subject.
    """
    from rich.text import Text

    screen = console()
    width = screen.width if screen.is_terminal else None
    indent = max(map(len, _STATE_STYLES)) + len(_GAP)
    beside = indent + max((_width_of(_visible(about)) for _, about, _ in findings), default=0) + len(_GAP)
    for state, about, finding in findings:
        name = _visible(about)
        head = f"{state}{_padding(state, indent)}{name}"
        found = _visible(finding)
        if width is None or beside + _width_of(found) <= width:
            lines = [f"{head}{_padding(head, beside)}{found}"]
        else:
            lines = [head, *(" " * indent + part for part in _wrapped(found, max(width - indent, 40)))]
        text = Text("\n".join(lines))
        text.stylize(_STATE_STYLES[state], 0, len(state))
        screen.print(text, soft_wrap=True)


def _wrapped(text: str, width: int, *, indent: str = "") -> list[str]:
    # A number and its percent sign stay on one line.
    kept = _PERCENT.sub("\u00a0", text)
    lines = textwrap.wrap(kept, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\u00a0", " ") for line in lines]
