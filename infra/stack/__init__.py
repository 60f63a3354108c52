"""A Kafka and an S3 store on this machine, from wheels alone, for trying out and for tests.

Read `local.py` first. Nothing here is meant for production: one broker, one copy of everything, loopback only.
"""
