"""How SQL puts an age into words: in the warehouse as a macro, in a published build, which has none, as text."""

from __future__ import annotations


def age_words(seconds: str) -> str:
    """The SQL expression of an age in words, as in `90 minutes`; NULL for NULL."""
    return f"""CASE
            WHEN {seconds} < 7200 THEN CAST(CAST(round({seconds} / 60) AS BIGINT) AS VARCHAR) || ' minutes'
            WHEN {seconds} < 172800 THEN CAST(CAST(round({seconds} / 3600) AS BIGINT) AS VARCHAR) || ' hours'
            ELSE CAST(CAST(round({seconds} / 86400) AS BIGINT) AS VARCHAR) || ' days'
        END"""
