"""Instances in the background, as a user has them."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import wait_for
from tests.instances.instances import WAITING, own_file, printed, run, state, supervisor_of
from tests.processes import alive_with

pytestmark = pytest.mark.namespaces


@pytest.mark.user
def test_it_runs_on_and_ends_by_its_stop_signal(image):
    run(image, "web", "--", "sh", "-c", f"echo started; {WAITING}")
    assert state(image)["state"] == "running"
    assert "one" in image.command("ps").out
    assert image.command("stop", "one").code == 0
    exited = state(image)
    assert (exited["state"], exited["code"]) == ("exited", 3)
    assert image.command("logs", "one").out == "started\nbye\n"
    assert "one" not in image.command("ps").out


@pytest.mark.user
def test_what_does_not_go_is_killed_with_all_that_it_started(image, mark):
    run(image, "web", "--", "sh", "-c", f"trap '' TERM; sleep {mark} & while :; do sleep 0.05; done")
    assert wait_for(lambda: alive_with(f"sleep\0{mark}"))
    image.command("stop", "--time", "0.3", "one")
    assert state(image)["code"] == 137
    assert not alive_with(f"sleep\0{mark}")


def test_stop_that_gives_no_time_is_a_kill(image):
    """The stop signal is not sent: a command that it ends at once would have ended by either."""
    for number in range(3):
        run(
            image,
            "web",
            "--",
            "sh",
            "-c",
            "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.05; done",
            name=f"one{number}",
        )
        assert wait_for(lambda name=f"one{number}": printed(image, name) == "up\n")
        assert image.command("stop", "--time", "0", f"one{number}").code == 0
        assert state(image, f"one{number}")["code"] == 137
        assert printed(image, f"one{number}") == "up\n"


def test_other_commands_run_beside_it(image):
    run(image, "web", "--", "sh", "-c", f"echo mine > /mine; {WAITING}")
    assert wait_for(lambda: own_file(image, "mine").exists() and own_file(image, "mine").read_text())
    assert image.command("exec", "one", "--", "cat", "/mine").out == "mine\n"
    done = image.command("exec", "one", "--", "sh", "-c", "echo $GREETING; cat; echo bad >&2; exit 5", stdin=b"piped\n")
    assert (done.code, done.out, done.err) == (5, "hello\npiped\n", "bad\n")
    missing = image.command("exec", "one", "--", "nothing")
    assert (missing.code, "there is no program 'nothing'" in missing.err) == (127, True)
    refused = image.command("exec", "one", "--", "/etc")
    assert (refused.code, "/etc can't be run" in refused.err) == (126, True)
    assert image.command("exec", "-w", "/bin", "-e", "A=1", "one", "--", "sh", "-c", "pwd; echo $A").out == "/bin\n1\n"
    image.command("stop", "one")
    over = image.command("exec", "one", "--", "true")
    assert (over.code, "one is not running" in over.err) == (1, True)


@pytest.mark.user
def test_a_command_beside_ends_with_who_asked_for_it(image):
    run(image, "web", "--", "sh", "-c", WAITING)
    process = image.start("exec", "one", "--", "sleep", "7531")
    asked = lambda: "7531" in image.command("exec", "one", "--", "ps").out  # noqa: E731
    assert wait_for(asked)
    process.kill()
    process.wait()
    process.stdout.close()
    assert wait_for(lambda: not asked())


def test_what_it_wrote_is_there_when_it_is_started_again(image):
    script = WAITING.replace("while", "date +%s%N >> /times; echo $(wc -l < /times); while", 1)
    run(image, "web", "--", "sh", "-c", script)
    assert wait_for(lambda: image.command("logs", "one").out == "1\n")
    image.command("stop", "one")
    assert image.command("start", "one").code == 0
    assert wait_for(lambda: printed(image).split() == ["1", "bye", "2"])
    twice = image.command("start", "one")
    assert (twice.code, "is running already" in twice.err) == (1, True)


@pytest.mark.parametrize(("rule", "code", "restarts"), [("never", 4, 0), ("on-failure:2", 4, 2), ("on-failure", 0, 0)])
def test_it_is_restarted_as_the_rule_says(image, rule, code, restarts):
    run(image, "--restart", rule, "web", "--", "sh", "-c", f"echo try; exit {code}")
    assert image.command("wait", "one").code == code
    exited = state(image)
    assert (exited["code"], exited["restarts"]) == (code, restarts)
    assert image.command("logs", "one").out == "try\n" * (restarts + 1)


def test_stop_ends_one_that_is_always_restarted(image):
    run(image, "--restart", "always", "web", "--", "sh", "-c", "echo try; sleep 0.05")
    assert wait_for(lambda: state(image)["restarts"] >= 1)
    assert image.command("stop", "one").code == 0
    assert state(image)["state"] == "exited"


@pytest.mark.user
@pytest.mark.parametrize("words", [(), ("--restart", "always")])
def test_it_outlives_who_started_it_and_ps_tells_the_truth_when_its_supervisor_was_killed(image, mark, words):
    run(image, *words, "web", "--", "sh", "-c", f"{WAITING} # {mark}")
    assert alive_with(f"sh\0-c\0{WAITING} # {mark}")
    os.kill(supervisor_of(image), signal.SIGKILL)
    assert wait_for(lambda: state(image)["state"] == "lost")
    assert wait_for(lambda: not alive_with(mark))
    assert image.command("wait", "one").out == "137\n"
    assert image.command("start", "one").code == 0
    assert state(image)["state"] == "running"


def test_what_was_lost_is_started_again_where_a_rule_says_so(image):
    """As after a restart of the machine, which ends the supervisors in the same way."""
    for name, rule in (("one", "always"), ("two", "on-failure"), ("three", "never"), ("four", "always")):
        run(image, "--restart", rule, "web", "--", "sh", "-c", WAITING, name=name)
    image.command("stop", "four")
    for name in ("one", "two", "three"):
        os.kill(supervisor_of(image, name), signal.SIGKILL)
    assert wait_for(lambda: [state(image, name)["state"] for name in ("one", "two", "three")] == ["lost"] * 3)
    assert sorted(image.command("start", "--lost").out.split()) == ["one", "two"]
    states = {name: state(image, name)["state"] for name in ("one", "two", "three", "four")}
    assert states == {"one": "running", "two": "running", "three": "lost", "four": "exited"}


def test_logs_keep_streams_and_times_and_follow(image):
    run(image, "web", "--", "sh", "-c", "echo 1; echo 2 >&2; sleep 0.5; echo 3; printf no-end")
    done = image.command("logs", "--follow", "one")
    assert (done.out, done.err) == ("1\n3\nno-end\n", "2\n")
    assert image.command("logs", "--tail", "1", "one").out == "no-end\n"
    stamped = image.command("logs", "--timestamps", "one").out.splitlines()[0]
    assert stamped.startswith("20")
    assert stamped.endswith("Z 1")


def test_names_and_ids(image):
    run(image, "web", "--", "sh", "-c", WAITING, name="alpha")
    taken = image.command("run", "-d", "--name", "alpha", "web", "--", "true")
    assert (taken.code, "there is an instance 'alpha' already" in taken.err) == (1, True)
    assert "did you mean 'alpha'?" in image.command("stop", "alpa").err
    assert image.command("exec", state(image, "alpha")["id"][:5], "--", "true").code == 0
    running = image.command("rm", "alpha")
    assert (running.code, "alpha is running" in running.err) == (1, True)
    assert image.command("rm", "--force", "alpha").code == 0
    assert image.command("ps", "--all").out.splitlines()[1:] == []


def test_a_command_that_can_not_be_started_is_told(image):
    for words, message in (
        (["-w", "/none", "web", "--", "true"], "/none"),
        (["web", "--", "nothing"], "there is no program 'nothing'"),
    ):
        done = image.command("run", "-d", "--name", "bad", *words)
        assert (done.code, done.out, message in done.err) == (2 if "/none" in words else 127, "", True), done.err
    assert image.command("ps", "--all", "--format", "json").out == "[]\n"


def test_signals_reach_it(image):
    run(image, "web", "--", "sh", "-c", "trap 'echo hup' HUP; echo ready; while :; do sleep 0.05; done")
    assert wait_for(lambda: "ready" in printed(image))
    assert image.command("kill", "--signal", "HUP", "one").code == 0
    assert wait_for(lambda: "hup" in printed(image))
    assert image.command("kill", "--signal", "NONSENSE", "one").code == 2


def test_diff_shows_what_was_changed_by_hand(image):
    run(image, "web", "--", "sh", "-c", WAITING)
    assert image.command("diff", "one").code == 0
    image.command("exec", "one", "--", "sh", "-c", "echo by hand > /etc/conf; rm /file")
    done = image.command("diff", "one", "--format", "json")
    assert done.code == 1
    assert {(change["path"], change["verb"]) for change in json.loads(done.out)["unexplained"]} == {
        ("/etc/conf", "added"),
        ("/file", "removed"),
    }
    assert "+by hand" in image.command("diff", "one", "--text", "/etc/conf").out
    # It goes on as before, with its own files.
    assert image.command("exec", "one", "--", "cat", "/etc/conf").out == "by hand\n"


def test_gc_leaves_a_running_instance_alone(image):
    run(image, "web", "--", "sh", "-c", WAITING)
    image.command("untag", "web")
    os.unlink(image.folder / "web.env.lock")
    assert image.command("gc", "--budget", "1kB").code in (0, 1)
    assert image.command("gc").code == 0
    assert image.command("exec", "one", "--", "cat", "/file").out == "in the image\n"
    image.command("stop", "one")
    assert image.command("start", "one").code == 0


@pytest.mark.user
def test_an_interactive_shell_beside_it(image):
    run(image, "web", "--", "sh", "-c", WAITING)
    words = f"{sys.executable} -m envbuild exec one"
    done = subprocess.run(
        ["script", "-qec", words, "/dev/null"],
        cwd=image.folder,
        env={**image.environment, "TERM": "xterm"},
        input=b"tty; cat /file; exit 6\n",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 6
    assert b"/dev/pts/" in done.stdout
    assert b"in the image" in done.stdout


@pytest.mark.user
def test_a_checkout_is_made_behind_a_read_only_instance_and_used_by_the_next(image):
    kind = 'awk \'$2 == "/bin" || $2 == "/" { print $2, $3 }\' /proc/mounts; cat /file; echo x > /file'
    first = image.command("run", "--read-only", "web", "--", "sh", "-c", kind)
    assert (first.out, "Read-only file system" in first.err) == ("/ overlay\nin the image\n", True)

    def shown() -> str:
        return image.command("run", "--read-only", "web", "--", "sh", "-c", kind).out

    assert wait_for(lambda: shown().startswith("/ tmpfs\n"))
    lines = shown().splitlines()
    assert lines[1].startswith("/bin ")
    assert "overlay" not in lines[1]
    assert lines[2] == "in the image"
    fixed = image.command("run", "--fixed", "/bin", "web", "--", "sh", "-c", "echo y > /y && cat /y; rm /bin/sh")
    assert (fixed.out, "Read-only file system" in fixed.err) == ("y\n", True)
    assert image.command("fsck").code == 0
    # Builds go on from the checkout, and see the same tree.
    assert (
        image.build("run echo in the image > /file", "env GREETING=hello", "run cat /file").printed == "in the image\n"
    )


def test_what_can_not_be_fixed_is_told(image):
    done = image.command("run", "--fixed", "/none", "web", "--", "true")
    assert (done.code, "/none can't be kept as it is" in done.err) == (1, True)


@pytest.mark.user
@pytest.mark.parametrize(("words", "mode"), [((), "2"), (("--unfiltered",), "0")])
def test_the_filter_of_system_calls_is_there_unless_it_was_asked_to_be_left_out(image, words, mode):
    """Seccomp in /proc/PID/status (proc(5)): 2 with a filter, 0 without."""
    ask = ["sed", "-n", "s/^Seccomp:.//p", "/proc/self/status"]
    assert image.command("run", *words, "web", "--", *ask).out == f"{mode}\n"
    run(image, *words, "web", "--", "sh", "-c", WAITING)
    assert image.command("exec", "one", "--", *ask).out == f"{mode}\n"
    # Without it a command has no more rights over what is outside of its namespaces.
    mount = image.command("exec", "one", "--", "mount", "-t", "tmpfs", "none", "/root")
    assert (mount.code, "permission denied" in mount.err) == (1, True), mount.err
