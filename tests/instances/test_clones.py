"""A second instance of the same files."""

import json
import os

import pytest

from tests.conftest import wait_for
from tests.instances.instances import WAITING, own_file, run, state

pytestmark = pytest.mark.namespaces


def read(project, path: str, name: str = "one") -> str:
    """What a file has that an instance wrote, "" if it is not there yet."""
    file = own_file(project, path, name)
    return file.read_text() if file.exists() else ""


@pytest.mark.user
def test_a_clone_has_the_files_and_goes_its_own_way(image):
    run(image, "-e", "A=1", "web", "--", "sh", "-c", f"echo first >> /log; {WAITING}")
    assert wait_for(lambda: read(image, "log") == "first\n")
    image.command("exec", "one", "--", "sh", "-c", "mkdir /d; echo by hand > /d/x; rm /file")
    done = image.command("clone", "one")
    assert (done.code, done.out) == (0, "one-2\n"), done.err
    assert wait_for(lambda: read(image, "log", "one-2") == "first\nfirst\n")
    assert image.command("exec", "one-2", "--", "sh", "-c", "cat /d/x; ls /file; echo $A").out == "by hand\n1\n"
    image.command("exec", "one-2", "--", "sh", "-c", "echo other > /d/x")
    assert image.command("exec", "one", "--", "cat", "/d/x").out == "by hand\n"
    # Both differ from their image by what was done by hand.
    changed = json.loads(image.command("diff", "one-2", "--format", "json").out)["unexplained"]
    assert {change["path"] for change in changed} == {"/d/x", "/file", "/log"}


def test_a_clone_of_one_that_is_over_and_of_a_clone(image):
    run(image, "web", "--", "sh", "-c", f"date +%s%N >> /times; {WAITING}")
    assert wait_for(lambda: read(image, "times"))
    image.command("stop", "one")
    assert image.command("clone", "one", "--name", "two").code == 0
    assert image.command("clone", "two", "--name", "three").code == 0
    image.command("rm", "one")
    image.command("gc")
    assert wait_for(lambda: len(read(image, "times", "three").splitlines()) in (2, 3))
    assert image.command("exec", "three", "--", "cat", "/file").out == "in the image\n"
    image.command("stop", "three")
    assert image.command("start", "three").code == 0


def test_what_is_the_same_is_on_disk_once(image):
    run(image, "web", "--", "sh", "-c", WAITING)
    image.command("exec", "one", "--", "sh", "-c", "head -c 3000000 /dev/urandom > /big")
    image.command("clone", "one")
    before = _size(image.store)
    image.command("clone", "one")
    assert _size(image.store) - before < 300_000


def _size(folder) -> int:
    seen = {}
    for path, _, files in os.walk(folder):
        for name in files:
            status = os.lstat(os.path.join(path, name))
            seen[status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


@pytest.mark.user
def test_its_volumes_are_copied_and_its_ports_are_free_ones(image):
    words = ["-v", "data:/data", "-p", "127.0.0.1:0:80", "web", "--", "sh", "-c", WAITING]
    run(image, *words)
    image.command("exec", "one", "--", "sh", "-c", "echo 1 > /data/x; chown 50:50 /data/x")
    done = image.command("clone", "one", "--name", "two")
    assert "/data is a copy of its volume, data-two" in done.err
    image.command("exec", "two", "--", "sh", "-c", "echo 2 > /data/x")
    assert image.command("exec", "one", "--", "cat", "/data/x").out == "1\n"
    ports = {state(image, name)["ports"][0]["port"] for name in ("one", "two")}
    assert len(ports) == 2
    image.command("clone", "one", "--name", "three", "--share", "-p", "127.0.0.1:0:81")
    assert image.command("exec", "three", "--", "cat", "/data/x").out == "1\n"
    assert state(image, "three")["ports"][0]["inside"] == 81


def test_it_goes_on_when_it_was_cloned(image):
    run(image, "web", "--", "sh", "-c", "while :; do date +%s%N > /now; sleep 0.02; done")
    image.command("clone", "one")
    first = read(image, "now")
    assert wait_for(lambda: read(image, "now") != first)


def test_a_shell_in_an_instance(image):
    run(image, "web", "--", "sh", "-c", f"echo mine > /mine; {WAITING}")
    assert wait_for(lambda: read(image, "mine"))
    done = image.command("shell", "one", stdin=b"cat /mine; exit 4\n")
    assert (done.code, done.out) == (4, "mine\n"), done.err
    # An image has the same word, with nothing of an instance.
    assert image.command("shell", "web", stdin=b"cat /mine 2>/dev/null || echo none\n").out == "none\n"
