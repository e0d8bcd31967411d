"""The Typer application, options shared by its commands, and its exit codes."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from typing import Annotated, Any, Final

import typer

from pipeline import __version__
from pipeline.cli import completion
from pipeline.support.errors import DrawdownError
from pipeline.support.notices import forward_uncollected
from pipeline.support.printable import printable

app = typer.Typer(
    name="drawdown",
    help="A fuel gauge for prepaid vendor accounts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Accounts = Annotated[
    list[str],
    typer.Option(
        "--account", metavar="ID", help="Only this account; may be repeated.", autocompletion=completion.accounts
    ),
]
AsOf = Annotated[str, typer.Option(metavar="INSTANT", help="Set the clock of the whole run (sandboxes only).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as in every shell."""


def complain(problem: object) -> None:
    """Print an error on stderr: one line, and one more for each note of an exception, all with the same prefix."""
    for line in (problem, *getattr(problem, "__notes__", ())):
        print(f"drawdown: {printable(line)}", file=sys.stderr)


def main() -> None:
    """Run the command line; errors meant for people become lines on stderr."""
    os.umask(0o077)
    # Importing Dagster makes so many objects that the collector's default thresholds cost a sixth of the time.
    gc.set_threshold(50_000, 20, 20)
    forward_uncollected(complain)
    try:
        # Typer then raises the errors of its parser, and returns the exit code of a command.
        code = app(prog_name="drawdown", standalone_mode=False)
    except DrawdownError as problem:
        complain(problem)
        sys.exit(problem.exit_code)
    except BrokenPipeError:
        # The reader of stdout has closed it, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        complain(
            f"{where}{problem.strerror or problem}; check that the folder exists, is writable and "
            "has free space (DRAWDOWN_HOME names the state folder)"
        )
        sys.exit(1)
    except Exception as problem:
        if hasattr(problem, "format_message"):
            sys.exit(_complain_of_usage(problem))
        # A bug: print where it happened, for whoever fixes it.
        complain("this should not have happened; please report these lines")
        for line in traceback.format_exc().splitlines():
            complain(line)
        sys.exit(1)
    # Typer turns Ctrl-C into a silent exit.
    if code == INTERRUPTED:
        complain("interrupted; what was landed is kept, and the next run continues from there")
    sys.exit(code)


def _complain_of_usage(problem: Any) -> int:
    """Print an error of Typer's parser, whose classes are private, in one line, and return its exit code.

    Without arguments the error is the help, which is shown as it is.
    """
    if problem.format_message().startswith("Usage: "):
        problem.show()
    else:
        # An option without its value does not say of which command it is.
        command = problem.ctx.command_path if problem.ctx else "drawdown"
        complain(f"{problem.format_message().rstrip('.')}; see `{command} --help`")
    code: int = problem.exit_code
    return code


def _version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"drawdown {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
