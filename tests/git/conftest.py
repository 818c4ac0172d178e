"""A project in a git repository, as the tests of history have it."""

from tests.history.conftest import git, packages

__all__ = ["git", "packages"]
