"""What became of a machine: against the machine as it is now, of one path, and of each line of a file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.capture.conftest import Machine

pytestmark = pytest.mark.namespaces
CONFIG = "/etc/ssh/sshd_config"
HISTORY = """
Start-Date: 2026-11-01  10:00:00
Commandline: apt-get -o Acquire::http::Proxy=http://ada:hush-hush@proxy.test/ upgrade
Upgrade: tool:amd64 (1.0, 1.1), other:amd64 (1, 2)
End-Date: 2026-11-01  10:00:09
"""


def files_of(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if path.is_file()}


def why(machine: Machine, path: str, *words: str) -> dict:
    return json.loads(machine.output("why", "laptop", path, "--format", "json", *words))


@pytest.mark.user
def test_the_machine_now_is_compared_and_nothing_of_it_is_stored(machine: Machine):
    machine.capture()
    store = Path(machine.project.environment["ENVBUILD_STORE"])
    pool = files_of(store / "objects")
    assert "the machine now" in machine.output("diff", "laptop", "--live")
    machine.write(CONFIG, "PermitRootLogin yes\n")
    machine.write("/usr/local/bin/new", "#!/bin/sh\n", 0o755)
    shown = machine.output("diff", "laptop", "--live", code=1)
    assert "+PermitRootLogin yes" in shown
    assert "A /usr/local/bin/new" in shown
    assert "+PermitRootLogin yes" in machine.output("diff", "laptop", "--live", "--text", CONFIG, code=1)
    assert files_of(store / "objects") == pool
    assert not list((store / "work").iterdir())
    assert machine.output("log", "laptop", "--oneline").count("\n") == 1
    # The next capture takes what was only looked at before.
    machine.capture()
    assert machine.output("cat", "laptop", CONFIG) == "PermitRootLogin yes\n"
    assert "changed" not in machine.output("diff", "laptop", "--live")


def test_live_takes_the_options_of_the_capture(machine: Machine):
    machine.capture("--home")
    machine.write("/home/ada/.profile", "export EDITOR=vi\n")
    report = json.loads(machine.output("diff", "laptop", "--live", "--format", "json", code=1))
    assert [path["path"] for path in report["unexplained"]] == ["/home/ada/.profile"]


def test_what_only_one_capture_took_is_no_difference(machine: Machine):
    machine.capture("--home")
    machine.capture()
    report = json.loads(machine.output("diff", "laptop@{1}", "laptop", "--format", "json", code=1))
    assert (report["unexplained"], report["notices"]) == ([], [])
    assert report["uncompared"] > 0


def test_live_needs_a_capture(machine: Machine):
    machine.project.build("run true")
    machine.capture()
    assert "is not a capture" in machine.project.command("diff", "web", "--live").err
    assert "--live compares one" in machine.project.command("diff", "laptop", "laptop", "--live").err


def test_why_names_the_first_capture_with_this_content_and_what_was_before(machine: Machine):
    machine.capture("-m", "as it came")
    machine.write(CONFIG, "PermitRootLogin yes\n")
    machine.capture("-m", "ssh")
    os.utime(machine.root / CONFIG.lstrip("/"), (1, 1))
    machine.capture("-m", "touched")
    reasons = why(machine, CONFIG)["capture"]
    assert (reasons["since"]["back"], reasons["since"]["reason"]) == (1, "ssh")
    assert (reasons["before"]["back"], reasons["before"]["exists"]) == (2, True)
    assert {"-PermitRootLogin no", "+PermitRootLogin yes"} <= set(reasons["diff"])
    shown = machine.output("why", "laptop", CONFIG)
    assert "capture: ssh" in shown
    assert "package    none" in shown


def test_why_of_what_is_gone(machine: Machine):
    machine.capture()
    (machine.root / CONFIG.lstrip("/")).unlink()
    machine.capture("-m", "cleaned")
    assert "gone with  laptop:latest@{0}" in machine.output("why", "laptop", CONFIG)


def test_each_line_has_the_capture_that_it_came_with(machine: Machine):
    for number, text in enumerate(("a\nb\n", "a\nb\nc\n", "new\na\nc\n", "new\na\nc\n")):
        machine.write(CONFIG, text)
        machine.write("/etc/other", str(number))
        machine.capture("-m", f"number {number}")
    lines = why(machine, CONFIG, "--lines")["lines"]
    assert [(line["text"], line["since"]["back"]) for line in lines] == [("new", 1), ("a", 3), ("c", 2)]
    shown = machine.output("why", "laptop", CONFIG, "--lines").splitlines()
    assert shown[2].startswith("@{2} ")
    assert shown[2].endswith("capture: number 1  c")
    assert "has no lines" in machine.project.command("why", "laptop", "/etc", "--lines").err


def test_what_the_package_manager_did_meanwhile(machine: Machine):
    machine.capture()
    machine.write(CONFIG, "Port 1\n")
    machine.write("/var/log/apt/history.log", HISTORY)
    now = machine.output("log", "laptop").split()[2].replace("T", " ").removesuffix("Z")
    lines = (f"{now} install late:amd64 <none> 3.0", "2026-11-01 10:00:05 upgrade tool:amd64 1.0 1.1")
    machine.write("/var/log/dpkg.log", "".join(f"{line}\n" for line in lines))
    machine.capture()
    (action,) = why(machine, CONFIG)["capture"]["log"]
    assert {name: action[name] for name in ("command", "verb", "package", "old", "new")} == {
        "command": "",
        "verb": "install",
        "package": "late:amd64",
        "old": "",
        "new": "3.0",
    }
    kept = machine.output("cat", "laptop", "/var/lib/envbuild/capture/passing/package-log").splitlines()
    moment, command, *action = kept[0].split("\t")
    assert (moment, action) == ("2026-11-01T10:00:00Z", ["upgrade", "other:amd64", "1", "2"])
    assert command.startswith("apt-get -o Acquire::http::Proxy=http://")
    assert "hush" not in "".join(kept)
    assert len(kept) == 3


def test_logs_of_anybody_fail_no_capture(machine: Machine):
    machine.write("/etc/localtime", "TZif2" + "\x7f" * 200)
    machine.write("/var/log/apt/history.log", "Start-Date: 9999-99-99  99:99:99\nUpgrade: a (1, 2" + "(" * 10_000)
    machine.write("/var/log/apt/history.log.1.gz", "no gzip")
    os.mkfifo(machine.root / "var/log/dpkg.log")
    assert machine.capture()["image"]
