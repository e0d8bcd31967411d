"""The four vendors' APIs over a simulated world, behind a real socket: for demo, command line and tests.

The European Central Bank's exchange rates are there, too.

The pipeline uses nothing of this package, and this package uses nothing of the pipeline.
"""

from pipeline.sandbox.server import Sandbox, serve_forever, start

__all__ = ["Sandbox", "serve_forever", "start"]
