"""Process in which an upgrade rebuilds the warehouse: `python -m pipeline.orchestration.rebuild_process`."""

from __future__ import annotations

import os
import sys

from pipeline.orchestration.refresh import rebuild
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.support.printable import printable


def main() -> int:
    """Rebuild the warehouse of `DRAWDOWN_HOME`; returns 1, after a line on stderr, if that fails."""
    os.umask(0o077)
    try:
        rebuild(Home.from_environment(), is_published=False)
    except DrawdownError as problem:
        print(printable(problem), file=sys.stderr)
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
