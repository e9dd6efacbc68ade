"""Where the map of a layer lies on the input."""
