"""The event and score contracts: JSON Schemas and what compiles them."""
