"""The classes of unexplained amounts: each that there is has its meaning."""

from __future__ import annotations

from pipeline.schema.columns import COLUMNS
from pipeline.schema.unexplained_classes import EXPECTED, MEANINGS


def test_each_class_has_a_meaning_and_no_other_has() -> None:
    assert tuple(MEANINGS) == COLUMNS["unexplained_class"].allowed


def test_what_is_no_missing_money_is_among_them() -> None:
    assert set(EXPECTED) < MEANINGS.keys()
