"""Alerts: who must be told what. A bad reading never looks like an empty account."""
