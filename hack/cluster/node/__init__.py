"""A real one-node Kubernetes without Docker: every process in namespaces of its own, so that one kill ends it all."""
