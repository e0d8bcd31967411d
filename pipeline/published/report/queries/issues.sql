select count(distinct issue_date) as day_count, min(issue_date) as first_issue_date
from forecasts.runway
