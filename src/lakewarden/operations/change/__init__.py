"""Changes of the model: roll back, promote, watch, and what a version decided (runbook section 6)."""
