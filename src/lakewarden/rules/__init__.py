"""Quality rules, compliance rules and reference data, as data."""
