"""The version control of environments: comparison, log, rollback, blame, and the review of changes in git.

Reads the store; only `rollback` moves a tag. Never prints. Must not know instances.
"""
