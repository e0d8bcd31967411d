"""The four vendors' APIs over a simulated world, behind a real socket: for demo, command line and tests.

Nothing in here is used by the pipeline, and nothing of the pipeline is used in here.
"""

from pipeline.sandbox.server import Sandbox, serve_forever, start

__all__ = ["Sandbox", "serve_forever", "start"]
