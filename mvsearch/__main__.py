"""`python -m mvsearch` is the same command as `mvsearch`."""

from mvsearch.cli.main import main

main()
