"""Forms of the transparency log: entries, Merkle tree, tiles, signed notes, proofs (C2SP)."""
