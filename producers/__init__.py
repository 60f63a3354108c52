"""Ways in for events: files, tables, PDF packets, and the events that agencies write."""
