"""The commands, their exit codes and forms."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from tests import poor_machines
from tests.conftest import wait_for
from tests.processes import alive_with

pytestmark = pytest.mark.namespaces


def test_run_gives_the_start_command_or_another_one_and_its_exit_code(web):
    assert web.command("run", "web").out == "hello\n"
    done = web.command("run", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 9")
    assert (done.code, done.out, done.err) == (9, "out\n", "err\n")


def test_run_passes_input_and_throws_changes_away(web):
    assert web.command("run", "web", "--", "cat", stdin=b"in\n").out == "in\n"
    web.command("run", "web", "--", "rm", "/greeting")
    assert web.command("run", "web").out == "hello\n"


def test_run_options(web):
    web.write("data/x", "data")
    done = web.command(
        "run", "web", "-e", "B=2", "-v", "./data:/data:ro", "-w", "/etc", "-u", "5:6", "--",
        "sh", "-c", "echo $A$B; cat /data/x; pwd; touch /data/y || echo ro; id -u",
    )  # fmt: skip
    lines = done.out.splitlines()
    assert lines[:4] == ["12", "data", "/etc", "ro"]


def test_images_and_show_have_the_documented_json(web):
    (image,) = json.loads(web.command("images", "--format", "json").out)
    shown = web.show()
    # `show` measures each step beside that: a list of images takes no time for it.
    for kind in ("stages", "steps"):
        sizes = ("files", "size", "removed", "freed")
        assert all(set(sizes) < entry.keys() for entry in shown[kind])
        assert image[kind] == [
            {name: value for name, value in entry.items() if name not in sizes} for entry in shown[kind]
        ]
    assert {**image, "stages": shown["stages"], "steps": shown["steps"]} == shown
    assert shown["name"] == "web"
    assert shown["tags"] == ["web:latest"]
    assert shown["digest"].startswith("sha256:")
    assert shown["facts"]["env"] == {"A": "1"}
    assert [step["text"] for step in shown["steps"]] == ["run echo hello > /greeting"]
    assert web.show(shown["digest"][7:15]) == shown
    assert "web:latest" in web.command("images").out
    assert "run echo hello" in web.command("show", "web").out


def test_tag_untag_gc_fsck_and_du(web):
    assert web.command("tag", "web", "web:prod").code == 0
    assert web.show("web:prod")["tags"] == ["web:latest", "web:prod"]
    assert web.command("untag", "web:latest", "web:prod").code == 0
    (web.folder / "web.env.lock").unlink()
    dry = json.loads(web.command("gc", "--dry-run", "--format", "json").out)
    assert dry["images"] == 1
    assert dry["size"] > 1_000_000
    assert web.command("gc").code == 0
    assert json.loads(web.command("images", "--all", "--format", "json").out) == []
    used = json.loads(web.command("du", "--format", "json").out)
    assert used["objects"] < 100_000
    assert web.command("fsck").code == 0
    assert web.build().code == 0
    assert web.command("run", "web").out == "hello\n"


def test_gc_keeps_what_a_lock_names(web):
    web.command("untag", "web")
    web.command("gc")
    assert web.build().ran == []


def test_fsck_finds_damage_and_repair_makes_the_steps_run_again(web):
    entry = web.ls("/")["greeting"]
    damaged = 0
    for where, _, names in os.walk(web.store / "objects"):
        for name in names:
            path = os.path.join(where, name)
            if os.path.getsize(path) == entry["size"]:
                os.chmod(path, 0o644)
                with open(path, "r+b") as file:
                    file.write(b"J")
                damaged += 1
    assert damaged
    checked = web.command("fsck", "--format", "json")
    assert checked.code == 1
    assert {problem["kind"] for problem in json.loads(checked.out)["problems"]} >= {"object"}
    assert web.command("fsck", "--repair").code == 0
    assert web.command("fsck").code in (0, 1)
    done = web.build()
    assert "run echo hello > /greeting" in done.ran
    assert web.command("run", "web").out == "hello\n"
    assert web.command("fsck").code == 0


def test_doctor_finds_out_by_trying(project):
    done = project.command("doctor", "--format", "json")
    findings = {finding["name"]: finding for finding in json.loads(done.out)["findings"]}
    assert findings["overlayfs"]["ok"], findings
    assert findings["sandbox"]["ok"], findings
    assert findings["networks of instances"]["ok"], findings
    assert {"outgoing network", "limits"} <= set(findings)
    for finding in findings.values():
        assert finding["ok"] or finding["mend"], finding


def test_a_machine_without_user_namespaces_gets_exit_code_3_and_a_way_out(project):
    project.write("web.env", "from tar:busybox.tar", "run true")
    done = project.call(poor_machines.without_user_namespaces, "ENOSPC", "build", "web.env")
    assert done.returncode == 3
    assert "user.max_user_namespaces" in done.stderr


def test_ctrl_c_ends_everything_and_keeps_what_was_done(project, mark):
    project.write("web.env", "from tar:busybox.tar", "run echo 1 > /a", f"run sleep {mark} & sleep {mark}")
    process = project.start("build", "web.env", "--progress", "plain")
    assert wait_for(lambda: len(alive_with(f"sleep\0{mark}")) == 2)
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert wait_for(lambda: not alive_with(mark))
    assert os.listdir(project.store / "work") == []
    again = project.build("from tar:busybox.tar", "run echo 1 > /a")
    assert again.ran == []


def test_a_killed_build_leaves_no_process_and_the_next_one_goes_on(project, mark):
    project.write("web.env", "from tar:busybox.tar", "run echo 1 > /a", f"run sleep {mark} & sleep {mark}")
    process = project.start("build", "web.env", "--progress", "plain")
    assert wait_for(lambda: len(alive_with(f"sleep\0{mark}")) == 2)
    process.kill()
    process.communicate()
    assert wait_for(lambda: not alive_with(mark))
    done = project.build("from tar:busybox.tar", "run echo 1 > /a", "run echo 2 > /b")
    assert done.ran == ["run echo 2 > /b"]
    assert os.listdir(project.store / "work") == []


def test_escape_sequences_of_a_step_do_not_reach_a_terminal(project):
    project.write("web.env", "from tar:busybox.tar", r"run printf '\033]0;owned\007\033[2Jtext\n'")
    done = project.command("build", "web.env")
    assert "\033" not in done.err
    assert "text" in done.err


def test_run_on_a_terminal_gives_one_of_its_own(web):
    pid, master = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
        os.chdir(web.folder)
        words = [
            sys.executable,
            "-m",
            "envbuild",
            "run",
            "web",
            "--",
            "sh",
            "-c",
            "tty; stty size; read x; echo got $x",
        ]
        os.execve(sys.executable, words, web.environment)
    seen = b""
    sent = False
    end = time.monotonic() + 60
    while time.monotonic() < end:
        ready, _, _ = select.select([master], [], [], 0.2)
        if ready:
            try:
                data = os.read(master, 4096)
            except OSError:
                break
            seen += data
        if b"33 77" in seen and not sent:
            os.write(master, b"word\r")
            sent = True
    os.close(master)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    assert b"/dev/pts/0" in seen
    assert b"got word" in seen


def test_a_first_build_on_a_terminal_makes_its_base_and_draws(project, mark):
    """A process with threads can't enter a user namespace: what draws may be none while the base is made."""
    project.write("web.env", "from tar:busybox.tar", f"run sleep {mark} || echo words; sleep 0.3")
    master, slave = os.openpty()
    build = subprocess.Popen(
        [sys.executable, "-m", "envbuild", "build", "web.env"],
        cwd=project.folder,
        env={**project.environment, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    seen = b""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
        for pid in alive_with(f"sleep\0{mark}") if b"1 running" in seen else ():
            os.kill(pid, signal.SIGTERM)
    os.close(master)
    assert build.wait(60) == 0, seen
    assert b"1 running" in seen
    assert b"words" in seen
    assert b"web:latest" in seen


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(web, closed):
    words = f"{sys.executable} -m envbuild run web -- sh -c 'echo kept; exit 4' {closed}"
    done = subprocess.run(["sh", "-c", words], cwd=web.folder, env=web.environment, capture_output=True, check=False)
    assert done.returncode == 4
    assert done.stdout == (b"" if ">&- 2" in closed or closed == ">&-" else b"kept\n")
