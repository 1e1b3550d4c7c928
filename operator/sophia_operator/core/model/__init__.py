"""Decisions about ModelRoutes: pure functions over frozen values."""
