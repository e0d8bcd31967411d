import pytest
from hypothesis import HealthCheck, given, settings, Phase
from pipeline.staging import months, load as load_module
from pipeline import models
import tests.staging.test_months as tm
from tests.staging.histories import histories

inner = tm.test_recomputing_what_each_load_touched_equals_a_full_rebuild.hypothesis.inner_test

def m_old_only(mp):
    mp.setattr(months, "_DAYS", {"ledger_entries": "CAST(new.effective_at_utc AT TIME ZONE 'UTC' AS DATE)", "usage_days": "{row}.usage_date"})
def m_no_spans(mp):
    mp.setattr(months.Spans, "touch_differences", lambda self: None)
def m_no_accounts(mp):
    mp.setattr(months.Spans, "touch_everything", lambda self: None)
def m_spans_partial(mp):
    orig = months.Spans.touch_differences
    def f(self):
        after = self._spans()
        for a in self._before.keys() | after.keys():
            o, n = self._before.get(a), after.get(a)
            if o == n or (o and n and o[0] == n[0] and o[2] != n[2] and o[1] == n[1]): continue
            for s in filter(None,(o,n)): self._touch(s[1], s[2])
    mp.setattr(months.Spans, "touch_differences", f)
def m_balances(mp):
    orig = months.touch
    def f(connection, days):
        if "generate_series" in days and "arrived" in days:
            days = "SELECT observed_at_utc AT TIME ZONE 'UTC' AS day FROM arrived"
        return orig(connection, days)
    mp.setattr(months, "touch", f)

@pytest.mark.parametrize("mutant", [m_old_only, m_no_spans, m_no_accounts, m_spans_partial, m_balances])
def test_mutant(mutant, monkeypatch, new_workshop):
    mutant(monkeypatch)
    @settings(max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    @given(loads=histories())
    def go(loads):
        inner(new_workshop, loads)
    with pytest.raises(AssertionError):
        go()
