"""The page of the soak tests."""

from __future__ import annotations

from tests.soak import SUITES, Result, summed, table


def test_lines_that_differ_in_numbers_are_summed_and_others_kept() -> None:
    assert summed(
        [
            "soak: fuzz: 1,500 bodies, 20 of them unreadable",
            "soak: fuzz: 10 bodies, 1 of them unreadable",
            "soak: kills: 7 (core 05); 0.05 s",
            "PASSED tests/fuzz/test_bodies.py",
            "45 of 45 rows passed",
            "===== 3 passed, 1 skipped in 12.05s =====",
        ]
    ) == [
        "fuzz: 1,510 bodies, 21 of them unreadable",
        "kills: 7 (core 05); 0.05 s",
        "45 of 45 rows passed",
        "3 passed, 1 skipped in 12.05s",
    ]


def test_a_row_has_a_suites_result_and_its_length() -> None:
    (fuzz,) = (each for each in SUITES if each.name == "fuzz")
    row = Result(fuzz, 0.5, 12.3, False, ["19 failed"], "2026-11-29, 2 cores").row()
    assert row == "| fuzz | **failed** | 19 failed | 12 s | `DRAWDOWN_TEST_BODIES=50` | 2026-11-29, 2 cores |"


def test_suites_that_are_not_run_keep_their_rows() -> None:
    faults, fuzz, *_ = SUITES
    first = table("", [Result(fuzz, 100, 1, True, ["a"], "May"), Result(faults, 100, 2, True, ["b"], "May")])
    second = table(first, [Result(fuzz, 100, 3, False, ["c"], "June")])
    head, rule, *rows = second.splitlines()
    assert head.count("|") == rule.count("|") == 7
    assert rows == [
        "| faults | passed | b | 2 s | `DRAWDOWN_TEST_KILLS=100` | May |",
        "| fuzz | **failed** | c | 3 s | `DRAWDOWN_TEST_BODIES=10000` | June |",
    ]
