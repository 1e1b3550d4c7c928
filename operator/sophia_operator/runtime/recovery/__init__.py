"""Recovery: what its loops and its targets see of it, and the loops themselves."""
