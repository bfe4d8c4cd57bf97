"""Event Hubs and Kafka: a topic as a source of events, and as a place that simulated ones go to."""
