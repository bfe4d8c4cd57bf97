"""What runs the stages: I/O, state and order."""
