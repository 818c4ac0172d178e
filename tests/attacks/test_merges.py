"""Who made one side of a merge does not shape what the other side keeps, nor this machine."""

from __future__ import annotations

import pytest

from envbuild.merge.conflict_files import ConflictsNotWritten, write_conflicts
from tests.conftest import Project
from tests.merge.sides import Sides

pytestmark = pytest.mark.namespaces
MAKER = """#!/bin/sh
rm -rf /usr/lib/liba.so /etc/kept
echo eve:x:0:0::/:/bin/sh >> /etc/passwd
ln -sf /etc/shadow /etc/ld.so.cache
mkfifo /etc/ld.so.cache.d
"""


@pytest.fixture
def sides(project: Project) -> Sides:
    return Sides(project)


def test_a_caches_program_changes_nothing_else_and_its_links_are_not_followed(sides):
    for side, library in (("base", "a"), ("ours", "b"), ("theirs", "c")):
        sides.write(side, {"etc/ld.so.cache": library, f"usr/lib/lib{library}.so": "", "etc/kept": "1"})
        sides.write(side, {"usr/lib/liba.so": "", "etc/shadow": "secret", "maker": MAKER})
    sides.build("copy(mode=755) base/maker -> /sbin/ldconfig", base="tar:busybox.tar")
    assert sides.merge("--no-verify").code == 0
    assert sides.cat("/etc/ld.so.cache") in ("b", "c"), "a link is no cache"
    assert set(sides.ls("/usr/lib")) == {"liba.so", "libb.so", "libc.so"}
    assert "eve" not in sides.cat("/etc/passwd") if "passwd" in sides.ls("/etc") else True
    assert "kept" in sides.ls("/etc")


def test_a_caches_program_that_fills_its_output_is_left(sides):
    for side in ("base", "ours", "theirs"):
        sides.write(side, {"var/cache/fontconfig/x": side, "usr/share/fonts/x": side})
    script = "#!/bin/sh\ncd /var/cache/fontconfig; i=0; while [ $i -lt 10100 ]; do : > $i; i=$((i + 1)); done\n"
    sides.write("base", {"maker": script})
    sides.build("copy(mode=755) base/maker -> /usr/bin/fc-cache", base="tar:busybox.tar")
    done = sides.merge("--no-verify", "--theirs", "/usr/share/fonts/x")
    assert done.code == 0
    assert "left more than a cache has" in done.err


def test_links_of_alternatives_lead_nowhere_else(sides):
    record = "auto\n/usr/bin/x\ny\n/../../etc/passwd\n\n/bin/{0}\n{1}\n/bin/{0}\n\n"
    path = "var/lib/dpkg/alternatives/x"
    sides.write("ours", {path: record.format("a", 1)})
    sides.write("theirs", {path: record.format("b", 2)})
    sides.build()
    assert sides.conflicts() == {f"/{path}": "added"}, "no record of update-alternatives, and merged as any other file"
    assert sides.merge("--theirs", f"/{path}").code == 0
    assert set(sides.ls("/")) == {"var"}


def test_names_in_conflicts_are_shown_as_escapes(sides):
    name = "etc/\x1b[31mred\u202e"
    for side in ("base", "ours", "theirs"):
        sides.write(side, {name: side})
    sides.build()
    done = sides.merge()
    assert done.code == 1
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out


def test_conflicts_are_written_into_a_new_directory_alone(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path, tmp_path / "link"):
        with pytest.raises(ConflictsNotWritten):
            write_conflicts(None, str(path), [])
    assert not (tmp_path / "elsewhere").exists()


def test_databases_of_garbage_are_conflicts(sides):
    garbage = {
        "var/lib/dpkg/status": "Package\n" * 50_000,
        "var/lib/dpkg/alternatives/loop": "auto\n/etc/alternatives/loop\n\n/etc/alternatives/loop\n1\n\n",
        "etc/passwd": ":" * 100_000,
        "app/package-lock.json": "[" * 100_000,
        "etc/repeated": "a\nb\n" * 50_000,
    }
    for side in ("base", "ours", "theirs"):
        sides.write(side, {path: f"{text}{side}\n" for path, text in garbage.items()})
    sides.build()
    done = sides.merge()
    assert (done.code, "Traceback" in done.err) == (1, False)
    assert set(sides.conflicts()) == {f"/{path}" for path in garbage}
