"""Dagster's web interface, restricted to known host names and to requests from its own pages.

`python -m pipeline.orchestration.web_interface` takes the arguments of `dagster-webserver`, or after `dev` those of
`dagster dev`. Dagster itself answers to any host name, so a page on the Internet whose name resolves to 127.0.0.1 could
read balances and start runs through the browser of whoever opens it. `DRAWDOWN_WEB_NAMES` has additional names,
separated by commas, such as that of a proxy.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, Final

from pipeline.support.errors import UsageError
from pipeline.support.web_hosts import HOST_NAME, LOOPBACK_NAMES, LiteralHosts, SameOrigin

NAMES_VARIABLE: Final = "DRAWDOWN_WEB_NAMES"
_DAGSTERS_OWN: Final = ["-m", "dagster_webserver"]
_GUARDED: Final = ["-m", "pipeline.orchestration.web_interface"]


def names() -> list[str]:
    """Host names that the interface answers to. Raises UsageError for an invalid one."""
    further = [each.strip() for each in os.environ.get(NAMES_VARIABLE, "").split(",") if each.strip()]
    for name in further:
        if not HOST_NAME.fullmatch(name):
            raise UsageError(f"{NAMES_VARIABLE}: {name[:80]!a} is not a host name")
    return [*LOOPBACK_NAMES, *further]


def webserver() -> None:
    """Run Dagster's web server, guarded. Does not return."""
    known = names()
    cli: Any = import_module("dagster_webserver.cli")
    make = cli.create_app_from_workspace_process_context

    def guarded(*given: Any, **more: Any) -> Any:
        return LiteralHosts(SameOrigin(make(*given, **more)), known)

    # Dagster creates its application here; it has no setting for middleware.
    cli.create_app_from_workspace_process_context = guarded
    cli.main()


def dev() -> None:
    """Run `dagster dev` with its web server guarded. Does not return."""
    names()
    dagster_dev: Any = import_module("dagster._cli.dev")
    start = dagster_dev.open_ipc_subprocess

    def guarded(parts: list[str], **more: Any) -> Any:
        if parts[1:3] == _DAGSTERS_OWN:
            parts = [parts[0], *_GUARDED, *parts[3:]]
        return start(parts, **more)

    dagster_dev.open_ipc_subprocess = guarded
    dagster_dev.dev_command(prog_name="dagster dev")


def main() -> None:
    """Run the command that the arguments name."""
    try:
        if sys.argv[1:2] == ["dev"]:
            del sys.argv[1]
            dev()
        webserver()
    except UsageError as problem:
        print(f"drawdown: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)


if __name__ == "__main__":
    main()
