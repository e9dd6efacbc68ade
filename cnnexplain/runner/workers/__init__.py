"""What explains pictures: within one process, in several, or on a cluster."""
