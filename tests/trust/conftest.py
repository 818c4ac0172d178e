from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.trust.keys import PrivateKey, generate, read_private


def no_password() -> bytes:
    raise AssertionError("the key has no password")


@pytest.fixture
def key(tmp_path: Path) -> Callable[[str], PrivateKey]:
    """Makes keys: NAME.key and NAME.pub in the test's folder."""

    def make(name: str) -> PrivateKey:
        path = tmp_path / name
        if not path.with_suffix(".key").exists():
            generate(str(path), b"")
        return read_private(f"{path}.key", no_password)[0]

    return make
