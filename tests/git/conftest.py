"""A project in a git repository, as the tests of history have it."""

from tests.history.conftest import again, git, packages

__all__ = ["again", "git", "packages"]
