"""One file a runbook section."""
