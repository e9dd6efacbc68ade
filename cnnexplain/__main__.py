"""`python -m cnnexplain` is the command `cnnexplain`."""

from cnnexplain.cli.start import main

main()
