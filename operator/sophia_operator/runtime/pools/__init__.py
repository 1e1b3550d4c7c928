"""The loop of ConnectionPools: what it sees, whom it asks, and how its decisions are carried out."""
