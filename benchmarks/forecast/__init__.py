"""Accuracy of forecasts of days, totals, runway and top-ups, compared with common manual methods and libraries."""
