"""Captures that a machine takes by itself: what starts them, what is recorded, how many are kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from envbuild.capture.apt_run import command_in
from envbuild.capture.schedule import crontab_line, unit_word, with_line, without_line
from envbuild.capture.schedule_files import UnsafeProgram, check_program
from tests.capture.conftest import Machine

pytestmark = [pytest.mark.namespaces]


def entries(machine: Machine) -> list[str]:
    return [line for line in machine.output("log", "laptop").splitlines() if line.startswith("laptop:latest@")]


@pytest.mark.user
def test_where_nothing_changed_nothing_is_recorded(machine: Machine):
    machine.capture("--by", "timer")
    os.utime(machine.root / "etc", ns=(1, 1))
    machine.write("/tmp/scratch", "something\n")
    machine.write("/var/log/new", "a line\n")
    words = ("capture", "laptop", "--root", str(machine.root), "--by", "timer")
    assert machine.output(*words) == ""
    assert len(entries(machine)) == 1
    machine.write("/etc/hostname", "desktop\n")
    assert machine.output(*words).startswith("laptop = ")
    assert len(entries(machine)) == 2


def test_of_the_captures_of_an_hour_gc_keeps_the_last(machine: Machine):
    for number in range(4):
        machine.write("/etc/hostname", f"laptop{number}\n")
        machine.capture("--by", "timer")
    machine.write("/etc/hostname", "by hand\n")
    machine.capture("-m", "it works")
    machine.write("/etc/hostname", "last\n")
    machine.capture("--by", "timer")
    freed = json.loads(machine.output("gc", "--format", "json", "--captures", "hours=all,days=0,months=0"))
    assert freed["images"] in (3, 4, 5)  # an hour may have ended meanwhile
    assert machine.output("cat", "laptop", "/etc/hostname") == "last\n"
    assert machine.output("cat", "laptop@{1}", "/etc/hostname") == "by hand\n"
    assert len(entries(machine)) == 6
    assert machine.project.command("cat", "laptop@{5}", "/etc/hostname").code == 2


def test_apts_command_line_is_the_reason(machine: Machine):
    machine.capture()
    machine.write("/etc/hostname", "desktop\n")
    capture = f"{sys.executable} -m envbuild capture laptop --root {machine.root} --by"
    # As apt starts its hooks: a shell, whose parent has apt's command line.
    script = f"{capture} before-apt; echo a > {machine.root}/etc/a; {capture} after-apt; :"
    words = ["bash", "-c", 'exec -a /usr/bin/apt-get sh -c "$0" upgrade -y', script]
    subprocess.run(words, env=machine.project.environment, check=True, capture_output=True, cwd=machine.project.folder)
    after, before, first = (line.partition("capture")[2] for line in entries(machine))
    assert after.startswith(": apt-get -c")
    assert after.endswith("upgrade -y")
    assert before.startswith(": before apt-get -c")
    assert first == ""


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["apt", "full-upgrade", "-y"], "apt full-upgrade -y"),
        (["/usr/bin/apt-get", "install", "a b"], "apt-get install 'a b'"),
        (["/usr/bin/python3", "/usr/bin/unattended-upgrade", "--debug"], "unattended-upgrade --debug"),
        (["apt", "-o", "Acquire::http::Proxy=http://me:secret@proxy:8080/", "update"],
         "apt -o Acquire::http::Proxy=http://proxy:8080/ update"),
        (["sh", "-c", "apt upgrade"], ""),
        (["vim", "x", "y", "apt"], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_the_command_that_runs_dpkg(words: list[str], command: str):
    assert command_in(words) == command


def set_up(machine: Machine, *words: str) -> str:
    return machine.output("capture", "laptop", "--install", "--root", str(machine.root), *words)


@pytest.mark.user
def test_what_is_set_up_is_taken_away_again(machine: Machine):
    machine.write("/usr/lib/systemd/systemd", "")
    (machine.root / "etc/apt/apt.conf.d").mkdir(parents=True)
    before = sorted(machine.root.rglob("*"))
    assert set_up(machine, "--dry-run", "--home").count("would write") == 4
    assert sorted(machine.root.rglob("*")) == before
    set_up(machine, "--home", "--every", "daily")
    runner = machine.root / "etc/envbuild/capture-run"
    assert os.access(runner, os.X_OK)
    assert 'capture --by "$1" laptop --home' in runner.read_text()
    assert f"ENVBUILD_STORE={machine.project.store}" in runner.read_text()
    subprocess.run(["sh", "-n", str(runner)], check=True)
    units = machine.root / "etc/systemd/system"
    assert "OnCalendar=daily" in (units / "envbuild-capture.timer").read_text()
    target = os.readlink(units / "timers.target.wants/envbuild-capture.timer")
    assert target == "/etc/systemd/system/envbuild-capture.timer"
    set_up(machine)  # again, with other options
    assert "--home" not in runner.read_text()
    removed = machine.output("capture", "--uninstall", "--root", str(machine.root))
    assert removed.count("removed") == 5
    assert [path for path in machine.root.rglob("*") if path not in before and not path.is_dir()] == []
    assert machine.output("capture", "--uninstall", "--root", str(machine.root)) == "nothing is set up here\n"


@pytest.mark.user
def test_without_systemd_cron_starts_it(machine: Machine):
    machine.write("/usr/sbin/cron", "")
    set_up(machine)
    lines = (machine.root / "etc/cron.d/envbuild-capture").read_text().splitlines()
    assert lines[-1] == "17 * * * * root /etc/envbuild/capture-run timer >/dev/null"
    machine.write("/usr/lib/systemd/systemd", "")
    (machine.root / "usr/sbin/cron").unlink()
    set_up(machine)
    assert not (machine.root / "etc/cron.d/envbuild-capture").exists()


def test_nothing_of_somebody_else_is_replaced_or_followed(machine: Machine, tmp_path: Path):
    machine.write("/usr/sbin/cron", "")
    machine.write("/etc/cron.d/envbuild-capture", "mine\n")
    words = ("capture", "--install", "--root", str(machine.root))
    done = machine.project.command(*words)
    assert done.code == 2
    assert "/etc/cron.d/envbuild-capture is there already" in done.err
    machine.project.command("capture", "--uninstall", "--root", str(machine.root))
    assert (machine.root / "etc/cron.d/envbuild-capture").read_text() == "mine\n"
    shutil.rmtree(machine.root / "etc/cron.d")
    (machine.root / "etc/cron.d").symlink_to(tmp_path)
    done = machine.project.command(*words)
    assert done.code == 2
    assert "/etc/cron.d/envbuild-capture: cron.d on the way is a link or a file" in done.err
    assert not (tmp_path / "envbuild-capture").exists()


def test_a_machine_that_can_start_nothing_is_said_so(machine: Machine):
    done = machine.project.command("capture", "--install", "--root", str(machine.root))
    assert done.code == 3
    assert "neither systemd nor cron" in done.err


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_reads_the_units(machine: Machine):
    machine.write("/usr/lib/systemd/systemd", "")
    set_up(machine)
    units = machine.root / "etc/systemd/system"
    runner = str(machine.root / "etc/envbuild/capture-run")
    service = units / "envbuild-capture.service"
    service.write_text(service.read_text().replace("/etc/envbuild/capture-run", runner))
    words = ["systemd-analyze", "verify", "--man=no", str(service), str(units / "envbuild-capture.timer")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "envbuild" in line] == []


@pytest.mark.skipif(not shutil.which("apt-config"), reason="apt is not installed")
def test_apt_reads_the_hooks(machine: Machine):
    machine.write("/usr/sbin/cron", "")
    (machine.root / "etc/apt/apt.conf.d").mkdir(parents=True)
    set_up(machine)
    settings = machine.root / "etc/apt/apt.conf.d/90envbuild-capture"
    environment = {**os.environ, "APT_CONFIG": str(settings)}
    dumped = subprocess.run(["apt-config", "dump"], env=environment, capture_output=True, text=True, check=True).stdout
    hook = "[ ! -x /etc/envbuild/capture-run ] || timeout 30m /etc/envbuild/capture-run"
    assert f'DPkg::Pre-Invoke:: "{hook} before-apt || true";' in dumped
    assert f'DPkg::Post-Invoke:: "{hook} after-apt || true";' in dumped


@pytest.mark.root
def test_root_starts_nothing_that_others_can_change(tmp_path: Path):
    safe = tmp_path / "safe"
    (safe / "inner").mkdir(parents=True)
    inner = safe / "inner/module.py"
    inner.write_text("")
    check_program([str(safe)])
    os.chown(inner, 1234, 0)
    with pytest.raises(UnsafeProgram):
        check_program([str(safe)])
    os.chown(inner, 0, 0)
    inner.chmod(0o666)
    with pytest.raises(UnsafeProgram):
        check_program([str(safe)])
    inner.chmod(0o644)
    link = tmp_path / "link"
    link.symlink_to(safe)
    check_program([str(link)])
    os.chown(link, 1234, 0, follow_symlinks=False)
    with pytest.raises(UnsafeProgram):
        check_program([str(link)])


def test_a_crontab_keeps_its_other_lines():
    line = crontab_line("/home/ada/.config/50% mine/capture-run", "hourly")
    assert line.startswith("17 * * * * '/home/ada/.config/50\\% mine/capture-run' timer >/dev/null")
    mine = "# mine\n5 4 * * * backup\n"
    assert without_line(with_line(with_line(mine, "old " + line), line)) == mine
    assert with_line("", line) == f"{line}\n"


def test_words_of_units():
    assert unit_word("/etc/envbuild/capture-run") == "/etc/envbuild/capture-run"
    assert unit_word("/home/a b/50%/$x/run") == '"/home/a b/50%%/$$x/run"'
