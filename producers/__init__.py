"""How events get in: publisher, files, PDF packets, HTTP."""
