"""`python -m cnnexplain` is the command `cnnexplain`."""

from cnnexplain.cli.app import main

main()
