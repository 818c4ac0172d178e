"""Every promise of the sandbox, in real namespaces: as root or an ordinary user, with all ids and with a single one."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from envbuild.sandbox import capabilities, seccomp
from tests.conftest import APPLETS, BUSYBOX, call, wait_for
from tests.forked import started
from tests.netcat import answer_once, ask
from tests.processes import alive_with

pytestmark = pytest.mark.namespaces
DRIVER = "tests.sandbox.driver:main"
INSIDE = Path(__file__).parent / "inside"


class Box:
    def __init__(self, folder: Path, single: bool, *, steps: bool = False) -> None:
        self.folder = folder
        self.single = single
        self.steps = steps
        self.layer = folder / "layer"
        (self.layer / "bin").mkdir(parents=True)
        (self.layer / "etc").mkdir()
        shutil.copy(BUSYBOX, self.layer / "bin/busybox")
        for applet in APPLETS.split():
            (self.layer / "bin" / applet).symlink_to("busybox")
        (self.layer / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n")
        (self.layer / "etc/group").write_text("root:x:0:\napp:x:1001:\nextra:x:50:app\n")
        self._count = 0

    def request(self, script: str, **options: object) -> dict:
        self._count += 1
        upper, work = self.folder / f"upper{self._count}", self.folder / f"work{self._count}"
        upper.mkdir()
        work.mkdir()
        plain = {
            "layers": [str(self.layer)],
            "argv": ["/bin/sh", "-c", script],
            "upper": str(upper),
            "work": str(work),
        }
        return {**plain, **options}

    def ask(self, *requests: dict, **options: bool) -> list[dict]:
        asked = {"single": self.single, "steps": self.steps, "requests": list(requests), **options}
        done = call(DRIVER, (), self.folder, os.environ, json.dumps(asked).encode())
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["answers"]

    def run(self, script: str, **options: object) -> dict:
        (answer,) = self.ask(self.request(script, **options))
        return answer


KINDS = ("all", "single", "all, steps", "single, steps")


@pytest.fixture(params=[pytest.param(kind, marks=() if kind == KINDS[-1] else pytest.mark.user) for kind in KINDS])
def box(request, tmp_path):
    """A sandbox of all ids or of a single one, whose commands run by the helper, or as a build's steps do."""
    if not BUSYBOX.exists():
        pytest.skip("busybox-static is not installed")
    return Box(tmp_path, "single" in request.param, steps="steps" in request.param)


def test_the_command_sees_the_tree_and_what_it_writes_goes_to_upper(box):
    answer = box.run("echo hi > /new; cat /etc/passwd | head -1")
    assert answer["status"] == 0
    assert answer["out"] == "root:x:0:0::/root:/bin/sh\n"
    assert answer["upper"] == ["new"]
    assert answer["made"] == []


def test_mount_points_need_nothing_in_upper(box):
    answer = box.run("ls / | tr '\\n' ' '; mount | grep -c .", network=True, binds=[["/etc/hosts", "/a/b/hosts"]])
    for name in ("dev", "proc", "sys", "tmp", "a"):
        assert f"{name} " in answer["out"]
    assert answer["upper"] == []


def test_without_upper_nothing_can_be_written(box):
    answer = box.run("touch /x", upper=None, work=None)
    assert answer["status"] == 1
    assert "Read-only file system" in answer["out"]


def test_exit_status_and_signals(box):
    first, second = box.ask(box.request("exit 42"), box.request("kill -9 $$"))
    assert (first["status"], first["signal"]) == (42, 0)
    assert (second["status"], second["signal"]) == (137, 9)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"argv": ["/bin/none"]}, "there is no program '/bin/none'"),
        ({"argv": ["none"]}, "there is no program 'none'"),
        ({"user": "nobody"}, "there is no user 'nobody'"),
        ({"user": "app:nogroup"}, "there is no group 'nogroup'"),
        ({"directory": "/none"}, "/none can't be entered"),
        ({"argv": ["/etc/passwd"]}, "/etc/passwd can't be run"),
        ({"binds": [["/no/such/source", "/x"]]}, "/no/such/source can't be mounted"),
    ],
)
def test_what_can_not_be_started_is_told_in_words(box, options, text):
    assert text in box.run("true", **options)["error"]


def test_there_is_a_loopback_and_no_other_network(box):
    answer = box.run(
        f"cat /proc/net/dev | grep : | cut -d: -f1; ({answer_once('hi', 5000)}) & {ask('127.0.0.1', 5000)}"
    )
    assert answer["out"].split() == ["lo", "hi"]


def test_with_network_the_interfaces_of_the_machine_show(box):
    with open("/proc/net/dev") as file:
        here = [line.split(":")[0].strip() for line in file if ":" in line]
    answer = box.run("cat /proc/net/dev | grep : | cut -d: -f1", network=True)
    assert set(answer["out"].split()) == set(here)


def test_processes_of_the_host_do_not_show(box):
    answer = box.run("echo $$; ls /proc | grep -c '^[0-9]'")
    pid, count = map(int, answer["out"].split())
    assert pid < 5
    assert count < 8


def test_the_host_name_is_fixed(box):
    assert box.run("hostname")["out"] == "envbuild\n"


def test_proc_is_masked_and_sys_is_read_only(box):
    answer = box.run(
        "for f in /proc/sysrq-trigger /proc/sys/kernel/hostname /sys/kernel/x; do"
        " (echo 1 > $f) 2>/dev/null && echo wrote $f; done;"
        "head -c 1 /proc/kcore 2>/dev/null | wc -c; ls /proc/acpi /sys/firmware 2>/dev/null;"
        "cat /proc/keys; cat /proc/timer_list"
    )
    assert "wrote" not in answer["out"]
    assert [line for line in answer["out"].splitlines() if line and not line.endswith(":")] == ["0"]


def test_dev_has_what_programs_need_and_nothing_else(box):
    answer = box.run(
        "ls /dev; echo; echo x > /dev/null; head -c 2 /dev/zero | od -An -tx1; test -c /dev/pts/ptmx && echo pts"
    )
    names, _, rest = answer["out"].partition("\n\n")
    wanted = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert names.split() == wanted.split()
    assert rest.split() == ["00", "00", "pts"]


def test_device_nodes_can_not_be_made(box):
    answer = box.run("mknod /n c 1 3; mknod /w c 0 0; mknod /b b 8 0; mknod /p p && echo fifo")
    assert answer["out"].count("not permitted") == 3
    assert answer["upper"] == ["p"]


def test_tmp_is_the_sandbox_s_own_and_ends_with_it(box):
    first, second = box.ask(box.request("echo 1 > /tmp/x; stat -c %a /tmp"), box.request("ls /tmp"))
    assert first["out"] == "1777\n"
    assert second["out"] == ""
    assert first["upper"] == []


def test_capabilities_are_the_default_set(box):
    out = box.run("grep Cap /proc/self/status")["out"]
    values = dict(line.split(":\t") for line in out.splitlines())
    assert int(values["CapEff"], 16) == int(values["CapPrm"], 16) == int(values["CapBnd"], 16) == capabilities.mask()
    assert int(values["CapInh"], 16) == int(values["CapAmb"], 16) == 0


def test_another_user_has_no_capabilities_and_its_groups(box):
    answer = box.run("id; grep CapEff /proc/self/status", user="app")
    if box.single:
        assert "uid=0" in answer["out"]
    else:
        assert "uid=1000(app) gid=1001(app) groups=" in answer["out"]
        assert "50(extra)" in answer["out"]
        assert "0000000000000000" in answer["out"]


def python_in(box: Box, program: str, *words: str, **options: object) -> dict:
    """Runs a program of `inside/` with this machine's Python in a sandbox, with what it needs as read-only binds."""
    real = os.path.realpath("/usr/bin/python3")
    if not os.path.exists(real):
        pytest.skip("needs /usr/bin/python3")
    binds = [["/usr", "/usr"], *[[os.path.realpath(p), p] for p in ("/lib", "/lib64") if os.path.isdir(p)]]
    return box.run(
        "", argv=[real, "-I", "-S", "-c", (INSIDE / f"{program}.py").read_text(), *words], binds=binds, **options
    )


def test_dangerous_system_calls_are_refused(box):
    machine = os.uname().machine
    if machine not in seccomp.REFUSED:
        pytest.skip(f"no call numbers for {machine}")
    answer = python_in(box, "make_calls", json.dumps(seccomp.REFUSED[machine]))
    assert set(json.loads(answer["out"]).values()) == {errno.EPERM}, answer["out"]


def test_new_namespaces_terminal_input_leases_and_clone3_are_refused(box):
    if os.uname().machine != "x86_64":
        pytest.skip("numbers of x86-64")
    out = json.loads(python_in(box, "make_refused_calls")["out"])
    assert out == [errno.EPERM, errno.ENOSYS, errno.EPERM, errno.EPERM, errno.ENOSYS, *[errno.EPERM] * 3]


def test_descriptors_and_environment_are_exactly_those_of_the_request(box):
    answer = box.run("ls /proc/self/fd | wc -l; env | sort", environment=[["PATH", "/bin"], ["A", "1"]])
    lines = answer["out"].splitlines()
    assert lines[0] == "4"  # three, and the one that ls opens
    assert [line for line in lines[1:] if not line.startswith(("PWD", "SHLVL"))] == ["A=1", "PATH=/bin"]


def test_binds_are_read_only_unless_asked(box, tmp_path):
    (tmp_path / "data").mkdir()
    answer = box.run(
        "touch /ro/x || echo refused; touch /rw/x && echo written",
        binds=[[str(tmp_path / "data"), "/ro", True], [str(tmp_path / "data"), "/rw", False]],
    )
    assert answer["out"].splitlines()[-2:] == ["refused", "written"]
    assert (tmp_path / "data/x").exists()


def test_links_of_the_tree_do_not_lead_mounts_out(box, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    for name in ("dev", "proc", "sys", "tmp"):
        (box.layer / name).symlink_to(victim)
    answer = box.run("ls /proc/self/exe; echo done", binds=[[str(tmp_path / "layer/etc"), "/dev/../bound"]])
    assert os.listdir(victim) == []
    assert "done" in answer.get("out", "") or "error" in answer


def test_secrets_are_files_of_the_command_s_user(box):
    answer = box.run("cat /run/secrets/key; stat -c %a /run/secrets/key", user="app", secrets=[["key", "s3cret\n"]])
    assert answer["out"] == "s3cret\n400\n"
    assert answer["upper"] == []


def test_background_children_end_with_the_command_and_hold_nothing_open(box, mark):
    answer = box.run(f"sleep {mark} & (setsid sleep {mark} &) ; trap '' TERM; echo out")
    assert answer["out"] == "out\n"
    assert not alive_with(mark)


def test_a_time_limit_ends_everything(box, mark):
    answer = box.run(f"trap '' TERM INT HUP; (setsid sleep {mark} &); sleep {mark}", timeout=0.5)
    assert answer["timed_out"]
    assert answer["status"] == 137
    assert not alive_with(mark)


def test_the_answer_after_a_time_limit_comes_when_the_last_process_is_gone(box, mark):
    """Many processes take their time to die."""
    script = f"for n in $(seq 100); do sleep {mark} & done; head -c 50000000 /dev/zero | tail; sleep {mark}"
    for answer in box.ask(*[box.request(script, timeout=0.5, mark=f"sleep\0{mark}") for _ in range(2)]):
        assert (answer["timed_out"], answer["left"]) == (True, 0)


def test_nothing_survives_the_death_of_the_main_process(box, mark):
    command = f"(setsid sleep {mark} &); sleep {mark}"
    asked = {"single": box.single, "steps": box.steps, "requests": [box.request(command)]}
    process = subprocess.Popen(started(DRIVER), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    process.stdin.write(json.dumps(asked).encode())
    process.stdin.close()
    assert wait_for(lambda: len(alive_with(f"sleep\0{mark}")) == 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert wait_for(lambda: not alive_with(f"sleep\0{mark}"))


def test_nothing_stays_mounted_on_the_host(box):
    with open("/proc/self/mounts") as file:
        before = file.read()
    box.run("true")
    with open("/proc/self/mounts") as file:
        assert file.read() == before


def test_several_run_at_once(box, tmp_path):
    (tmp_path / "shared").mkdir()
    binds = [[str(tmp_path / "shared"), "/shared", False]]
    # Each ends only when all are there.
    script = "touch /shared/{}; until test $(ls /shared | wc -l) = 4; do sleep 0.02; done; echo {}"
    requests = [box.request(script.format(n, n), binds=binds, timeout=30.0) for n in range(4)]
    assert [answer["out"] for answer in box.ask(*requests, together=True)] == [f"{n}\n" for n in range(4)]


def test_a_hundred_layers(box, tmp_path):
    layers = []
    for number in range(100):
        layer = tmp_path / f"l{number}"
        layer.mkdir()
        (layer / f"f{number}").write_text("")
        (layer / "top").write_text(str(number))
        layers.insert(0, str(layer))
    answer = box.run("ls / | grep -c ^f; cat /top", layers=[*layers, str(box.layer)])
    assert answer["out"] == "100\n99"


def test_owners_are_kept_with_many_ids_and_pretended_with_one(box):
    answer = box.run("touch /f && chown 5:6 /f && chgrp 7 /f; echo $?; stat -c %u:%g /f")
    assert answer["out"] == ("0\n0:0\n" if box.single else "0\n5:7\n")


def test_large_requests_pass(box):
    value = "x" * 120_000
    answer = box.run(
        "echo ${#A}; wc -c < /run/secrets/s",
        environment=[["PATH", "/bin"], ["A", value]],
        secrets=[["s", "y" * 1_000_000]],
    )
    assert answer["out"] == "120000\n1000000\n"
