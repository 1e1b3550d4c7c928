"""Recovery: symptoms, what is decided about them, and what becomes of an act. Pure."""
