"""`restore`: paths of a machine become what they were in a capture, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from envbuild.capture import put_back
from envbuild.capture.going_back import KnownCapture, plan_going_back
from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.put_back import PutBack
from envbuild.capture.stored_contents import stored_contents
from envbuild.store.store import Store
from tests.capture.conftest import Machine
from tests.child import in_child

pytestmark = pytest.mark.namespaces


def restore(machine: Machine, *words: str, code: int = 0) -> dict[str, Any]:
    said = machine.output("restore", *words, "--root", str(machine.root), "--format", "json", code=code)
    return json.loads(said)


def state_of(root: Path) -> dict[str, tuple[Any, ...]]:
    """All that is said of each path below a directory, but for the times of directories."""
    state = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        is_directory = stat.S_ISDIR(status.st_mode)
        content = os.readlink(path) if path.is_symlink() else b"" if not path.is_file() else path.read_bytes()
        attributes = {} if path.is_symlink() else {name: os.getxattr(path, name) for name in os.listxattr(path)}
        time = 0 if is_directory else status.st_mtime_ns
        state[str(path.relative_to(root))] = (status.st_mode, status.st_uid, status.st_gid, time, content, attributes)
    return state


@pytest.mark.user
def test_what_is_named_becomes_what_it_was_and_the_rest_stays(machine: Machine):
    config, tool = machine.root / "etc/ssh/sshd_config", machine.root / "usr/bin/tool"
    os.setxattr(config, "user.note", b"by hand")
    (machine.root / "usr/bin/other").symlink_to("tool")
    machine.capture()
    before = state_of(machine.root)
    config.unlink()
    machine.write("/etc/ssh/sshd_config", "PermitRootLogin yes\n", 0o600)
    machine.write("/etc/hostname", "desktop\n")
    tool.chmod(0o700)
    (machine.root / "usr/bin/other").unlink()
    (machine.root / "usr/bin/other").symlink_to("/bin/sh")
    done = restore(machine, "laptop", "/etc/ssh/sshd_config", "/usr/bin", "--yes")
    assert [(step["path"], step["action"], step["done"]) for step in done["steps"]] == [
        ("etc/ssh/sshd_config", "replace", True),
        ("usr/bin/other", "replace", True),
        ("usr/bin/tool", "replace", True),
    ]
    now = state_of(machine.root)
    assert now.pop("etc/hostname")[4] == b"desktop\n"
    del before["etc/hostname"]
    assert now == before


@pytest.mark.user
def test_what_is_replaced_was_captured_first(machine: Machine):
    machine.capture("--home")
    machine.write("/etc/hostname", "desktop\n")
    machine.write("/home/ada/.profile", "export EDITOR=vi\n")
    machine.write("/var/log/syslog", "another line\n")
    restore(machine, "laptop", "/etc/hostname", "/home/ada", "--yes")
    assert machine.output("cat", "laptop", "/etc/hostname") == "desktop\n"
    assert machine.output("cat", "laptop", "/home/ada/.profile") == "export EDITOR=vi\n"
    assert "capture: before restore laptop /etc/hostname /home/ada" in machine.output("log", "laptop")
    restore(machine, "laptop", "/etc/hostname", "--yes")
    assert (machine.root / "etc/hostname").read_text() == "desktop\n"


def test_where_nobody_can_be_asked_nothing_is_changed(machine: Machine):
    machine.capture()
    machine.write("/etc/hostname", "desktop\n")
    said = machine.output("restore", "laptop", "/etc/hostname", "--root", str(machine.root))
    assert said.splitlines() == ["~ /etc/hostname  (content; time)", "nothing was changed; --yes does it"]
    assert (machine.root / "etc/hostname").read_text() == "desktop\n"
    assert "laptop:latest@{1}" not in machine.output("log", "laptop")
    restore(machine, "laptop", "/etc/hostname", "--yes", "--dry-run")
    assert (machine.root / "etc/hostname").read_text() == "desktop\n"


def test_a_directory_that_is_gone_comes_back_whole(machine: Machine):
    machine.write("/etc/app/conf.d/a", "a\n", 0o640)
    machine.write("/etc/app/conf.d/deep/b", "b\n")
    (machine.root / "etc/app/conf.d").chmod(0o2755)
    os.mkfifo(machine.root / "etc/app/pipe")
    machine.capture()
    before = state_of(machine.root)
    (machine.root / "etc/app").rename(machine.root / "gone")
    done = restore(machine, "laptop", "/etc/app", "--yes")
    assert [(step["path"], step["action"], step["inside"]) for step in done["steps"]] == [("etc/app", "create", 5)]
    now = state_of(machine.root)
    assert {path: state for path, state in now.items() if not path.startswith("gone")} == before


def test_files_that_were_not_there_stay_unless_they_are_named(machine: Machine):
    machine.capture()
    machine.write("/etc/ssh/extra", "x\n")
    machine.write("/etc/new/a", "a\n")
    done = restore(machine, "laptop", "/etc", "--yes", "--delete")
    assert (done["steps"], done["extra"]) == ([], ["etc/new", "etc/ssh/extra"])
    assert machine.project.command("restore", "laptop", "/etc/new", "--root", str(machine.root)).code == 2
    done = restore(machine, "laptop", "/etc/new", "--yes", "--delete")
    assert [step["path"] for step in done["steps"]] == ["etc/new/a", "etc/new"]
    assert not (machine.root / "etc/new").exists()
    assert (machine.root / "etc/ssh/extra").exists()
    assert machine.output("cat", "laptop", "/etc/new/a") == "a\n"


def test_what_the_capture_left_out_is_never_removed(machine: Machine):
    machine.capture()
    for path in ("/var/log/syslog", "/tmp/scratch", "/home/ada/.profile", "/home/ada"):
        words = ("restore", "laptop", path, "--yes", "--delete", "--root", str(machine.root))
        done = machine.project.command(*words)
        assert done.code == 2
        assert "does not have" in done.err
    assert (machine.root / "home/ada/.profile").exists()
    assert restore(machine, "laptop", "/", "--yes", "--delete")["extra"] == []


@pytest.mark.user
def test_secrets_stay_where_the_capture_has_only_their_digests(machine: Machine):
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n"
    machine.write("/etc/ssh/ssh_host_ed25519_key", key.format("a"), 0o600)
    machine.capture()
    assert restore(machine, "laptop", "/etc/ssh", "--yes")["refused"] == []
    machine.write("/etc/ssh/ssh_host_ed25519_key", key.format("b"), 0o600)
    done = restore(machine, "laptop", "/etc/ssh", "--yes", code=1)
    assert [row["path"] for row in done["refused"]] == ["etc/ssh/ssh_host_ed25519_key"]
    assert (machine.root / "etc/ssh/ssh_host_ed25519_key").read_text() == key.format("b")
    shutil.rmtree(machine.root / "etc/ssh")
    restore(machine, "laptop", "/etc/ssh", "--yes", code=1)
    assert [path.name for path in (machine.root / "etc/ssh").iterdir()] == ["sshd_config"]


def test_a_secret_is_replaced_only_if_it_was_saved(machine: Machine):
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n"
    path = machine.write("/etc/ssh/ssh_host_ed25519_key", "none yet\n", 0o600)
    machine.capture("--secrets")
    path.write_text(key.format("a"))
    words = ("restore", "laptop", "/etc/ssh", "--yes", "--root", str(machine.root), "--save-as", "other")
    done = machine.project.command(*words)
    assert done.code == 1
    assert "could not be saved" in done.err
    assert path.read_text() == key.format("a")
    assert machine.project.command(*words, "--secrets").code == 0
    assert path.read_text() == "none yet\n"
    assert machine.output("cat", "other", "/etc/ssh/ssh_host_ed25519_key") == key.format("a")


def test_what_envbuild_says_of_a_capture_is_not_put_onto_the_machine(machine: Machine):
    machine.write("/var/lib/app/data", "x\n")
    machine.capture()
    shutil.rmtree(machine.root / "var")
    assert machine.project.command("restore", "laptop", "/var/lib/envbuild/capture/about", "--yes").code == 2
    restore(machine, "laptop", "/var", "--yes")
    assert sorted(path.name for path in (machine.root / "var/lib").iterdir()) == ["app"]
    shutil.rmtree(machine.root / "var")
    machine.capture()
    restore(machine, "laptop", "/", "--yes")
    assert not (machine.root / "var").exists()


@pytest.mark.user
def test_links_are_not_followed_on_either_side(machine: Machine, tmp_path: Path):
    machine.write("/etc/app/conf", "old\n")
    (machine.root / "etc/alias").symlink_to("app")
    machine.capture()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "conf").write_text("theirs\n")
    done = machine.project.command("restore", "laptop", "/etc/alias/conf", "--yes", "--root", str(machine.root))
    assert done.code == 2
    assert "/etc/alias/conf leads through the link /etc/alias, which leads to app" in done.err
    (machine.root / "etc/app").rename(machine.root / "etc/moved")
    (machine.root / "etc/app").symlink_to(elsewhere)
    done = restore(machine, "laptop", "/etc/app/conf", "--yes", code=1)
    assert done["refused"] == [{"path": "etc/app/conf", "reason": "a link of this machine is on the way to it"}]
    assert (elsewhere / "conf").read_text() == "theirs\n"
    # The directory itself was named: it takes the link's place.
    restore(machine, "laptop", "/etc/app", "--yes")
    assert (machine.root / "etc/app/conf").read_text() == "old\n"
    assert (elsewhere / "conf").read_text() == "theirs\n"


def test_a_directory_in_the_place_of_a_file_stays(machine: Machine):
    machine.capture()
    (machine.root / "etc/hostname").unlink()
    machine.write("/etc/hostname/precious", "x\n")
    done = restore(machine, "laptop", "/etc/hostname", "--yes", code=1)
    assert done["refused"][0]["reason"].startswith("a directory is in its place")
    assert (machine.root / "etc/hostname/precious").exists()


def test_the_machine_of_an_image_that_is_no_capture_stays(machine: Machine):
    machine.project.build("file /etc/hostname", "    web")
    done = machine.project.command("restore", "web", "/etc/hostname", "--yes", "--root", str(machine.root))
    assert done.code == 2
    assert "web is not a capture" in done.err


def test_killed_anywhere_each_path_is_what_it_was_or_what_it_becomes(machine: Machine):
    machine.write("/etc/app/conf.d/a", "a\n", 0o600)
    (machine.root / "etc/link").symlink_to("hostname")
    (machine.root / "etc/ssh").chmod(0o755)
    machine.capture()
    new = state_of(machine.root)
    machine.write("/etc/hostname", "desktop\n", 0o600)
    machine.write("/etc/app/conf.d/a", "b\n")
    (machine.root / "etc/app").rename(machine.root / "gone")
    (machine.root / "etc/link").unlink()
    (machine.root / "etc/link").symlink_to("/etc/passwd")
    (machine.root / "etc/ssh").chmod(0o700)
    old = state_of(machine.root)
    changed = ["etc/app", "etc/hostname", "etc/link", "etc/ssh"]
    calls = 0
    while True:
        calls += 1
        assert calls < 500
        code = _killed_before_call(machine, calls)
        now = {path: state for path, state in state_of(machine.root).items() if ".envbuild-restore-" not in path}
        for path in {*old, *new, *now}:
            assert now.get(path) in (old.get(path), new.get(path)), (calls, path)
        app = {path for path in now if path.startswith("etc/app")}
        assert len(app) in (0, 3), calls
        if code == 0:
            break
    assert calls > 30
    # What the kills left is removed when the same paths are put back.
    assert not list(machine.root.rglob(".envbuild-restore-*"))
    assert {path: state for path, state in state_of(machine.root).items() if not path.startswith("gone")} == new
    assert all(state_of(machine.root)[path] != old.get(path) for path in changed)


CALLS = (
    *("mkdir", "open", "symlink", "fchown", "chown", "fchmod", "chmod"),
    *("setxattr", "utime", "fsync", "unlink", "rmdir", "rename"),
)


def _killed_before_call(machine: Machine, number: int) -> int:
    """Put /etc back in a process that is killed before its so-manieth call that changes anything; return 0 if it made
    less of them."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return status
    left = number

    def killing(real: Any) -> Any:
        def call(*positional: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*positional, **named)

        return call

    code = 1
    try:
        with (
            Store.open(str(machine.project.store)) as store,
            MachineRoot(str(machine.root)) as root,
            stored_contents(store) as contents,
        ):
            image = store.images.get(store.tags.image_of("laptop", "latest") or "")
            assert image is not None
            plan = plan_going_back(
                store, KnownCapture(store, image, "laptop", root, contents), root.descriptor, [b"etc"], delete=False
            )
            for name in CALLS:
                setattr(os, name, killing(getattr(os, name)))
            put_back.renameat2 = killing(put_back.renameat2)
            _, failed = PutBack(store.trees, contents, root.descriptor, plan).run(lambda *_: None)
            code = 1 if failed else 0
    finally:
        os._exit(code)


def test_what_was_changed_since_it_was_looked_at_is_left_alone(machine: Machine):
    machine.capture()
    machine.write("/etc/hostname", "desktop\n")

    def body() -> None:
        with (
            Store.open(str(machine.project.store)) as store,
            MachineRoot(str(machine.root)) as root,
            stored_contents(store) as contents,
        ):
            image = store.images.get(store.tags.image_of("laptop", "latest") or "")
            assert image is not None
            known = KnownCapture(store, image, "laptop", root, contents)
            plan = plan_going_back(store, known, root.descriptor, [b"etc"], delete=False)
            machine.write("/etc/hostname", "another\n")
            done, failed = PutBack(store.trees, contents, root.descriptor, plan).run(lambda *_: None)
            assert done == []
            assert [(row.path, row.reason) for row in failed] == [(b"etc/hostname", "it was changed meanwhile")]

    in_child(body)
    assert (machine.root / "etc/hostname").read_text() == "another\n"
    assert not list(machine.root.rglob(".envbuild-restore-*"))
