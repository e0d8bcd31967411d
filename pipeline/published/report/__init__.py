"""The report: one self-contained HTML page of a published build, for people who open no database.

`read` asks the build and nothing else; each query is on the page beside what it yields. `charts` draws what
`pipeline.forecasts.plots` does not, `words` spells numbers, `page` puts it together and writes it.
"""

from pipeline.published.report.page import current_report, publish_report

__all__ = ["current_report", "publish_report"]
