"""`python -m pipeline.cli`: the `drawdown` command where no script is installed."""

from pipeline.cli import main

main()
