from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.forecasts import InputError, Paths
from pipeline.forecasts.topup import Terms, TopUpPlan, plan

AS_OF = date(2026, 11, 20)
TODAY = date(2026, 11, 21)
DAY = timedelta(days=1)


def paths_of(amounts: object) -> Paths:
    days = np.atleast_2d(np.array(amounts, dtype=np.float64))
    return Paths(
        account_id="one", as_of=AS_OF, method="full", history_days=100, amounts=days, charges=np.zeros(days.shape[1])
    )


def steady(daily: float = 10.0, days: int = 60) -> Paths:
    """A hundred paths with the same spend."""
    return paths_of(np.full((100, days), daily))


def advise(paths: Paths, balance: str, **more) -> TopUpPlan:
    options = {"issue_date": TODAY, "today": None, "pending_amount": None, "unit_code": "EUR", "scale": 2}
    options |= {name: more.pop(name) for name in [*options] if name in more}
    return plan(paths, balance=Decimal(balance), terms=Terms(**({"lead_days": 2} | more)), **options)


def ladder() -> Paths:
    """A hundred paths that spend 1 to 100 on the tenth day, and nothing else."""
    amounts = np.zeros((100, 20))
    amounts[:, 9] = np.arange(1, 101)
    return paths_of(amounts)


def example() -> TopUpPlan:
    """The example of docs/forecasts.md: twenty paths, of which one spends 15 a day and the others 10."""
    amounts = np.full((20, 60), 10.0)
    amounts[7] = 15.0
    return advise(
        paths_of(amounts),
        "170.00",
        lead_days=3,
        minimum_amount=Decimal("50.00"),
        tax_rate=Decimal("0.21"),
        pending_amount=Decimal("25.00"),
    )


def test_the_arithmetic_by_hand():
    found = example()

    # 17 days are paid for, so 19 of 20 paths run dry on the 18th, the expensive one on the 12th: at 5 % one may.
    assert found.risk_passed_date == AS_OF + 18 * DAY == date(2026, 12, 8)
    assert found.order_by_date == date(2026, 12, 4)
    assert found.arrival_date == date(2026, 12, 7)
    assert found.cover_until_date == date(2027, 1, 6)
    assert found.spend_quantile_amount == 470  # 47 days of 10
    assert found.needed_amount == 300
    assert found.topup_amount == 300
    assert found.topup_gross_amount == 363
    assert found.with_topup_probability == found.topup_risk_probability == 0.05
    assert found.without_topup_probability == 1
    assert (found.is_late, found.is_capped) == (False, False)
    assert found.topup_advice == (
        "Order 300.00 EUR (363.00 with tax) by 4 December: the chance of running dry by 6 January 2027 is then 5 %; "
        "without the top-up it exceeds 5 % on 8 December; a deposit of 25.00 EUR is pending and not included."
    )


def test_the_quantile_is_a_path_that_was_drawn():
    found = advise(ladder(), "90", risk=0.05)
    assert (found.spend_quantile_amount, found.needed_amount) == (95, 5)
    assert advise(ladder(), "10", risk=0.29).spend_quantile_amount == 71
    assert advise(ladder(), "10", risk=0.001).spend_quantile_amount == 100


def test_a_chance_that_equals_the_risk_does_not_pass_it():
    assert advise(ladder(), "95", risk=0.05).order_by_date is None
    assert advise(ladder(), "94", risk=0.05).risk_passed_date == AS_OF + 10 * DAY


def test_an_order_arrives_the_day_before_the_risk_is_passed():
    for lead in (0, 1, 7):
        found = advise(steady(), "150", lead_days=lead)
        assert found.risk_passed_date == AS_OF + 16 * DAY
        assert found.arrival_date == AS_OF + 15 * DAY
        assert found.order_by_date == found.arrival_date - lead * DAY
    assert advise(steady(), "150", lead_days=Decimal("1.5")).topup_lead_days == 2


def test_on_the_last_day_it_is_not_late_and_on_the_next_it_is():
    last = advise(steady(), "150").order_by_date
    on_it, after = advise(steady(), "150", issue_date=last), advise(steady(), "150", issue_date=last + DAY)

    assert (on_it.is_late, on_it.order_by_date) == (False, last)
    assert (after.is_late, after.order_by_date) == (True, last + DAY)
    assert after.arrival_date == after.risk_passed_date
    assert on_it.topup_advice.startswith(
        "Order 300.00 EUR today, 3 December, the last day to order in time: the chance"
    )
    assert after.topup_advice == (
        "Order 310.00 EUR now: the last day to order in time was 3 December, and an order of 4 December arrives on 6 "
        "December; the chance of running dry exceeds 5 % on 6 December; by 5 January 2027 the chance is under 0.1 % with "
        "the top-up and over 99.9 % without it."
    )


def test_a_late_order_does_not_promise_what_it_cannot_keep():
    found = advise(steady(), "15", lead_days=5)

    assert found.is_late
    assert found.risk_passed_date == AS_OF + 2 * DAY
    assert found.with_topup_probability == 1
    assert "by 26 December the chance is over 99.9 % with the top-up and over 99.9 % without it" in found.topup_advice


def test_a_credit_counts_at_the_end_of_its_day():
    found = advise(steady(), "5", lead_days=0)
    assert (found.arrival_date, found.risk_passed_date) == (TODAY, TODAY)
    assert found.with_topup_probability == 0
    # Credited on the day of the balance, it is not below zero on any following day.
    assert advise(steady(), "-5", lead_days=0, issue_date=AS_OF).with_topup_probability == 0


def test_an_order_may_arrive_on_the_last_day_of_the_paths():
    found = advise(steady(), "5", lead_days=59)
    assert found.arrival_date == found.cover_until_date == found.horizon_date
    assert found.needed_amount == 595
    assert found.is_capped


def test_waiting_for_the_last_day_is_counted_in_the_chance():
    # Five paths run dry before the order arrives and stop, five others spend much afterwards.
    amounts = np.zeros((100, 40))
    amounts[:5, 3] = 101
    amounts[5:20, 10] = 150
    amounts[5:10, 20] = 50
    found = advise(paths_of(amounts), "100")

    assert found.risk_passed_date == AS_OF + 11 * DAY
    assert found.topup_amount == 50
    assert found.with_topup_probability == 0.1


def test_a_negative_balance_is_filled_first():
    found = advise(steady(), "-40", lead_days=0, cover_days=10)

    assert found.is_late
    assert found.cover_until_date == TODAY + 10 * DAY
    assert found.needed_amount == 110 + 40
    assert found.with_topup_probability == 1
    assert found.topup_advice == (
        "Order 150.00 EUR now: the balance is below zero until the top-up arrives, on 21 November if ordered on 21 November; "
        "the chance that the balance then lasts until 1 December is 95 % or more."
    )


def test_refunds_do_not_hide_what_is_spent_before_them():
    found = advise(paths_of([[30.0, 0, 0, -30.0, 0, 0]]), "10", lead_days=0)
    assert found.spend_quantile_amount == 30
    assert advise(paths_of([[-30.0, -30.0]]), "-10", lead_days=0).needed_amount == 10


def test_within_the_accepted_risk_nothing_is_ordered():
    found = advise(steady(), "600", pending_amount=Decimal(7), tax_rate=Decimal("0.2"), minimum_amount=Decimal(50))

    assert found.risk_passed_date is found.order_by_date is found.arrival_date is None
    assert found.cover_until_date == found.horizon_date == AS_OF + 60 * DAY == date(2027, 1, 19)
    assert found.needed_amount == found.topup_amount == found.topup_gross_amount == 0
    assert (found.is_late, found.is_capped) == (False, False)
    assert found.topup_advice == (
        "No top-up is needed before 17 January 2027: the chance of running dry by 19 January 2027, the end of the "
        "forecast, is under 0.1 %; a deposit of 7.00 EUR is pending and not included."
    )
    assert advise(steady(), "599.99").order_by_date == AS_OF + 57 * DAY


def test_an_amount_is_capped_at_the_end_of_the_paths():
    found = advise(steady(days=20), "150")

    assert found.is_capped
    assert found.cover_until_date == AS_OF + 20 * DAY
    assert found.needed_amount == 50
    assert "by 10 December, the end of the forecast, is" in found.topup_advice
    assert not advise(steady(days=45), "150").is_capped
    assert advise(steady(days=44), "150").is_capped


def test_the_minimum_is_kept_only_where_something_is_needed():
    found = advise(steady(), "150", cover_days=1, minimum_amount=Decimal("50"))

    assert (found.needed_amount, found.topup_amount) == (10, 50)
    assert "Order 50.00 EUR, the smallest possible order, by" in found.topup_advice
    assert "the smallest" not in advise(steady(), "150", minimum_amount=Decimal("50")).topup_advice


@pytest.mark.parametrize(
    ("scale", "net", "gross"),
    [(0, "2", "3"), (1, "1.3", "1.6"), (2, "1.24", "1.49"), (9, "1.234567891", "1.481481470")],
)
def test_amounts_are_rounded_up_to_what_can_be_ordered(scale, net, gross):
    paths = paths_of([[1.2345678905, 0, 0]])
    found = advise(paths, "0", lead_days=0, scale=scale, tax_rate=Decimal("0.2"), unit_code="some-credit")

    assert found.spend_quantile_amount == found.needed_amount == Decimal("1.234567891")
    assert (str(found.topup_amount), str(found.topup_gross_amount)) == (net, gross)
    assert f"Order {net} some-credit ({gross} with tax) " in found.topup_advice


def test_credits_with_a_price_are_stated_in_money_too():
    price = {"price_amount": Decimal("0.0812"), "price_unit_code": "USD", "unit_code": "some-credit", "scale": 0}
    assert "Order 300 some-credit (24.36 USD) by " in advise(steady(), "150", **price).topup_advice
    taxed = advise(steady(), "150", tax_rate=Decimal("0.21"), **price)
    assert "Order 300 some-credit (24.36 USD, 29.48 USD with tax) by " in taxed.topup_advice
    assert "USD" not in advise(steady(), "1000", **price).topup_advice


def test_the_billing_page_is_named_where_something_is_to_be_ordered():
    page = "https://vendor.example/billing"
    assert advise(steady(), "150", billing_url=page).topup_advice.endswith(f". Billing page: {page}")
    assert "Billing page" not in advise(steady(), "150").topup_advice
    assert "Billing page" not in advise(steady(), "1000", billing_url=page).topup_advice


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 30), st.integers(0, 9), st.integers(-40, 700), st.integers(2, 60))
def test_the_words_fit_the_day_on_which_they_are_read(passed, lead, balance, days):
    # `passed` days after the balance, which may be older than the last day to order or than the day of running dry.
    today = TODAY + passed * DAY
    lead = min(lead, days - 1)
    found = advise(steady(days=days), str(balance), lead_days=lead, today=today)
    words, last = found.topup_advice, found.last_order_date

    def spelled(day: date) -> str:
        return f"{day.day} {day:%B}" + ("" if day.year == TODAY.year else f" {day.year}")

    if last is None:
        assert words.startswith("No top-up is needed ")
        stated = words.split(":")[0].removeprefix("No top-up is needed ")
        free_until = found.horizon_date - lead * DAY
        assert stated == (f"before {spelled(free_until)}" if free_until > today else "today")
        return
    order = words.split(":")[0]
    assert order.startswith("Order ")
    assert "late" not in words
    if today < last:
        assert order.endswith(f" by {spelled(last)}")
        assert "today" not in words
        assert "now" not in words
    elif today == last:
        assert order.endswith(f" today, {spelled(last)}, the last day to order in time")
        assert "now" not in words
    else:
        assert order.endswith(" now")
        assert f"arrives on {spelled(today + lead * DAY)}" in words or (
            f"on {spelled(today + lead * DAY)} if ordered on {spelled(today)}" in words and balance < 0
        )
        assert ("is then" in words or "without it" in words or "then lasts" in words) == (today == found.issue_date)
        assert balance < 0 or f"the last day to order in time was {spelled(last)}" in words
        if balance >= 0:
            assert ("has exceeded" in words) == (found.risk_passed_date <= today)


def test_the_noise_of_floats_is_not_money():
    found = advise(paths_of([[0.1, 0.2, 0.0]]), "0", lead_days=0)
    assert (found.needed_amount, found.topup_amount) == (Decimal("0.3"), Decimal("0.30"))
    assert advise(paths_of([[0.1, 0.2, 0.0]]), "0.3", lead_days=0).order_by_date is None
    assert advise(paths_of([[1e9 + 0.01, 0.0]]), "1000000000", lead_days=0).needed_amount == 0


def test_pending_deposits_are_shown_and_not_deducted():
    without, little, enough = (
        advise(steady(), "150", pending_amount=pending) for pending in (None, Decimal("12.5"), Decimal(300))
    )
    assert without.topup_amount == little.topup_amount == enough.topup_amount
    assert "pending" not in without.topup_advice
    assert little.topup_advice.endswith("; a deposit of 12.50 EUR is pending and not included.")
    assert enough.topup_advice.endswith("is pending and not included, and would be enough once it is credited.")


def test_digits_beyond_those_of_floats_are_kept():
    found = advise(steady(1e15), "123456789012345678.123456789")
    assert found.day_start_amount == Decimal("123456789012345678.123456789")
    owed = advise(steady(), "-123456789012345678.123456789", lead_days=0, cover_days=1, scale=9)
    assert owed.needed_amount == owed.topup_amount == Decimal("123456789012345698.123456789")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"lead_days": -1}, "lead_days is -1"),
        ({"lead_days": Decimal("NaN")}, "lead_days is NaN"),
        ({"lead_days": 60}, "arrives 60 days later"),
        ({"risk": 0.0}, "risk is 0.0"),
        ({"risk": 1.0}, "risk is 1.0"),
        ({"risk": float("nan")}, "risk is nan"),
        ({"cover_days": 0}, "cover_days is 0"),
        ({"cover_days": 1.5}, "cover_days is 1.5"),
        ({"minimum_amount": Decimal(-1)}, "minimum_amount is -1"),
        ({"minimum_amount": 5.0}, "minimum_amount is a float"),
        ({"tax_rate": Decimal("-0.2")}, "tax_rate is -0.2"),
        ({"tax_rate": Decimal("NaN")}, "tax_rate is NaN"),
        ({"pending_amount": Decimal(-1)}, "one: pending_amount is -1"),
        ({"scale": -1}, "one: scale is -1"),
        ({"scale": 10}, "one: scale is 10"),
        ({"issue_date": AS_OF - DAY}, "one: issue_date is 2026-11-19, before the balance of 2026-11-20"),
    ],
)
def test_an_impossible_plan_is_refused_with_the_account(wrong, words):
    with pytest.raises(InputError, match=re.escape(words)):
        advise(steady(), "150", **wrong)


@pytest.mark.parametrize("balance", ["NaN", "Infinity", "0.0000000001", "1e30", "1e60"])
def test_a_balance_that_is_no_money_is_refused(balance):
    with pytest.raises(InputError, match=r"one: balance is"):
        advise(steady(), balance)


@pytest.mark.parametrize("amounts", [[[1.0, np.nan]], [[np.inf, 1.0]], np.zeros((0, 5)), np.zeros((5, 0))])
def test_paths_that_are_none_are_refused(amounts):
    with pytest.raises(InputError, match="one: the paths are empty, or hold NaN"):
        advise(paths_of(amounts), "1")


def test_money_is_never_a_float():
    with pytest.raises(InputError, match="balance is a float"):
        plan(steady(), balance=1.0, terms=Terms(lead_days=0), issue_date=TODAY)


CENTS = st.integers(-2_000, 30_000).map(lambda cents: Decimal(cents) / 100)


@st.composite
def worlds(draw) -> Paths:
    """Spend in cents, most of it usage, sometimes nothing or a refund."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, days = draw(st.integers(1, 60)), draw(st.integers(12, 60))
    amounts = np.round(rng.gamma(1.0, draw(st.sampled_from([0.5, 5.0, 40.0])), (count, days)), 2)
    amounts[rng.random((count, days)) < draw(st.sampled_from([0.0, 0.5, 0.95]))] = 0
    if draw(st.booleans()):
        amounts[rng.random((count, days)) < 0.05] *= -1
    return paths_of(amounts)


@st.composite
def conditions(draw) -> dict[str, object]:
    return {
        "risk": draw(st.sampled_from([0.01, 0.05, 0.07, 0.29, 0.5, 0.9])),
        "lead_days": draw(st.integers(0, 9)),
        "cover_days": draw(st.integers(1, 40)),
        "minimum_amount": draw(st.none() | st.sampled_from([Decimal(0), Decimal("9.99"), Decimal(500)])),
        "tax_rate": draw(st.none() | st.sampled_from([Decimal(0), Decimal("0.2"), Decimal("0.195")])),
        "scale": draw(st.sampled_from([0, 2, 5])),
    }


def dry_by_hand(paths: Paths, balance: Decimal, day: date) -> float:
    """The share of paths below zero at the end of a day up to `day`, in exact cents."""
    cents = np.round(paths.amounts * 100).astype(np.int64)[:, : (day - AS_OF).days]
    left = int(balance * 100_000) - 1_000 * np.cumsum(cents, axis=1)
    return float(((left < 0).any(axis=1) | (balance < 0)).mean())


@settings(max_examples=200, deadline=None)
@given(worlds(), CENTS, conditions())
def test_a_plan_keeps_its_promise(paths, balance, terms):
    found = advise(paths, str(balance), **terms)
    needed, net, gross = found.needed_amount, found.topup_amount, found.topup_gross_amount

    assert dry_by_hand(paths, balance + net, found.cover_until_date) <= found.topup_risk_probability
    assert found.without_topup_probability == dry_by_hand(paths, balance, found.cover_until_date)
    if needed == 0:
        assert net == 0
        assert found.order_by_date is None
        assert dry_by_hand(paths, balance, found.horizon_date) <= found.topup_risk_probability
    else:
        # A cent less than the needed amount is not enough.
        assert (
            dry_by_hand(paths, balance + needed - Decimal("0.01"), found.cover_until_date)
            > found.topup_risk_probability
        )
        assert net >= max(needed, found.topup_minimum_amount or 0)
        assert net - max(needed, found.topup_minimum_amount or 0) < Decimal(1).scaleb(-terms["scale"])
        assert found.order_by_date >= found.issue_date
        assert found.arrival_date == found.order_by_date + found.topup_lead_days * DAY
        assert found.cover_until_date == min(found.arrival_date + found.topup_cover_days * DAY, found.horizon_date)
        assert found.is_capped == (found.cover_until_date < found.arrival_date + found.topup_cover_days * DAY)
        assert dry_by_hand(paths, balance, found.risk_passed_date) > found.topup_risk_probability
        if found.risk_passed_date > TODAY:
            assert dry_by_hand(paths, balance, found.risk_passed_date - DAY) <= found.topup_risk_probability
        assert found.is_late == (found.arrival_date >= found.risk_passed_date)
    assert needed == max(found.spend_quantile_amount - found.day_start_amount, 0)
    if found.tax_rate is None:
        assert gross is None
    else:
        assert 0 <= gross - net * (1 + found.tax_rate) < Decimal(1).scaleb(-terms["scale"])


@settings(max_examples=100, deadline=None)
@given(worlds(), CENTS, CENTS, conditions(), st.sampled_from([0.01, 0.05, 0.3, 0.8]))
def test_less_risk_and_less_balance_never_need_less_for_the_same_days(paths, one, other, terms, risk):
    # Up to the paths' end: otherwise a later order also covers later days, and may need more.
    terms |= {"cover_days": 60, "scale": 9}
    low, high = sorted((one, other))
    assert advise(paths, str(low), **terms).needed_amount >= advise(paths, str(high), **terms).needed_amount
    bold, careful = sorted((risk, terms["risk"]), reverse=True)
    assert (
        advise(paths, str(low), **(terms | {"risk": careful})).needed_amount
        >= advise(paths, str(low), **(terms | {"risk": bold})).needed_amount
    )


@settings(max_examples=100, deadline=None)
@given(worlds(), CENTS, conditions(), st.sampled_from([2, 10, 1000]))
def test_another_unit_is_the_same_plan(paths, balance, terms, factor):
    terms |= {"minimum_amount": None, "scale": 2}
    one = advise(paths, str(balance), **terms)
    other = advise(paths_of(paths.amounts * factor), str(balance * factor), **terms)

    assert other.order_by_date == one.order_by_date
    assert other.cover_until_date == one.cover_until_date
    assert other.needed_amount == one.needed_amount * factor
    assert other.with_topup_probability == one.with_topup_probability


@settings(max_examples=50, deadline=None)
@given(worlds(), CENTS, conditions())
def test_the_order_of_paths_does_not_matter(paths, balance, terms):
    assert advise(paths_of(paths.amounts[::-1]), str(balance), **terms) == advise(paths, str(balance), **terms)
