"""Files of these tests are on a disk: what its file system does is what they are about."""

from tests.store.conftest import tmp_path

__all__ = ["tmp_path"]
