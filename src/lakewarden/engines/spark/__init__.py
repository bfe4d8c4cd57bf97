"""The Spark engine: the same stages inside Spark; needs the extra `lakewarden[spark]`, and nothing else imports it."""
