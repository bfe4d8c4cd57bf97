"""What a running stream tells the outside: metrics, logs, and its pulse in the lake. Never an event's content, never a secret."""
