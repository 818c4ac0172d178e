"""What a traced step reads of its tree, in real sandboxes: every kind of access, and what can't be followed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal

import pytest

from envbuild.sandbox import seccomp
from envbuild.trace import calls
from envbuild.trace.reads import ABSENT, ATTRIBUTES, CONTENT, LISTING, RIGHTS
from tests.conftest import BUSYBOX
from tests.sandbox.test_sandbox import Box, python_in

pytestmark = pytest.mark.namespaces
MACHINE = os.uname().machine
MOUNTED = ("proc", "sys", "dev", "tmp", "mnt")
"""Whether these are there is asked in order to mount something on them."""


@pytest.fixture(params=["all", "single"])
def box(request, tmp_path):
    if not BUSYBOX.exists():
        pytest.skip("busybox-static is not installed")
    box = Box(tmp_path, request.param == "single", steps=True)
    (box.layer / "etc/app").mkdir()
    (box.layer / "etc/app/conf").write_text("a=1\n")
    (box.layer / "etc/link").symlink_to("app")
    (box.layer / "etc/far").symlink_to("/etc/link/conf")
    return box


def reads(answer: dict) -> dict[str, int]:
    """What a step reads, beside what its start takes."""
    assert answer.get("untraceable") == "", answer
    seen = {path: access for path, access in answer["reads"].items() if path and not path.startswith(("bin", "usr"))}
    return {path: access for path, access in seen.items() if path not in MOUNTED}


def trace(box: Box, script: str, **options: object) -> dict[str, int]:
    return reads(box.run(script, traced=True, **options))


@pytest.mark.user
def test_each_kind_of_access(box):
    """One run, as each takes a third of a second: the paths tell what is meant."""
    for name in ("opened", "listed", "asked", "tested", "linked", "entered", "emptied", "grown", "gone", "removed"):
        (box.layer / name).mkdir()
        (box.layer / name / "file").write_text("1\n")
    (box.layer / "linked/link").symlink_to("/nowhere")
    (box.layer / "removed/empty").mkdir()
    seen = trace(
        box,
        "exec 3< /opened/file; ls /listed; stat /asked/file; test -e /tested/file; readlink /linked/link;"
        "readlink /linked/file; cd /entered; cat ./file; cd /; : > /emptied/file; : >> /grown/file; rm /gone/file;"
        "rmdir /removed/empty;"
        "test -e /missing/deep/er; test -e /opened/file/below; mkdir /made; echo 1 > /made/file; cat /made/file;"
        "mv /made/file /made/other; cat /made/other; cat /etc/far",
    )
    assert seen["opened/file"] & CONTENT
    assert seen["listed"] & LISTING
    assert "listed/file" in seen
    assert not seen["listed/file"] & CONTENT
    assert seen["asked/file"] == ATTRIBUTES
    assert seen["tested/file"] & (ATTRIBUTES | RIGHTS)
    assert not seen["tested/file"] & CONTENT
    assert (seen["linked/link"], seen["linked/file"]) == (CONTENT, RIGHTS)
    assert seen["entered"] == RIGHTS
    assert seen["entered/file"] == CONTENT
    assert seen["emptied/file"] == RIGHTS
    assert seen["grown/file"] == CONTENT
    assert not seen["gone/file"] & CONTENT
    assert seen["removed/empty"] & LISTING
    assert seen["missing"] == seen["made"] == ABSENT
    assert not [path for path in seen if path.startswith(("missing/", "made/", "opened/file/", "nowhere/"))]
    assert seen["etc/far"] == seen["etc/link"] == seen["etc/app/conf"] == CONTENT


@pytest.mark.user
def test_what_was_mounted_is_not_of_the_tree(box, tmp_path):
    (tmp_path / "bound").mkdir()
    (tmp_path / "bound/link").symlink_to("/etc/app/conf")
    seen = trace(
        box,
        "cat /proc/self/status /dev/null /mnt/link; ls /sys; echo 1 > /tmp/x; ln -s /etc/link /tmp/y; cat /tmp/y/conf;"
        "ls -di /proc/self/root/etc; readlink /proc/self/cwd",
        binds=[[str(tmp_path / "bound"), "/mnt"]],
    )
    # What ln(1) looked for at /tmp/y before it made it could have been behind it, too: etc/app.
    assert set(seen) == {"etc", "etc/app", "etc/app/conf", "etc/link"}


@pytest.mark.user
def test_links_that_the_step_makes_moves_and_removes(box):
    """What was reached through them is read, whatever is there in the end."""
    for name in "abcdef":
        (box.layer / name).mkdir()
        (box.layer / name / "file").write_text(name)
    seen = trace(
        box,
        "ln -s /a l1; cat l1/file; mv l1 l2; cat l2/file; rm l2; ln -s /b l2; cat l2/file; rm l2;"
        "mkdir -p d/in; ln -s /c d/in/l; mv d e2; cat e2/in/l/file; ln -s ../d/file e2/in/up; cat e2/in/../in/up;"
        "cp -a /etc/link /etc/copy; cat /etc/copy/conf; mv /etc/link /etc/moved; cat /etc/moved/conf; rm -r e2",
    )
    assert all(seen[f"{name}/file"] & CONTENT for name in "abc")
    assert seen["etc/app/conf"] & CONTENT
    assert "e/file" not in seen


@pytest.mark.user
def test_scripts_and_loaders_that_the_kernel_reads_by_itself(box):
    (box.layer / "opt").mkdir()
    (box.layer / "opt/script").write_text("#!/opt/other -x\n")
    (box.layer / "opt/other").write_text("#! /opt/shell\n")
    shutil.copy(box.layer / "bin/busybox", box.layer / "opt/shell")
    for name in ("script", "other", "shell"):
        (box.layer / "opt" / name).chmod(0o755)
    seen = trace(box, "/opt/script; cd /opt; printf '#!other\\n' > new; chmod +x new; ./new")
    assert [seen[f"opt/{name}"] & CONTENT for name in ("script", "other", "shell")] == [CONTENT] * 3


@pytest.mark.user
def test_a_step_with_a_root_of_its_own(box):
    inner = box.layer / "inner"
    (inner / "bin").mkdir(parents=True)
    shutil.copy(box.layer / "bin/busybox", inner / "bin/busybox")
    for name in ("sh", "cat"):
        (inner / "bin" / name).symlink_to("/bin/busybox")
    (inner / "file").write_text("1\n")
    (inner / "link").symlink_to("/../file")
    (inner / "script").write_text("#!/bin/sh\ncat /../../link\n")
    (inner / "script").chmod(0o755)
    answer = box.run("/bin/busybox chroot /inner /script; cat /etc/app/conf", traced=True)
    assert answer["out"] == "1\na=1\n"
    seen = reads(answer)
    assert [seen[path] & CONTENT for path in ("inner/script", "inner/bin/busybox", "inner/file", "inner/link")] == [
        CONTENT
    ] * 4
    assert seen["etc/app/conf"] & CONTENT
    assert "file" not in seen


@pytest.mark.user
def test_threads_that_change_the_working_directory_and_children(box):
    for number in range(8):
        (box.layer / "work" / str(number)).mkdir(parents=True)
        (box.layer / "work" / str(number) / "file").write_text("1\n")
    seen = reads(python_in(box, "ask_in_threads", traced=True))
    assert all(seen[f"work/{number}/file"] == ATTRIBUTES for number in range(8))
    assert seen["work/other"] == seen["none"] == ABSENT
    assert seen["etc/app/conf"] & CONTENT
    assert seen["etc/passwd"] & ATTRIBUTES


@pytest.mark.user
def test_every_call_is_seen(box):
    if MACHINE not in calls.NUMBERS:
        pytest.skip(f"no call numbers for {MACHINE}")
    numbers = calls.NUMBERS[MACHINE]
    single = {**calls.PATH_CALLS, **calls.LINK_CALLS, **calls.EXECUTE_CALLS}
    asked = {name: (number, single[name]) for name, number in numbers.items() if name in single}
    asked |= {name: (numbers[name], *pair) for name, pair in calls.PAIR_CALLS.items() if name in numbers}
    asked |= {name: (numbers[name], calls.PathCall(0)) for name in ("chdir", "chroot")}
    plain = {}
    for name, (number, *paths) in asked.items():
        directories = [call.directory for call in paths if call.directory >= 0]
        plain[name] = (number, directories, [call.path for call in paths])
    seen = reads(python_in(box, "ask_by_every_call", json.dumps(plain), traced=True))
    # With a single id, which a user without a range of ids has in both cases, these are answered and do nothing.
    answered = set(seccomp.OWNERSHIP[MACHINE]) if "none-chown-0" not in seen else set()
    assert not answered or box.single or os.geteuid() != 0
    for name, (_, _, paths) in plain.items():
        for place in paths if name not in answered else ():
            assert seen.get(f"none-{name}-{place}") == ABSENT, name


@pytest.mark.user
class TestHostile:
    """Whoever writes a step may want it to be taken for one that reads less."""

    NUMBERS = {
        **calls.NUMBERS.get(MACHINE, {}),
        "io_uring_setup": 425,
        "seccomp": 317 if MACHINE == "x86_64" else 277,
    }

    @pytest.mark.parametrize("what", ["ptrace", "writev", "mem", "cwd", "fd"])
    def test_what_can_not_be_followed_makes_a_step_untraceable(self, box, what):
        answer = python_in(box, "be_hostile", what, json.dumps(self.NUMBERS), traced=True)
        assert answer["status"] == 0
        assert answer["untraceable"], what

    def test_a_path_that_another_process_changes(self, box):
        """Whether it is noticed depends on who runs when; that the step goes on as it would does not."""
        answer = python_in(box, "flip_path", traced=True)
        assert answer["status"] == 0
        assert answer["untraceable"] in ("", "changes a path while it is used")

    @pytest.mark.parametrize(
        ("what", "number"), [("io_uring", errno.EPERM), ("listener", errno.EBUSY)], ids=["io_uring", "listener"]
    )
    def test_what_would_pass_by_the_tracer_is_refused(self, box, what, number):
        answer = python_in(box, "be_hostile", what, json.dumps(self.NUMBERS), traced=True)
        assert answer["out"] == f"{number}\n"
        assert answer["untraceable"] == ""

    def test_paths_that_lead_nowhere_hold_nobody_up(self, box):
        answer = python_in(box, "be_hostile", "long", json.dumps(self.NUMBERS), traced=True)
        assert answer["out"].split() == [str(errno.ENAMETOOLONG)] * 3
        assert answer["untraceable"] == ""
        answer = python_in(box, "be_hostile", "pointers", json.dumps(self.NUMBERS), traced=True)
        assert answer["out"].split() == [str(errno.EFAULT)] * 3

    def test_another_view_of_the_root(self, box):
        answer = python_in(box, "be_hostile", "root", json.dumps(self.NUMBERS), traced=True)
        assert reads(answer)["etc/passwd"] == ATTRIBUTES


@pytest.mark.user
def test_a_step_that_is_late_ends_and_the_next_one_runs(box):
    answers = box.ask(
        box.request("while :; do cat /etc/app/conf; done", traced=True, timeout=0.5),
        box.request("cat /etc/app/conf", traced=True),
        box.request("(sleep 60 &); kill -9 -1; kill -9 $$", traced=True),
        box.request("", argv=["/none"], traced=True),
        box.request("true", directory="/none", traced=True),
        box.request("cat /etc/far", traced=True),
        box.request("echo 1"),
    )
    assert answers[0]["timed_out"]
    assert "reads" not in answers[0]
    assert answers[1]["reads"]["etc/app/conf"] & CONTENT
    assert answers[2]["signal"] == signal.SIGKILL
    assert "error" in answers[3]
    assert "error" in answers[4]
    assert answers[5]["reads"]["etc/app/conf"] & CONTENT
    assert answers[6]["out"] == "1\n"


@pytest.mark.user
def test_a_tracer_that_dies_holds_nobody_up(box):
    endless = box.request("echo 1; while :; do cat /etc/app/conf > /dev/null; done", traced=True)
    answers = box.ask(endless, box.request("cat /etc/app/conf", traced=True), kill_server=True)
    assert answers[0]["signal"] == signal.SIGKILL
    assert "reads" not in answers[0]
    assert reads(answers[1])["etc/app/conf"] & CONTENT


@pytest.mark.user
def test_another_user_and_programs_that_may_not_be_read(box):
    (box.layer / "opt").mkdir()
    shutil.copy(box.layer / "bin/busybox", box.layer / "opt/cat")
    (box.layer / "opt/cat").chmod(0o711)
    (box.layer / "etc/secret").write_text("1\n")
    (box.layer / "etc/secret").chmod(0o600)
    answer = box.run("cat /etc/secret; /opt/cat /etc/app/conf", traced=True, user="app")
    assert answer["out"].endswith("a=1\n")
    seen = reads(answer)
    assert seen["etc/app/conf"] & CONTENT
    assert seen["etc/secret"] & CONTENT
    assert seen["opt/cat"] & CONTENT


def test_ten_thousand_files(box):
    if box.single:
        pytest.skip("once is enough")
    seen = trace(box, "cd /etc; seq 10000 | xargs -n 5000 ls -d 2> /dev/null; true")
    assert [seen[f"etc/{number}"] for number in range(1, 10_001)] == [ABSENT] * 10_000
