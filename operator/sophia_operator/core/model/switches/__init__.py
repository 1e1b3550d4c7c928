"""Which model serves, and how that changes. See docs/design/model-route.md."""
