"""Benchmarks. `python -m bench.<name>` runs one: it prints a table and writes `out/bench/<name>.json`."""
