"""Progress of long work: lines without a terminal, a bar with one, and never on stdout."""

import io
import sys

import pytest

from pipeline.cli.progress import steps


def test_without_a_terminal_each_step_is_a_plain_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with steps("Working", 3) as advance:
        advance("one [bold]")
        advance(None)
        advance("two")
    assert capsys.readouterr() == ("", "one [bold]\ntwo\n")


def test_on_a_terminal_the_steps_are_counted_and_more_than_expected_make_the_bar_longer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    with steps("Working", 1) as advance:
        advance("one [bold]")
        advance(None)
    shown = screen.getvalue()
    assert "✓" in shown
    assert "one [bold]" in shown
    assert "2/3" in shown
    assert capsys.readouterr().out == ""
