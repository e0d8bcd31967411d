"""Run the `drawdown` command where no script is installed: `python -m pipeline.cli`."""

from pipeline.cli import main

main()
