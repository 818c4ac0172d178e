"""Readers are on a disk: `--here` refuses what would be below an image's own /dev."""

from tests.store.conftest import tmp_path

__all__ = ["tmp_path"]
