"""The loop of ModelRoutes: what it sees, whom it asks beside its passes, and how its decisions are carried out."""
