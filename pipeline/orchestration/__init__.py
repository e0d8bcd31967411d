"""Wiring: Dagster definitions, complete refreshes, upgrades, and sensors for failed and lost runs."""
