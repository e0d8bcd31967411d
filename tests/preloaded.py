"""Everything that commands import, for the fork server of `tests.forked`."""

import gc

import pipeline.cli
import pipeline.orchestration.refresh
import tests.bench

__all__ = ["pipeline", "tests"]

# The collector leaves these objects alone, so that forked processes share their memory.
gc.freeze()
