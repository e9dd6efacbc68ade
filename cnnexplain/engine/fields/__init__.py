"""Receptive fields, followed through one pass."""
