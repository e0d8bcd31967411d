"""Topping up: advice for an account, a vendor's automatic top-ups, and both replayed on past spend."""

from pipeline.forecasts.topup.advice import Terms, TopUpPlan, plan

__all__ = ["Terms", "TopUpPlan", "plan"]
