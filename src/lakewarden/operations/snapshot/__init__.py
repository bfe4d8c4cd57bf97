"""Regulatory snapshots: taken of a date, listed, verified, taken back (runbook sections 4.2 step 6, 5.2 step 4)."""
