"""Competitors as the command line names them: a function of a module, or a file of answers."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from pipeline.forecasts.backtest_scores import METHODS
from pipeline.forecasts.competitor_questions import ARROW, FORMATS, PARQUET
from pipeline.forecasts.competitors import Competitor, ForecastFunction, check_rows, measure_of
from pipeline.support.errors import UsageError, first_line

_FUNCTION: Final = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,19}")
"""A longer name would not leave room for the other columns of a table in a terminal."""
_TAKEN: Final = {*METHODS, "vendor", "burn_now"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A competitor as it was named, before its answers are read."""

    name: str
    what: str
    """The function, or the file."""
    answers: pl.DataFrame | None = None
    """The rows of the file; None for a function."""
    function: ForecastFunction | None = None

    def competitor(self, known: Collection[str]) -> Competitor:
        """Return the competitor; `known` are the accounts that it may answer about. Raises UsageError."""
        if self.function is not None:
            return Competitor(name=self.name, forecast=self.function, where=self.what)
        assert self.answers is not None  # noqa: S101  it is one or the other
        if not self.answers.height:
            raise UsageError(f"competitor {self.what}: the file has no rows; it has an answer to every question")
        about = f"competitor {self.what}"
        checked = check_rows(self.answers, measure_of(self.answers, about), known, about)
        by_origin = {key[0]: rows.drop("as_of_date") for key, rows in checked.group_by("as_of_date")}

        def forecast(_spend: pl.DataFrame, as_of: date, _days: int, _levels: tuple[float, ...]) -> pl.DataFrame:
            return by_origin.get(as_of, pl.DataFrame())

        return Competitor(name=self.name, forecast=forecast, where=self.what)


def read_entrant(text: str) -> Entrant:
    """Read `[NAME=]package.module:function` or `[NAME=]FILE`; the name is by default the module's or the file's.

    A module is looked for in the current folder first. Raises UsageError.
    """
    before, equals, after = text.partition("=")
    name, what = (before, after) if equals else ("", text)
    match = _FUNCTION.fullmatch(what)
    if match:
        name = name or match[1].rpartition(".")[2]
    elif Path(what).suffix in (*ARROW, PARQUET):
        name = name or Path(what).stem
    else:
        raise UsageError(
            f"--competitor {text}: neither a function, such as my_model:forecast, nor a file that ends in {FORMATS}"
        )
    if not _NAME.fullmatch(name) or name in _TAKEN:
        why = "is taken" if name in _TAKEN else "is not 1 to 20 letters, digits, dots, hyphens and underscores"
        raise UsageError(f"--competitor {text}: the name {name} {why}; name it: --competitor my-model={what}")
    if match:
        return Entrant(name=name, what=what, function=_function(match[1], match[2], what))
    return Entrant(name=name, what=what, answers=_read_file(Path(what)))


def read_entrants(texts: Collection[str]) -> list[Entrant]:
    """Read each, and refuse two of one name. Raises UsageError."""
    entrants: list[Entrant] = []
    for text in texts:
        entrant = read_entrant(text)
        if any(entrant.name == other.name for other in entrants):
            raise UsageError(
                f"--competitor {text}: another one is called {entrant.name}; name it: --competitor my-model={text}"
            )
        entrants.append(entrant)
    return entrants


def _function(module: str, name: str, what: str) -> ForecastFunction:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as problem:
        asked = problem.name is not None and (module == problem.name or module.startswith(f"{problem.name}."))
        where = f" in {here}, nor installed" if asked else ", which it imports"
        raise UsageError(f"--competitor {what}: there is no module {problem.name}{where}") from None
    except Exception as problem:
        raise UsageError(
            f"--competitor {what}: {module} cannot be imported: {type(problem).__name__}: {first_line(problem)}; "
            f'`python -c "import {module}"` shows where'
        ) from None
    finally:
        sys.path.remove(here)
    if not callable(found):
        raise UsageError(f"--competitor {what}: {module} has no function {name}; define it, or name another")
    function: Callable[..., pl.DataFrame] = found
    return function


def _read_file(path: Path) -> pl.DataFrame:
    try:
        # Read through a handle, because polars words a missing file differently in every version.
        with path.open("rb") as file:
            return pl.read_parquet(file) if path.suffix == PARQUET else pl.read_ipc(file)
    except OSError as problem:
        raise UsageError(f"--competitor {path}: {problem.strerror or problem}; name a file of answers") from None
    except (pl.exceptions.PolarsError, pa.ArrowInvalid) as problem:
        kind = "Parquet" if path.suffix == PARQUET else "Arrow IPC (Feather)"
        raise UsageError(f"--competitor {path}: it is no {kind} file: {first_line(problem)}; write it again") from None


def last_day_of(entrants: Collection[Entrant], last: date, step_days: int) -> date:
    """Return the last day of a backtest whose origins are those of the files of answers: `last` or a day before.

    Origins are counted back from the last day, so those of an earlier day are others. `last` is the last day of the
    history. Raises UsageError for answers from a day that has not come or cannot be scored, or from days that are not
    whole steps apart.
    """
    first_of: tuple[date, str] | None = None
    for entrant in entrants:
        if entrant.answers is None or not entrant.answers.height:
            continue
        about = f"competitor {entrant.what}"
        if entrant.answers.schema.get("as_of_date") != pl.Date:
            got = entrant.answers.schema.get("as_of_date")
            fault = (
                f"the column as_of_date is {got}, not Date; cast it" if got else "the answer has no column as_of_date"
            )
            raise UsageError(f"{about}: {fault}; it says from which question each answer is")
        for as_of in entrant.answers["as_of_date"].drop_nulls().unique().sort(descending=True):
            if as_of > last:
                raise UsageError(
                    f"{about}: as_of_date {as_of} is after {last}, the last day of the history; answer questions that "
                    "`drawdown backtest --questions FILE` wrote"
                )
            first_of = first_of or (as_of, entrant.what)
            if (first_of[0] - as_of).days % step_days:
                raise UsageError(
                    f"{about}: as_of_date {as_of} is not whole weeks from {first_of[0]}, which {first_of[1]} has; "
                    "answer questions that were written together"
                )
    if first_of is None:
        return last
    return last - timedelta(days=(last - first_of[0]).days % step_days)
