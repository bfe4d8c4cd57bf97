"""Conservation and verification evidence."""
