"""The matrix itself: every row has tests, and the count of passed rows is reliable."""

from __future__ import annotations

import pytest

from docs.fault_matrix import ROWS, marked
from tests.faults.summary import CHECKED, ROW, Summary

_ALL = [str(row) for row in ROWS]


def test_every_row_has_a_test_and_every_mark_a_row() -> None:
    assert list(ROWS) == list(range(1, len(ROWS) + 1))
    assert {row for row, _, _ in marked()} == set(ROWS)


def _report(row: str, when: str, outcome: str, *, is_checked: bool) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=f"tests/test_x.py::test_row_{row}",
        location=("tests/test_x.py", 1, "test"),
        keywords={},
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=("tests/test_x.py", 1, "Skipped: no disk") if outcome == "skipped" else None,
        when=when,  # type: ignore[arg-type]
        user_properties=[(ROW, int(row)), *([(CHECKED, True)] if is_checked else [])],
    )


def _summary(call: str = "passed", teardown: str = "passed", *, but: int = 0, is_checked: bool = True) -> list[str]:
    summary = Summary()
    for row in _ALL:
        if int(row) != but:
            summary.pytest_runtest_logreport(_report(row, "call", "passed", is_checked=False))
            summary.pytest_runtest_logreport(_report(row, "teardown", "passed", is_checked=True))
        elif call:
            summary.pytest_runtest_logreport(_report(row, "call", call, is_checked=False))
            summary.pytest_runtest_logreport(_report(row, "teardown", teardown, is_checked=is_checked))
    return list(summary.lines())


def test_rows_that_ran_and_were_checked_are_passed() -> None:
    *lines, count = _summary()
    assert count == f"{len(ROWS)} of {len(ROWS)} rows passed"
    assert {line.rpartition(" ... ")[2] for line in lines} == {"passed"}


@pytest.mark.parametrize(
    ("call", "teardown", "is_checked", "why"),
    [
        ("failed", "passed", True, "test_row_17 failed"),
        ("passed", "failed", True, "test_row_17 failed"),
        ("skipped", "passed", False, "test_row_17: Skipped: no disk"),
        ("passed", "passed", False, "the state that it leaves was not checked"),
        ("", "", False, "no test of it ran"),
    ],
)
def test_a_row_that_failed_was_skipped_unchecked_or_missing_is_not_passed(
    call: str, teardown: str, is_checked: bool, why: str
) -> None:
    *lines, count = _summary(call, teardown, but=17, is_checked=is_checked)
    assert count == f"{len(ROWS) - 1} of {len(ROWS)} rows passed"
    [row] = [line for line in lines if line.startswith("row 17:")]
    assert row.endswith(f"... FAILED: {why}")
