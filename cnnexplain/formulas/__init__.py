"""Formulas of explanations: tensors in, tensors out. Public; each says its paper, its shapes, and has an example."""
