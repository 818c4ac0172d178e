"""Everything that envbuild reads from git repositories or sets up in them: locks in other revisions, the author of a
line, drivers that diff and merge locks.

The machine's `git` does all of it. Must not know the store.
"""
