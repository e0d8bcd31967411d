"""`pytest -m faults` ends with the result of each row of the matrix. A plugin of all tests.

A row passed if at least one of its tests ran, all of them passed, none was skipped, and the check of remains
(`aftermath`) ran on a warehouse at least once. All other rows are listed with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from docs.fault_matrix import ROWS

ROW = "fault_row"
CHECKED = "fault_aftermath"


@dataclass
class _Row:
    passed: int = 0
    aftermaths: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        if self.problems:
            return f"FAILED: {self.problems[0]}"
        if not self.passed:
            return "FAILED: no test of it ran"
        if not self.aftermaths:
            return "FAILED: the state that it leaves was not checked"
        return "passed"


class Summary:
    """Collects reports, from this process or from xdist's workers."""

    def __init__(self) -> None:
        self.rows = {number: _Row() for number in ROWS}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name != ROW:
                continue
            row = self.rows[int(str(value))]
            test = report.nodeid.rpartition("::")[2]
            if report.failed:
                row.problems.append(f"{test} failed")
            elif report.skipped:
                why = report.longrepr[2] if isinstance(report.longrepr, tuple) else "skipped"
                row.problems.append(f"{test}: {why}")
            elif report.when == "call":
                row.passed += 1
            elif report.when == "teardown":
                row.aftermaths += (CHECKED, True) in [(key, bool(given)) for key, given in report.user_properties]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        if "faults" not in config.option.markexpr:
            return
        for line in self.lines():
            terminalreporter.write_line(line)

    def lines(self) -> Iterator[str]:
        """One line for each row, and the number of passed rows."""
        for number, row in self.rows.items():
            fault, holds = ROWS[number]
            yield f"row {number:2}: {fault}: {holds} ... {row.verdict}"
        yield f"{sum(row.verdict == 'passed' for row in self.rows.values())} of {len(ROWS)} rows passed"


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Summary(), "drawdown-faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if rows := [int(mark.args[0]) for mark in item.iter_markers("faults")]:
            item.user_properties += [(ROW, row) for row in rows]
            item.fixturenames.append("aftermath")  # type: ignore[attr-defined] - every test function has them
