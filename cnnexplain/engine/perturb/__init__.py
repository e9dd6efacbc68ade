"""Many variants of one image at the cost of what makes them differ."""
