"""Attacks from inside: a command that wants out, as root of the sandbox and as another user of it.

The tests run as real root and as an ordinary user, each with all ids and with a single one (see `box`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import threading

import pytest

from envbuild.sandbox.mounts import MASKED
from tests.conftest import wait_for
from tests.processes import alive_with
from tests.sandbox.test_sandbox import Box, box, python_in  # noqa: F401 - a fixture

pytestmark = pytest.mark.namespaces


@pytest.fixture(params=["root", "a user"])
def actor(request, box: Box) -> dict:  # noqa: F811
    """Options of a request that make its command run as this user of the sandbox."""
    if request.param == "root":
        return {}
    if box.single:
        pytest.skip("with a single id there is no other user")
    return {"user": "1000:1001"}


def attack(box: Box, program: str, *words: str, **options: object) -> dict:  # noqa: F811
    """Runs a program of `inside/`, whose last line of output is JSON."""
    answer = python_in(box, program, *words, **options)
    assert answer.get("status") == 0, answer
    return json.loads(answer["out"].splitlines()[-1])


class TestFiles:
    def test_files_of_the_host_can_not_be_reached(self, box, actor, tmp_path):  # noqa: F811
        secret = tmp_path / "secret"
        secret.write_text("of the host")
        secret.chmod(0o666)
        assert attack(box, "reach_files", str(secret), **actor) == []
        assert secret.read_text() == "of the host"

    def test_nothing_of_the_host_is_mounted(self, box, actor):  # noqa: F811
        answer = box.run("cat /proc/self/mountinfo /proc/1/mountinfo 2>/dev/null", **actor)
        for line in answer["out"].splitlines():
            root, point = line.split()[3:5]
            # Of the host there are the six device nodes; a masked file is one of them, too.
            assert (
                root == "/"
                or root.startswith(("/null", "/zero", "/full", "/random", "/urandom", "/tty"))
                or (point.startswith(("/proc/", "/sys/")))
            ), line
            assert str(box.folder) not in f"{root} {point}"


class TestProcesses:
    def test_no_process_outside_and_not_process_1_can_be_touched(self, box, actor):  # noqa: F811
        # One whose number nobody has inside, also where the tests have a process namespace of their own.
        for _ in range(200):
            outside = subprocess.Popen(["sleep", "60"])
            if outside.pid > 100:
                break
            outside.kill()
            outside.wait()
        try:
            results = attack(box, "touch_processes", str(outside.pid), **actor)
            assert outside.poll() is None
        finally:
            outside.kill()
            outside.wait()
        namespaces = results.pop("init namespaces")
        assert "done" not in results.values(), results
        assert "done" not in namespaces
        assert all(results[name] in ("ESRCH", "ENOENT", "EPERM", "EACCES", "EBADF") for name in results), results

    def test_killing_all_that_can_be_seen_ends_only_the_sandbox(self, box, actor):  # noqa: F811
        answer = box.run("sleep 77 & kill -9 -1; kill -9 1; echo here", **actor)
        # The signals reached no process 1: it is what reports the end.
        assert answer["status"] in (0, 128 + signal.SIGKILL)
        assert box.run("echo alive", **actor)["out"] == "alive\n"

    def test_process_1_can_not_be_stopped(self, box, actor):  # noqa: F811
        assert box.run("kill -STOP 1; kill -TSTP 1; echo still", **actor)["out"].endswith("still\n")


class TestSockets:
    def test_sockets_of_the_host_can_not_be_reached(self, box, actor, tmp_path):  # noqa: F811
        name, path = f"envbuild-attack-{os.getpid()}", str(tmp_path / "s")
        with (
            socket.socket(socket.AF_UNIX) as abstract,
            socket.socket(socket.AF_UNIX) as named,
            socket.socket() as network,
        ):
            abstract.bind(b"\0" + name.encode())
            here = os.getcwd()
            os.chdir(tmp_path)  # a socket's path may be 108 bytes long at most
            named.bind("s")
            os.chdir(here)
            network.bind(("127.0.0.1", 0))
            for listener in (abstract, named, network):
                listener.listen()
            port = network.getsockname()[1]
            assert attack(box, "reach_sockets", name, path, str(port), **actor) == []

    def test_raw_packets_stay_inside(self, box):  # noqa: F811
        assert attack(box, "open_raw_sockets")[1] == ["lo"]


class TestDevices:
    def test_nodes_of_an_image_do_not_open(self, box, actor):  # noqa: F811
        if os.geteuid() != 0:
            pytest.skip("only real root can put a device node into a layer")
        os.mknod(box.layer / "memory", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(box.layer / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))
        for name in ("memory", "disk"):
            (box.layer / name).chmod(0o666)
        out = box.run("cat /memory; cat /disk; echo x > /memory", **actor)["out"]
        assert out.count("Permission denied") == 3, out

    def test_none_can_be_made_anywhere(self, box, actor):  # noqa: F811
        answer = box.run(
            "for d in / /tmp /dev /dev/shm; do mknod $d/n c 1 1; mknod $d/b b 7 0; mknod $d/w c 0 0; done; "
            "ls /n /tmp/n /dev/n /dev/shm/n /b /tmp/b /w /dev/w 2>/dev/null; echo end",
            **actor,
        )
        # 0:0 is what overlayfs hides names with; on tmpfs it is harmless, and gone with the sandbox.
        made = [line for line in answer["out"].splitlines() if line.startswith("/") and ":" not in line]
        assert set(made) <= {"/dev/w"}, answer["out"]
        assert not {"n", "b", "w"} & set(answer["upper"])


class TestProc:
    WRITES = (
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/randomize_va_space",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/fs/file-max",
        "/proc/sys/user/max_user_namespaces",
        "/proc/self/uid_map",
        "/proc/self/gid_map",
        "/proc/self/setgroups",
        "/proc/irq/default_smp_affinity",
        "/proc/kcore",
        "/proc/timer_list",
        "/sys/kernel/mm/ksm/run",
        "/sys/power/state",
        "/sys/module/overlay/parameters/redirect_max",
        "/sys/kernel/uevent_helper",
    )

    def test_nothing_of_the_kernel_s_can_be_written(self, box, actor):  # noqa: F811
        results = attack(box, "write_files", json.dumps(self.WRITES), **actor)
        assert "done" not in {result for path, result in results.items() if path not in MASKED}, results

    def test_masked_paths_are_empty_and_stay_so(self, box, actor):  # noqa: F811
        script = " ".join(
            [
                "for p in",
                *MASKED,
                "; do umount $p; umount -l $p; mount -o remount,rw $p;",
                "if [ -d $p ]; then ls -A $p; else cat $p; fi; done",
            ]
        )
        out = box.run(script, **actor)["out"]
        errors = ("umount:", "mount:", "cat:", "ls:")
        assert [line for line in out.splitlines() if not line.startswith(errors)] == []

    def test_read_only_parts_can_not_be_made_writable(self, box, actor):  # noqa: F811
        out = box.run(
            "mount -o remount,rw /proc/sys; mount -o remount,bind,rw /sys; umount /proc/sys; "
            "mount -t proc proc /tmp; mount -t tmpfs t /mnt; mount --bind / /tmp; "
            "echo 1 > /proc/sys/vm/drop_caches && echo WROTE; ls /tmp",
            **actor,
        )["out"]
        assert "WROTE" not in out
        assert "Operation not permitted" in out or "Permission denied" in out or "must be root" in out


class TestCalls:
    def test_32_bit_calls_do_not_exist(self, box, actor):  # noqa: F811
        if os.uname().machine != "x86_64":
            pytest.skip("int 0x80 is of x86")
        answer, killed = attack(box, "call_as_32_bits", **actor)
        # ENOSYS, or the signal of a kernel that knows no 32-bit programs.
        assert answer == "-38" or killed

    def test_keyrings_terminals_and_kernel_doors_are_shut(self, box, actor):  # noqa: F811
        if os.uname().machine != "x86_64":
            pytest.skip("numbers of x86-64")
        results = attack(box, "open_kernel_doors", **actor)
        assert set(results.values()) == {"EPERM"}, results

    def test_the_filter_can_not_be_taken_off(self, box, actor):  # noqa: F811
        answer = box.run("grep Seccomp: /proc/self/status; cat /proc/sys/kernel/seccomp/actions_avail | wc -l", **actor)
        assert "2" in answer["out"].split()[1]


class TestNumbers:
    # Bombs that stop growing: the machine has 32,768 processes for all, and its tests run beside one another.

    def test_a_fork_bomb_ends_with_its_time_limit(self, box, actor, mark):  # noqa: F811
        bomb = f"n=0; f() {{ n=$((n+1)); [ $n = 200 ] || {{ sleep {mark} & sleep {mark} & f; }}; }}; f; sleep {mark}"
        assert box.run(bomb, timeout=0.7, **actor)["timed_out"]
        assert wait_for(lambda: not alive_with(mark))

    def test_one_that_doubles_is_stopped_too(self, box, actor, mark):  # noqa: F811
        """Its 64 ends go on to fork when the time is up."""
        end = f": {mark}; while :; do sleep 0.1; done"
        bomb = f"f() {{ [ $1 = 0 ] && {{ {end}; }}; f $(($1-1)) | f $(($1-1)) & }}; f 6; sleep {mark}"
        assert box.run(bomb, timeout=0.7, **actor)["timed_out"]
        assert wait_for(lambda: not alive_with(mark))

    def test_children_that_ignore_signals_and_hold_the_output_open_end_too(self, box, actor, mark):  # noqa: F811
        trap = "trap '' TERM INT HUP"
        done = threading.Event()
        answers = []

        def run() -> None:
            script = f'({trap}; setsid sh -c "{trap}; sleep {mark}; sleep {mark}" &) ; echo parent'
            answers.append(box.run(script, **actor))
            done.set()

        threading.Thread(target=run).start()
        assert done.wait(60), "the output was held open"
        assert answers[0]["out"] == "parent\n"
        assert not alive_with(mark)
