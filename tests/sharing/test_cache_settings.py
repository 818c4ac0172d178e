"""The file that says which shared caches builds use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from envbuild.sharing.cache_settings import BadCacheSettings, CacheSettings, read_settings


def test_what_a_file_says(tmp_path: Path):
    path = tmp_path / "cache.toml"
    path.write_text('from = ["a.example/x", "b.example/y"]\nto = "a.example/x"\nmounts = true\npatience = 0.5\n')
    assert read_settings(str(path)) == CacheSettings(("a.example/x", "b.example/y"), ("a.example/x",), True, 0.5)
    path.write_text("")
    assert read_settings(str(path)) == CacheSettings()


@pytest.mark.parametrize(
    "text",
    [
        "from = 5",
        "from = [5]",
        "form = []",
        "mounts = 1",
        "patience = 0",
        "patience = nan",
        "patience = true",
        "patience = 1e9",
        "[",
        f"from = {['x'] * 21}",
        "\x00",
    ],
)
def test_what_is_no_setting_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "cache.toml"
    path.write_text(text)
    with pytest.raises(BadCacheSettings):
        read_settings(str(path))


def test_a_file_that_everybody_can_change_is_refused(tmp_path: Path):
    path = tmp_path / "cache.toml"
    path.write_text("")
    path.chmod(0o666)
    with pytest.raises(BadCacheSettings, match="everybody"):
        read_settings(str(path))
    with pytest.raises(BadCacheSettings):
        read_settings(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadCacheSettings):
        read_settings(str(tmp_path / "pipe"))
