"""What can't be written, shown without overlayfs."""

from __future__ import annotations

import os

import pytest

from tests.sandbox.test_sandbox import Box, box

pytestmark = pytest.mark.namespaces
__all__ = ["box"]
KIND = "awk -v at={} '$2 == at {{ print $3, substr($4, 1, 2) }}' /proc/mounts"


def _files(box: Box) -> None:
    (box.layer / "usr/lib").mkdir(parents=True)
    (box.layer / "usr/lib/file").write_text("the image's\n")
    (box.layer / "lib").symlink_to("usr/lib")
    (box.layer / "plain").write_text("at the top\n")
    (box.layer / "out").symlink_to("/etc")
    os.utime(box.layer, (1_600_000_000, 1_600_000_000))


def test_a_read_only_root_of_one_layer_needs_no_overlay(box):
    _files(box)
    script = """
        cat /lib/file /plain; ls /; stat -c '%Y %a' /
        for one in /x /usr/x /lib/file /plain /proc/x /bin/sh; do (echo y >> $one) 2>/dev/null && echo wrote $one; done
        chmod 777 /plain 2>/dev/null && echo changed; rm /lib/file 2>/dev/null && echo removed
        echo fine > /tmp/x && cat /tmp/x; grep -c overlay /proc/mounts
    """
    answer = box.run(script, upper=None, work=None)
    lines = answer["out"].split("\n")
    assert lines[:2] == ["the image's", "at the top"]
    names = ["bin", "dev", "etc", "lib", "out", "plain", "proc", "sys", "tmp", "usr"]
    assert lines[2 : 2 + len(names)] == names
    assert lines[2 + len(names) :] == ["1600000000 755", "fine", "0", ""]
    assert (box.layer / "usr/lib/file").read_text() == "the image's\n"


def test_mount_points_that_the_tree_lacks_are_there(box, tmp_path):
    _files(box)
    (tmp_path / "given").write_text("given\n")
    given, folder = str(tmp_path / "given"), str(tmp_path)
    script = "cat /etc/resolv.conf /usr/lib/given /lib/file /a/b/given /run/secrets/key; ls /etc; touch /etc/x"
    binds = [[given, "/etc/resolv.conf"], [given, "/usr/lib/given"], [folder, "/a/b"]]
    for options in ({"upper": None, "work": None}, {"fixed": ["/usr", "/etc"]}):
        answer = box.run(script, binds=binds, secrets=[["key", "secret\n"]], **options)
        shown = answer["out"].split()
        wanted = ["given", "given", "the", "image's", "given", "secret", "group", "passwd", "resolv.conf"]
        assert shown[: len(wanted)] == wanted, answer
        assert "Read-only file system" in answer["out"]
        assert answer["upper"] == []


def test_fixed_directories_can_not_be_written_and_the_rest_can(box):
    _files(box)
    script = (
        f"echo y > /etc/new; cat /usr/lib/file; {KIND.format('/')}; {KIND.format('/usr')}; touch /usr/x; touch /lib/x"
    )
    answer = box.run(script, fixed=["/usr"])
    lines = answer["out"].splitlines()
    assert lines[:2] == ["the image's", "overlay rw"]
    assert lines[2].endswith(" ro")
    assert not lines[2].startswith("overlay")
    assert [line.split(": ")[-1] for line in lines[3:]] == ["Read-only file system"] * 2
    assert answer["upper"] == ["etc"]


def test_with_several_layers_it_is_the_same_by_overlayfs(box, tmp_path):
    _files(box)
    above = tmp_path / "above"
    (above / "usr/lib").mkdir(parents=True)
    (above / "usr/lib/more").write_text("more\n")
    script = f"cat /usr/lib/file /usr/lib/more; {KIND.format('/usr')}; echo x > /usr/x || echo y > /y"
    answer = box.run(script, layers=[str(above), str(box.layer)], fixed=["/usr"])
    assert answer["out"].startswith("the image's\nmore\noverlay ro\n")
    assert answer["upper"] == ["y"]


@pytest.mark.parametrize("path", ["/none", "/out", "/usr/../etc"])
def test_what_is_fixed_is_a_directory_of_the_tree(box, path):
    _files(box)
    answer = box.run("true", fixed=[path])
    assert f"{path} can't be kept as it is" in answer["error"]
