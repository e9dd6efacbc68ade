"""From what a model returns to class scores."""
