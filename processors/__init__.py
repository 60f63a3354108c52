"""What is decided: pure functions over events and state. Read `topology.py` first."""
