"""What attacks in git need: the real git in a project's folder."""

from tests.history.conftest import git

__all__ = ["git"]
