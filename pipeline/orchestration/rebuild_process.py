"""`python -m pipeline.orchestration.rebuild_process`: the process that an upgrade rebuilds the warehouse in."""

from __future__ import annotations

import os
import sys

from pipeline.orchestration.refresh import rebuild
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.support.printable import printable


def main() -> int:
    """Rebuild the warehouse of `DRAWDOWN_HOME`; 1, and a line on stderr, where that fails."""
    os.umask(0o077)
    try:
        rebuild(Home.from_environment(), is_published=False)
    except DrawdownError as problem:
        print(printable(problem), file=sys.stderr)
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
