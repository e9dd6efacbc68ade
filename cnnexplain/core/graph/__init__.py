"""A model as a graph: what ran, what went where, how that is folded and where it stands in a drawing."""
