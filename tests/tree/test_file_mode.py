"""Changes of modes, as chmod(1) makes them."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.tree.entry import DIRECTORY, FILE, LINK, Entry
from envbuild.tree.file_mode import MAX_CHANGE, change, is_change, with_mode

CLAUSES = st.builds(
    lambda who, operator, permissions: who + operator + permissions,
    st.sampled_from(["a", "u", "g", "o", "ug", "go", "ugo", "uo"]),
    st.sampled_from("+-="),
    st.text("rwxXs", min_size=1, max_size=3),
)


@settings(max_examples=8)
@given(st.lists(st.tuples(st.integers(0, 0o777), st.lists(CLAUSES, min_size=1, max_size=3)), min_size=1, max_size=40))
def test_a_change_is_what_chmod_makes(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("modes")
    paths = [folder / str(number) for number in range(len(changes))]
    script = []
    for path, (mode, clauses) in zip(paths, changes, strict=True):
        path.touch()
        path.chmod(mode)
        script.append(f"chmod {','.join(clauses)} {path}")
    subprocess.run(["sh", "-c", "\n".join(script)], check=True)
    for path, (mode, clauses) in zip(paths, changes, strict=True):
        assert oct(path.stat().st_mode & 0o7777) == oct(change(mode, ",".join(clauses), is_directory=False)), clauses


@pytest.mark.parametrize(
    ("text", "mode", "file", "directory"),
    [
        ("+x", 0o644, 0o755, 0o755),
        ("+X", 0o644, 0o644, 0o755),
        ("u=rwX,go=rX", 0o600, 0o644, 0o755),
        ("a-x", 0o755, 0o644, 0o755),
        ("go-rwx", 0o755, 0o700, 0o700),
        ("+t", 0o755, 0o1755, 0o1755),
        (0o640, 0o755, 0o640, 0o750),
    ],
)
def test_a_directory_may_be_entered_where_it_may_be_read(text, mode, file, directory):
    assert with_mode(Entry(b"", FILE, mode, 0, 0, 0), text).mode == file
    assert with_mode(Entry(b"", DIRECTORY, mode, 0, 0, 0), text).mode == directory
    assert with_mode(Entry(b"", LINK, 0o777, 0, 0, 0), text).mode == 0o777


@pytest.mark.parametrize(
    "text", ["", "x", "u", "u+", "z+x", "u+y", "u+x,", "u+x;id", "755", ",".join(["u+x"] * MAX_CHANGE)]
)
def test_anything_else_is_no_change(text):
    assert not is_change(text)
