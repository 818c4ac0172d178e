"""Output without end: of a step, which the disk keeps a part of, and of a health check, which nobody waits to read."""

import pytest

from tests.conftest import wait_for
from tests.instances.instances import WAITING, run, state

pytestmark = pytest.mark.namespaces

MUCH = "head -c 3000000 /dev/zero | tr '\\0' x"


def test_what_a_step_prints_has_a_limit_on_disk_and_the_build_goes_on(project):
    done = project.build(f"run {MUCH}; echo the end", "run echo after", options=("--output-limit", "1MB"))
    assert done.code == 0, done.err
    kept = project.command("output", "web", "2", "--raw").out
    head, _, marker = kept.rpartition("\n[")
    assert head == "x" * (1 << 20)
    assert marker == "envbuild: cut here: 1951432 bytes more were printed; 1048576 are kept (--output-limit)]\n"
    assert project.command("output", "web", "3").out == "after\n"
    assert project.command("fsck").code == 0
    assert "cached" in project.build(options=("--output-limit", "1MB")).out


def test_a_step_that_fails_after_much_output_shows_its_end(project):
    done = project.build(f"run {MUCH}; echo this is why; exit 3", options=("--output-limit", "10kB"))
    assert done.code == 1
    assert "this is why" in done.out + done.err
    assert "cut here" in project.command("output", "--failed").out


def test_what_is_no_size_is_refused(project):
    project.write("web.env", "from tar:busybox.tar")
    for text in ("much", "0", "-5", "1e3"):
        done = project.command("build", "web.env", f"--output-limit={text}")
        assert (done.code, "not a valid size" in done.err) == (2, True)


@pytest.mark.parametrize("size", [65_537, 3_000_000])
def test_a_health_check_may_print_what_it_likes(project, size):
    command = f"echo looked; head -c {size} /dev/zero | tr '\\0' x; echo >&2; cat /well"
    assert project.build("run true", f"health(every=200ms, timeout=60s, retries=2) {command}").code == 0
    try:
        run(project, "web", "--", "sh", "-c", f"echo fine > /well; {WAITING}")
        assert wait_for(lambda: state(project)["health"] == "healthy")
        assert state(project)["check"].startswith("looked\nxxxx")
        assert len(state(project)["check"]) <= 4096
    finally:
        project.command("rm", "--force", "one")


def test_a_health_check_that_leaves_something_printing_is_over_when_it_is_over(project):
    assert project.build("run true", "health(every=200ms, timeout=60s, retries=2) yes & true").code == 0
    try:
        run(project, "web", "--", "sh", "-c", WAITING)
        assert wait_for(lambda: state(project)["health"] == "healthy")
    finally:
        project.command("rm", "--force", "one")


def test_a_secret_with_several_lines_is_masked_in_the_output(project):
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n"
    (project.folder / "key").write_text(key)
    script = "sed 's/^/   /' /run/secrets/key; grep MIIE /run/secrets/key; head -c 25 /run/secrets/key; sleep 0.3; echo"
    done = project.build(f"run(secret=key) {script}", options=("--secret", "key=key"))
    assert done.code == 0, done.out + done.err
    kept = done.printed + project.command("output", "web", "--raw").out
    assert "MIIEvQIBADANBg" not in kept
    assert "********" in kept
