"""`pytest -m faults` ends with each row of the matrix and whether it held. A plugin of all tests.

A row held when at least one of its tests ran, all of them passed, none was skipped, and the check of what is left
behind (`aftermath`) was made on a warehouse at least once. Everything else is not held, and says why.
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
            return f"NOT HELD: {self.problems[0]}"
        if not self.passed:
            return "NOT HELD: no test of it ran"
        if not self.aftermaths:
            return "NOT HELD: what it leaves behind was not checked"
        return "held"


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
        """A line a row, and how many held."""
        for number, row in self.rows.items():
            fault, holds = ROWS[number]
            yield f"row {number:2}: {fault}: {holds} ... {row.verdict}"
        yield f"{sum(row.verdict == 'held' for row in self.rows.values())} of {len(ROWS)} held"


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Summary(), "drawdown-faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if rows := [int(mark.args[0]) for mark in item.iter_markers("faults")]:
            item.user_properties += [(ROW, row) for row in rows]
            item.fixturenames.append("aftermath")  # type: ignore[attr-defined] - every test function has them
