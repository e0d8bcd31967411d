"""Wiring: Dagster definitions, whole refreshes, upgrades, and what watches runs."""
