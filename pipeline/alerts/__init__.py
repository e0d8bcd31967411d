"""Alerts: rules, their state machine, and messages. A failed reading never looks like an empty account."""
