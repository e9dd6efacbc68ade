"""What TensorBoard is told of a run."""
