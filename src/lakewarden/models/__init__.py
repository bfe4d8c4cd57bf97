"""Training, registry and the published protocol."""
