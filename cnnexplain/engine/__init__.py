"""The torch machinery that methods speak to."""
