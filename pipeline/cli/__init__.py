"""The `drawdown` command. Exit codes: 0 well, 1 something failed, 2 the request or the settings are wrong.

What is heavy is imported where it is used, so that `status` and `sql` answer at once.
"""

from pipeline.cli import read_commands as looking

# In the order of the help.
from pipeline.cli import run_commands as running
from pipeline.cli import setup_commands as beginning
from pipeline.cli import vendor_commands as vendor_listing
from pipeline.cli.app import app, main

__all__ = ["app", "beginning", "looking", "main", "running", "vendor_listing"]
