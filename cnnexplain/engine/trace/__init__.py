"""The one look at a model's way: layers, their runs, and which are explained."""
