"""Evidence: what is asked of Prometheus and of the service itself, and what the answers say. Pure."""
