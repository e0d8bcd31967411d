"""The report: one self-contained HTML page of a published build, readable without a database.

`report_queries` reads the build; each query is shown beside its result. `charts` draws what `pipeline.forecasts.plots`
does not, `words` formats numbers, `page` assembles and writes the page.
"""

from pipeline.published.report.page import current_report, publish_report

__all__ = ["current_report", "publish_report"]
