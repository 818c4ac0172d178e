"""Reads compose files: YAML into the typed model that the rest of `compose` works with."""
