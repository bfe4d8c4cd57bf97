"""Streaming replay (runbook section 4): plan, run into a sandbox, validate, clean up. No production table is written here."""
