"""Locks: the file beside a recipe that says what a build was made of, and how two of them merge."""
