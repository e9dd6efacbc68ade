"""What can be said of weights: kernels, statistics, independence, initialisations."""
