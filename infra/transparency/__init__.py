"""The transparency log: its order, tiles, sequencer, witness, and the clients that read a log."""
