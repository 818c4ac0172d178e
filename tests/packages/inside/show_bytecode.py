"""Prints the flags of the bytecode of the package alpha (PEP 552), and whether its hash is that of the source."""

import importlib.util
from pathlib import Path

import alpha

header = Path(importlib.util.cache_from_source(alpha.__file__)).read_bytes()[:16]
source = Path(alpha.__file__).read_bytes()
print("flags", header[4])
print("hash", header[8:] == importlib.util.source_hash(source))
