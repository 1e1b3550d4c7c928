"""What developers and demos run."""
