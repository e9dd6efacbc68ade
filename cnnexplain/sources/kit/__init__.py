"""Imports of libraries that sources share with code that loads no model."""
