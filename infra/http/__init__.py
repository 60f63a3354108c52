"""The service of a county office: HTTP in front of the embedded engine."""
