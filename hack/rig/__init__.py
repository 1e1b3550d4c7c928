"""What the demo, the end-to-end tests and the benchmarks share: a small API client, test services, and figures."""
