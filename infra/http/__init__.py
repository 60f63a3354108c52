"""HTTP service in front of an engine: events in, answers and files out."""
