"""Topping up: the advice for an account, a vendor's automatic top-ups, and the past replayed under either."""

from pipeline.forecasts.topup.advice import Terms, TopUpPlan, plan

__all__ = ["Terms", "TopUpPlan", "plan"]
