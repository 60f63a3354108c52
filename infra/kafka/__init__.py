"""The engine for many machines: Faust workers over Kafka. Read `faust_app.py` first."""
