"""From the models to what the cluster checks: structural schemas and CustomResourceDefinitions."""
