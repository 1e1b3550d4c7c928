"""The demonstration: a good change promoted, a bad one rolled back, under a steady load of real requests."""
