"""Backfill: historical files, through staging, in front of everything that a lake has (runbook section 5, docs/adr/0018)."""
