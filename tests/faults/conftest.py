"""Stores of these tests are on a disk, as users' ones are that lose power."""

from tests.store.conftest import tmp_path

__all__ = ["tmp_path"]
