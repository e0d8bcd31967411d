"""Topping up: advice for an account, a vendor's automatic top-ups, and both replayed on past spend."""

from pipeline.forecasts.topup.advice import plan
from pipeline.forecasts.topup.topup_plan import Terms, TopUpPlan

__all__ = ["Terms", "TopUpPlan", "plan"]
