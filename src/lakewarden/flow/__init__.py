"""The stages, one file each: pure functions from tables to tables."""
