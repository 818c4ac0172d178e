"""Programs that run in a sandbox, with the tree's own interpreter: nothing here is imported by envbuild itself.

They use the standard library of Python 3.8 and later, and what is mounted beside them.
"""
