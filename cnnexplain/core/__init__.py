"""The nouns: frozen dataclasses with shapes and invariants. No files, no hooks."""
