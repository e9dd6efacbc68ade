"""Findings -> results.jsonl and index.html."""
