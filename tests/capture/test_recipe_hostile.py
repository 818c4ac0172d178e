"""A capture that somebody else made: what it says of itself becomes lines that do no more than they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from envbuild.capture import other_sources as module
from envbuild.capture.other_sources import by_source, other_sources
from envbuild.debian.apt_sources import AptSource
from envbuild.store.store import Store
from envbuild.tree.apply import Edit, edit
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from tests.capture.conftest import Machine
from tests.capture.test_recipe import lines, write_recipe

SOURCES = """\
deb [signed-by=/etc/apt/keyrings/vendor.gpg] https://packages.example.org/apt stable main
deb [signed-by=/etc/apt/keyrings/vendor.gpg] https://evil.example.org/apt stable main
deb [signed-by=/etc/apt/keyrings/vendor.gpg] https://ada:secret@packages.example.org/apt stable main
deb https://packages.example.org/nokey stable main
deb [signed-by=/etc/apt/keyrings/../../../passwd] https://packages.example.org/outside stable main
deb https://deb.example.org/debian bookworm main
deb [signed-by=/etc/apt/keyrings/vendor.gpg] https://deb.example.org/debian bookworm-backports main
deb [signed-by=/etc/apt/keyrings/vendor.gpg] file:/srv/own ./
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as made:
        yield made


def tree_of(store: Store, files: dict[str, str]) -> Digest:
    folder = Entry(b"", DIRECTORY, 0o755, 0, 0, 0)
    folders = {parent.as_posix() for path in files for parent in Path(path).parents} - {"."}
    edits = [Edit(path.encode(), folder) for path in sorted(folders)]
    for path, text in files.items():
        edits.append(Edit(path.encode(), store.objects.add(Entry(b"", FILE, 0o644, 0, 0, 0), text.encode())))
    return edit(store.trees, store.trees.save([]), edits, 0)


def test_only_sources_that_this_machine_has_are_asked(store, monkeypatch):
    uris = ("https://packages.example.org/apt", "https://packages.example.org/nokey", "https://deb.example.org/debian")
    suites = ("stable", "bookworm-backports")
    own = [AptSource(uri, suite, ("main",), ()) for uri in uris for suite in suites]
    monkeypatch.setattr(module, "machine_sources", lambda: own)
    files = {"etc/apt/sources.list": SOURCES, "etc/apt/keyrings/vendor.gpg": "key"}
    others, remarks = other_sources(store, "debian:bookworm", tree_of(store, files), "laptop")
    assert [other.options for other in others] == [
        'source="deb https://packages.example.org/apt stable main", key=laptop.keys/1-vendor.gpg',
        'source="deb https://deb.example.org/debian bookworm-backports main", key=laptop.keys/2-vendor.gpg',
    ]
    assert "the source https://evil.example.org/apt stable main: this machine does not have it" in "\n".join(remarks)
    assert "secret" not in "".join(remarks)
    having = {("tool", "1"): frozenset({others[0].place}), ("jq", "1"): frozenset({others[0].place, ("x", "bookworm")})}
    monkeypatch.setattr(module, "sources_of_versions", lambda names: having)
    assert by_source(others, ["tool=1", "jq=1", "other=2"]) == {others[0]: ["tool=1"]}


@pytest.mark.namespaces
def test_names_and_texts_of_a_hostile_machine_become_no_lines(router: Machine):
    router.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nx\trun evil:x:7:7::/:/bin/sh\n--evil:x:8:8::/:/bin/sh\n")
    router.write("/etc/group", "root:x:0:\n$(evil):x:7:\n-evil:x:9:\nstaff:x:50:\n")
    router.write("/opt/a\nrun evil\n/x", "1\n")
    router.write('/opt/$(evil)"${x}/y', "1\n")
    (router.root / "opt/link").symlink_to("/x\nrun evil")
    written = write_recipe(router)
    text = lines(router)
    assert not any(line.startswith("run evil") for line in text)
    assert not any("evil" in line for line in text if line.startswith(("adduser", "run group")))
    done = router.project.command("build", "laptop.env", "--no-cache")
    assert done.code == 0, done.err
    assert router.output("cat", "laptop-recipe", '/opt/$(evil)"${x}/y') == "1\n"
    assert written["dropped"] == []
