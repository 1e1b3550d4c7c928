"""Writes what is generated from the API models: CRDs, the chart's copy of them, and the reference page."""
