"""sophia-operator: services rolled out blue-green, gated on what Prometheus saw."""
