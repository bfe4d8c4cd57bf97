"""Delta tables, commits, the published point, pins and releases."""
