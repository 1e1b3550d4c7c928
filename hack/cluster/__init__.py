"""One command that brings up a Kubernetes cluster for the demo and the tests: ``python -m hack.cluster up``.

Design and reasons: docs/design/local-cluster.md.
"""
