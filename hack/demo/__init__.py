"""The demonstration: a good change promoted, a bad one rolled back, a primary that dies, a cache that is kept,
a model that fails, under a steady load."""
