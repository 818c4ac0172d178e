"""Attacks of a step on what is made of it: the snapshot, the cache mounts, the display, the store."""

import os
import shutil
from pathlib import Path

import pytest

from tests.peak_memory import peak_memory

pytestmark = pytest.mark.namespaces

SHOW = "find /etc /t 2>/dev/null | sort; cat /t/kept/file; echo end"

OVERLAY_MARKS = Path(__file__).parent / "inside" / "set_overlay_marks.py"


def base() -> str:
    if not os.path.exists("/var/lib/dpkg/status") or not os.path.exists("/usr/bin/python3"):
        pytest.skip("needs a Debian machine with python3, for the base `host(python3)`")
    return "from host(python3)"


@pytest.mark.user
def test_marks_of_overlayfs_set_by_a_step_change_nothing_of_what_the_next_one_sees(project):
    shutil.copy(OVERLAY_MARKS, project.folder / "attack.py")
    done = project.build(
        base(),
        f"run(mount=attack.py:/attack.py) python3 /attack.py; {SHOW}",
        f"run {SHOW}",
        "run rm -r /t/kept; mkdir /t/kept; ls -A /t/kept; echo end",
        "run ls -A /t/kept; cat /etc/passwd | head -1",
    )
    assert done.code == 0, done.err
    outputs = {}
    for event in done.of("step-output"):
        outputs[event["step"]] = outputs.get(event["step"], "") + event["data"]
    first, second, third, fourth = (outputs[number] for number in (2, 3, 4, 5))
    seen = first.split("\n", 1)[1]
    assert first.startswith("refused True\n")
    assert "/etc/passwd\n" in seen
    assert "kept\n" in seen
    assert second == seen
    assert third == "end\n"
    assert fourth.startswith("root:")
    # Without any layer of before, from the tree alone, it is the same.
    tree_only = project.command("run", "web", "--", "sh", "-c", "ls -A /t/kept; head -1 /etc/passwd")
    assert tree_only.out == fourth
    assert project.command("fsck").code == 0


@pytest.mark.user
def test_links_swapped_in_a_shared_cache_reach_nothing_of_the_host(project, tmp_path):
    """One job makes a folder of the cache into a link and back, while another writes and reads through it."""
    secret = tmp_path / "host-secret"
    secret.write_text("of the host")
    swap = (
        f"run(cache=/c) set +e; i=0; while [ $i -lt 150 ]; do mkdir -p /c/d; rm -rf /c/d; ln -s {tmp_path} /c/d; "
        "rm /c/d; ln -s /etc /c/d; rm /c/d; ln -s / /c/d; rm /c/d; i=$((i+1)); done; "
        f"ln -s {tmp_path} /c/left; ln -s ../../../../../../../../{tmp_path} /c/left2; true"
    )
    use = (
        "run(cache=/c) set +e; i=0; while [ $i -lt 150 ]; do echo x > /c/d/envbuild-was-here 2>/dev/null || true; "
        "cat /c/d/host-secret 2>/dev/null || true; i=$((i+1)); done; rm -f /envbuild-was-here /etc/envbuild-was-here"
    )
    project.write("one.env", "from tar:busybox.tar", swap)
    project.write("two.env", "from tar:busybox.tar", use)
    builds = [project.start("build", name, "--progress", "plain") for name in ("one.env", "two.env")]
    outputs = [build.communicate(timeout=300)[0] for build in builds]
    assert [build.returncode for build in builds] == [0, 0], outputs
    assert b"of the host" not in outputs[1]
    assert not (tmp_path / "envbuild-was-here").exists()
    assert not os.path.exists("/etc/envbuild-was-here")
    again = project.build("run(cache=/c) cat /c/left/host-secret /c/left2/host-secret || true", name="three.env")
    assert "of the host" not in again.printed
    for words in (("du",), ("gc",), ("fsck",)):
        assert project.command(*words).code == 0
    assert secret.read_text() == "of the host"


@pytest.mark.parametrize("progress", ["plain", "json"])
def test_a_line_of_10_mb_passes_in_bounded_memory(project, progress):
    project.write(
        "web.env", "from tar:busybox.tar", "run head -c 10000000 /dev/zero | tr '\\0' x; echo; echo last line"
    )
    kilobytes, printed = peak_memory(project, "build", "web.env", "--progress", progress)
    assert b"last line" in printed
    assert len(printed) < 25_000_000
    assert kilobytes < 150 * 1024
    whole = project.command("output", "web", "2")
    assert len(whole.out) == 10_000_000 + 1 + len("last line\n")


@pytest.mark.parametrize("folders", [15, pytest.param(100, marks=pytest.mark.nightly)])
def test_thousands_of_files_are_snapshot_in_bounded_memory(project, folders):
    """A million are 10 times as many folders, and as many times longer; the memory stays (docs/performance.md)."""
    project.write(
        "web.env",
        "from tar:busybox.tar",
        f"run mkdir /m; for i in $(seq {folders}); do mkdir /m/$i; cd /m/$i; seq 1000 | xargs touch; done",
    )
    kilobytes, _ = peak_memory(project, "build", "web.env")
    assert kilobytes < (60 + folders) * 1024
    assert project.show()["files"] > folders * 1000
    # Empty files of one mode and time are one object, with as many inodes as one tree needs.
    assert project.command("gc").code == 0


def test_a_step_that_fills_its_output_forever_ends_with_its_time_limit(project):
    done = project.build("run(timeout=1s) yes")  # which would never end by itself
    assert done.code == 1
    assert "longer than timeout=1s" in done.out + done.err


@pytest.mark.user
def test_what_a_step_leaves_in_tmp_run_and_dev_shm_is_not_kept(project):
    assert (
        project.build("run echo x > /tmp/x; echo y > /dev/shm/y; echo z > /dev/z; ls /tmp /dev/shm", "run true").code
        == 0
    )
    assert "tmp" not in project.ls("/")
    assert "dev" not in project.ls("/")


@pytest.mark.user
def test_several_jobs_at_once_do_not_see_each_other(project):
    """Two stages run side by side: neither sees the other's processes, files or sockets."""
    leaving = "run sleep 9999 & nc -l -p 4444 & sleep 0.8; echo mine > /f"
    two = (
        "run sleep 0.3; ps | grep 9999 | grep -v grep || true; ls /f || true; nc -w 1 127.0.0.1 4444 </dev/null || true"
    )
    done = project.build(
        "from tar:busybox.tar as one",
        leaving,
        "from tar:busybox.tar",
        two,
        "copy(from=one) /f -> /f",
        options=("-j", "2"),
    )
    assert done.code == 0, done.err
    assert "9999" not in done.printed


def test_peak_memory_of_many_steps_stays_small(project):
    project.write("web.env", "from tar:busybox.tar", *[f"run echo {number} > /f{number}" for number in range(150)])
    kilobytes, _ = peak_memory(project, "build", "web.env")
    assert kilobytes < 80 * 1024
