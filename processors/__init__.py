"""Decisions: pure functions over events and state. Read `topology.py` first."""
