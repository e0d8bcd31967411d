"""Files of readings kept by hand: rows of the future, withdrawn rows, and an unreadable newest row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.schema.tables import vendor_table
from pipeline.staging.byhand import Row, refused_newest
from pipeline.support.tabular import decode_csv, line_of_row
from tests.staging.landed import NOW, Landing, NewWorkshop, Workshop, contents, write
from tests.staging.load_checks import accounted_for, readable

_BALANCES = vendor_table("manual", "balances")
_GOOD = ("2026-03-01,30,EUR", "2026-03-02,29,EUR", "2026-03-03,28,EUR")


def _file(*rows: str) -> str:
    return "\n".join(["observed_at_utc,balance_amount,unit_code", *rows, ""])


def _land(workshop: Workshop, *rows: str, at: datetime = NOW) -> None:
    workshop.landing.answer("manual", "readings", _file(*rows), at=at)
    workshop.load()
    assert accounted_for(workshop.connection, "manual", _BALANCES).passed


def _days(workshop: Workshop) -> list[int]:
    return [day for (day,) in workshop.rows("SELECT day(observed_at_utc) FROM staging.balances ORDER BY 1")]


def _lines(workshop: Workshop) -> tuple[str, list[str]]:
    """The severity of the check, and its lines."""
    check = readable(workshop.connection, "manual", _BALANCES, workshop.home.landing)
    return ("passed" if check.passed else check.severity.value), (check.description or "").splitlines()


# -- of the future --------------------------------------------------------------------------------------------------


def test_a_row_of_the_future_is_kept_out_named_and_read_once_its_time_has_come(workshop: Workshop) -> None:
    rows = (*_GOOD, "2026-03-19,27,EUR")
    _land(workshop, *rows)
    assert _days(workshop) == [1, 2, 3]
    assert workshop.rows("SELECT row_number, column_name, check_name, redacted_value FROM staging.rejects") == [
        (4, "observed_at_utc", "is_not_in_the_future", "2026-03-19T00:00:00Z")
    ]
    assert _lines(workshop) == (
        "ERROR",
        ["account main: https://vendor.example/, line 5: 2026-03-19T00:00:00Z is in the future, and is read then; correct "
         "the time if it is wrong"],
    )  # fmt: skip
    assert workshop.rows("SELECT refused_newest_row FROM staging.loads") == [(None,)]
    _land(workshop, *rows, at=NOW + timedelta(days=1))
    assert _days(workshop) == [1, 2, 3, 19]
    assert _lines(workshop) == ("passed", [])


def test_a_reading_of_this_very_instant_is_not_of_the_future(workshop: Workshop) -> None:
    _land(workshop, f"{NOW:%Y-%m-%dT%H:%M:%SZ},30,EUR", f"{NOW + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ},29,EUR")
    assert _days(workshop) == [18]


def test_several_rows_of_the_future_are_one_line(workshop: Workshop) -> None:
    _land(workshop, *_GOOD, "2027-03-19,27,EUR", "2028-03-19,27,EUR")
    severity, lines = _lines(workshop)
    assert (severity, len(lines)) == ("ERROR", 1)
    assert "line 5: 2027-03-19T00:00:00Z is in the future (1 more such rows)" in lines[0]


# -- withdrawn rows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later", "days"),
    [
        (_GOOD[:2], [1, 2]),
        ((_GOOD[0], _GOOD[1], "2026-03-02T12:00:00Z,28,EUR"), [1, 2, 2]),
        ((_GOOD[0], _GOOD[2]), [1, 3]),
        ((*_GOOD[:2], "2026-03-05,28,EUR"), [1, 2, 5]),
        # A file that starts afresh withdraws nothing, nor does one without a good row.
        (("2026-03-09,5,EUR",), [1, 2, 3, 9]),
        ((), [1, 2, 3]),
        (("2026-03-01,many,EUR",), [1, 2, 3]),
    ],
)
def test_a_row_that_the_newest_file_no_longer_has_is_withdrawn(
    workshop: Workshop, later: tuple[str, ...], days: list[int]
) -> None:
    _land(workshop, *_GOOD)
    _land(workshop, *later, at=NOW + timedelta(hours=1))
    assert _days(workshop) == days


def test_a_removed_row_does_not_return_with_the_next_reading(workshop: Workshop) -> None:
    _land(workshop, *_GOOD)
    _land(workshop, *_GOOD[:2])
    _land(workshop, *_GOOD[:2], "2026-03-05,20,EUR")
    assert _days(workshop) == [1, 2, 5]
    _land(workshop, *_GOOD, "2026-03-05,20,EUR")
    assert _days(workshop) == [1, 2, 3, 5]


def test_an_unreadable_file_withdraws_nothing(workshop: Workshop) -> None:
    _land(workshop, *_GOOD)
    workshop.landing.answer("manual", "readings", b"", outcome="not_found")
    workshop.load()
    assert _days(workshop) == [1, 2, 3]


def test_one_accounts_file_withdraws_nothing_from_another(workshop: Workshop) -> None:
    workshop.landing.answer("manual", "readings", _file(*_GOOD), account_id="other")
    _land(workshop, *_GOOD[:1])
    assert _days(workshop) == [1, 1, 2, 3]


def test_versions_of_a_file_give_the_same_in_any_order(new_workshop: NewWorkshop) -> None:
    versions = [_GOOD, _GOOD[:2], (*_GOOD[:1], "2026-03-10,7,EUR")]
    found = set()
    for order in permutations(range(3)):
        with new_workshop() as workshop:
            for number in order:
                workshop.landing.answer(
                    "manual", "readings", _file(*versions[number]), fetch_id=f"{number:016x}", run_id="r"
                )
                workshop.load()
            found.add(tuple(_days(workshop)))
    assert found == {(1, 10)}


_ROW = st.tuples(st.integers(1, 9), st.integers(0, 27), st.sampled_from(["5", "7.5", "30", "1,5"]))


@settings(max_examples=4, deadline=None)
@given(versions=st.lists(st.lists(_ROW, max_size=5), min_size=2, max_size=4))
def test_withdrawing_rows_step_by_step_equals_a_rebuild(
    new_workshop: NewWorkshop, versions: list[list[tuple[int, int, str]]]
) -> None:
    landing = Landing(Path("nowhere"))
    fetches = [
        landing.fetch(
            "manual", "readings", account_id="main", at=NOW + timedelta(days=number),
            body=_file(*(f'2025-{month:02d}-{day + 1:02d},"{amount}",EUR' for month, day, amount in rows)),
        )
        for number, rows in enumerate(versions)
    ]  # fmt: skip
    with new_workshop() as steps, new_workshop() as whole:
        for workshop in (steps, whole):
            workshop.landing.run({"main": {"vendor": "manual"}}, at=NOW + timedelta(days=9), fetch_id="0")
        for fetch in fetches:
            write([fetch], steps.home.landing)
            steps.load()
            steps.recompute("core")
        write(fetches, whole.home.landing)
        whole.load()
        whole.recompute("core")
        one, other = (contents(each.connection, "staging", "core") for each in (steps, whole))
        for table in other:
            assert one[table] == other[table], table


# -- the newest row -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", ['"12,50"', '"1,234.50"', "(12.50)", "12.50 EUR", "", "€12", "9e28", "-"])
def test_a_newest_row_that_cannot_be_read_is_an_error_with_its_line_and_remedy(workshop: Workshop, amount: str) -> None:
    _land(workshop, *_GOOD, f"2026-03-04,{amount},EUR")
    assert workshop.rows("SELECT accepted_rows, rejected_rows, refused_newest_row FROM staging.loads") == [(3, 1, 4)]
    severity, [line] = _lines(workshop)
    assert severity == "ERROR"
    assert line.startswith("account main: https://vendor.example/, line 5: balance_amount ")
    assert "it is or may be the newest reading, so the account is stale until it can be read: " in line


def test_an_older_row_that_cannot_be_read_is_a_warning(workshop: Workshop) -> None:
    _land(workshop, '2026-02-28,"12,50",EUR', *_GOOD)
    assert workshop.rows("SELECT refused_newest_row FROM staging.loads") == [(None,)]
    assert _lines(workshop) == (
        "WARN",
        ["account main: https://vendor.example/, line 2: balance_amount '12,50' cannot be used (is_exact_amount); "
         "write a plain number such as 1234.50"],
    )  # fmt: skip


def test_a_file_of_which_no_row_can_be_read_names_the_newest(workshop: Workshop) -> None:
    _land(workshop, "2026-03-02,a,EUR", "2026-03-01,b,EUR")
    severity, [line] = _lines(workshop)
    assert (severity, "line 2: balance_amount 'a'" in line) == ("ERROR", True)


def test_a_header_without_rows_is_fine(workshop: Workshop) -> None:
    _land(workshop)
    assert _lines(workshop) == ("passed", [])


def test_a_removed_account_is_not_reported(workshop: Workshop) -> None:
    _land(workshop, "2026-03-02,a,EUR")
    workshop.landing.run({"main": {"vendor": "manual"}})
    workshop.load()
    assert _lines(workshop)[0] == "ERROR"
    workshop.landing.run({})
    workshop.load()
    assert _lines(workshop) == ("passed", [])


def _rows(text: str) -> list[Row]:
    """`3` is an accepted row of the third, `x4` a rejected one of the fourth, `?` a rejected one without a time, `+9`
    one of the future."""
    made = []
    for number, word in enumerate(text.split(), start=1):
        day = word.strip("x+?")
        at = datetime(2026, 3, int(day), tzinfo=UTC) if day else None
        made.append(Row(number, at, word[0].isdigit(), word[0] == "+"))
    return made


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1 2 3", None),
        ("", None),
        ("1 2 x3", 3),
        ("x3 2 1", 1),
        ("1 x2 3", None),
        ("x4 1 x5 3", 3),
        ("1 2 ?", 3),
        ("1 ? 3", None),
        ("? 1 2", None),
        ("? 2 1", 1),
        ("2 1 ?", None),
        ("3 ? 1", None),
        ("1 2 ? ?", 4),
        # Nothing shows at which end the newest are.
        ("1 ?", 2),
        ("? 1", 1),
        ("?", 1),
        ("2 ? 1 3", 2),
        # A row in the future is not the newest now, but still shows the order.
        ("1 2 +9", None),
        ("1 2 ? +9", 3),
        ("+9 ? 2 1", 2),
        ("+9", None),
        ("x1 +9", 1),
    ],
)
def test_which_refused_row_is_or_may_be_the_newest(text: str, number: int | None) -> None:
    assert refused_newest(_rows(text)) == number


# -- lines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("a,b\n1,2\n3,4\n", [2, 3]),
        ("a,b\r\n1,2\r\n3,4", [2, 3]),
        ("\ufeffa;b\n\n1;2\n\n\n3;4\n", [3, 6]),
        ('a,"b\nc"\n1,"2\n3\n"\n4,5\n', [3, 6]),
        # Separators alone are a blank line.
        ('a,b\n"1,2",\n,\n3,4\n', [2, 4]),
    ],
)
def test_a_row_is_on_the_line_that_an_editor_shows(body: str, lines: list[int]) -> None:
    rows = decode_csv(body.encode())
    assert [line_of_row(body.encode(), number) for number in range(1, len(rows) + 1)] == lines
    with pytest.raises(IndexError):
        line_of_row(body.encode(), len(rows) + 1)
