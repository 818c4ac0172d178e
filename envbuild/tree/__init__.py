"""The Merkle tree: entries, digests, diff, apply, merge. Data to data; only `scan` reads a directory."""
