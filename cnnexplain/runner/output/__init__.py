"""The folder of a run: what is written into it, under which names, and how a run is continued."""
