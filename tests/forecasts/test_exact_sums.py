"""Sums of floats are the same in any order and in any parts."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.forecasts.exact_sums import ExactSum

_AMOUNT = st.one_of(
    st.floats(-1e6, 1e6), st.floats(-1e-6, 1e-6), st.floats(-1e27, 1e27), st.sampled_from([0.1, -0.1, 1e16, 1.0, 2**40])
)
_ARRAYS = st.lists(arrays.arrays(np.float64, (2, 3), elements=_AMOUNT), min_size=1, max_size=12)


def _sum(found: list[np.ndarray]) -> ExactSum:
    made = ExactSum()
    for each in found:
        made.add(each)
    return made


@given(_ARRAYS, st.randoms(use_true_random=False), st.integers(0, 12))
def test_order_and_grouping_make_no_difference(found, random, cut) -> None:
    other = list(found)
    random.shuffle(other)
    parts = _sum(other[:cut])
    parts.merge(_sum(other[cut:]))
    assert parts.total().tobytes() == _sum(found).total().tobytes()


@given(_ARRAYS)
def test_a_sum_is_the_exact_one_but_for_the_rounding_of_each_value_and_of_the_result(found) -> None:
    total = _sum(found).total()
    for place in np.ndindex(2, 3):
        exact = sum(Fraction(float(each[place])) for each in found)
        allowed = len(found) * Fraction(2) ** -50 + 4 * abs(exact) * Fraction(2) ** -53
        largest = max(abs(Fraction(float(each[place]))) for each in found)
        assert abs(Fraction(float(total[place])) - exact) <= allowed + largest * Fraction(2) ** -50


def test_nothing_was_added() -> None:
    assert ExactSum().is_empty
    assert not _sum([np.zeros(2)]).is_empty
