"""How well days, totals, the runway and top-ups are forecast, beside what is commonly done by hand and by libraries."""
