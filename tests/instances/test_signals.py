"""Signals of an instance: all of them reach its command, by whichever name they are called."""

import signal

import pytest

from envbuild.instances.control_client import ask
from envbuild.instances.messages import SignalRequest
from envbuild.instances.records import Instances
from tests.conftest import wait_for
from tests.instances.instances import printed, run, state

pytestmark = pytest.mark.namespaces

UNCATCHABLE = (9, 19, 32, 33)
"""KILL, STOP and the two that the C library keeps for itself."""
CATCHABLE = [number for number in range(1, 65) if number not in UNCATCHABLE]
ECHO = (
    f'for s in {" ".join(map(str, CATCHABLE))}; do trap "echo got $s" $s; done; echo ready;'
    " while :; do sleep 0.05; done"
)


def lines(image, name: str = "one") -> list[str]:
    return printed(image, name).splitlines()


@pytest.mark.user
def test_all_that_can_be_caught_reach_the_command(image):
    run(image, "web", "--", "sh", "-c", ECHO)
    assert wait_for(lambda: "ready" in lines(image))
    assert image.command("kill", "--signal", "USR1", "one").code == 0
    echoing = Instances.of(str(image.store)).find("one")
    for number in CATCHABLE:
        ask(echoing, SignalRequest(number))
        if number == signal.SIGCONT:  # those that stop a process would take it back (signal(7))
            assert wait_for(lambda: f"got {int(signal.SIGCONT)}" in lines(image))
    expected = {f"got {number}" for number in CATCHABLE}
    assert wait_for(lambda: expected <= set(lines(image))), expected - set(lines(image))


def test_those_of_the_c_library_reach_it_too(image):
    for number in (32, 33):
        run(image, "web", "--", "sleep", "100", name=f"by-{number}")
        assert image.command("kill", "-s", str(number), f"by-{number}").code == 0
        assert image.command("wait", f"by-{number}").out == f"{128 + number}\n"


def test_a_command_is_stopped_and_goes_on(image):
    run(image, "web", "--", "sh", "-c", "while :; do echo x; sleep 0.05; done")
    assert wait_for(lambda: lines(image))
    image.command("kill", "-s", "STOP", "one")
    stopped = image.command("exec", "one", "--", "sh", "-c", "grep State /proc/2/status")
    assert "T (stopped)" in stopped.out
    image.command("kill", "-s", "CONT", "one")
    count = len(lines(image))
    assert wait_for(lambda: len(lines(image)) > count)


@pytest.mark.parametrize(("written", "number", "kept"), [("SIGWINCH", 28, "WINCH"), ("sigrtmax-2", 62, "RTMAX-2")])
def test_a_stop_signal_is_sent_as_the_recipe_says(image, written, number, kept):
    start = f'["sh", "-c", "trap \'echo bye; exit 5\' {number}; echo ready; while :; do sleep 0.05; done"]'
    assert image.build(f"stop {written}", f"start {start}").code == 0
    assert image.show()["facts"]["stop"] == kept
    run(image, "--stop-timeout", "60", "web")
    assert wait_for(lambda: "ready" in lines(image))
    assert image.command("stop", "one").code == 0
    assert (state(image)["code"], lines(image)[-1]) == (5, "bye")


def test_an_option_says_another_one_than_the_image(image):
    run(image, "--stop-signal", "SIGRTMIN+3", "web", "--", "sh", "-c", "trap 'exit 6' 37; while :; do sleep 0.05; done")
    assert wait_for(lambda: state(image)["state"] == "running")
    # The shell may not have come to its trap.
    assert image.command("stop", "one").code == 0
    assert state(image)["code"] in (6, 128 + 37)
    bad = image.command("run", "--stop-signal", "TREM", "web", "--", "true")
    assert (bad.code, "'TREM'" in bad.err) == (2, True)


def test_the_foreground_passes_on_what_is_not_about_itself(image):
    script = "trap 'echo winch' 28; trap 'echo rt; exit 4' 37; echo ready; while :; do sleep 0.05; done"
    process = image.start("run", "--name", "one", "web", "--", "sh", "-c", script)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(37)
    assert process.stdout.readline() == b"rt\n"
    assert process.wait(60) == 4


def test_what_is_sent_to_process_1_inside_is_the_commands(image):
    run(image, "web", "--", "sh", "-c", ECHO)
    assert wait_for(lambda: "ready" in lines(image))
    assert image.command("exec", "one", "--", "sh", "-c", "kill -WINCH 1; kill -PWR 1; kill -37 1").code == 0
    assert wait_for(lambda: {"got 28", "got 30", "got 37"} <= set(lines(image)))


def test_a_signal_that_comes_early_is_not_lost(image):
    for _ in range(3):
        process = image.start("run", "--name", "one", "web", "--", "sleep", "100")
        assert wait_for(lambda: image.command("kill", "-s", "USR2", "one").code == 0)
        assert process.wait(60) == 128 + signal.SIGUSR2
