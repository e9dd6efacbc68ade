"""The story of `check`."""
