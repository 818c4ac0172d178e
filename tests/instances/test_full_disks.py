"""A disk that is full for some seconds: services go on, logs say what they lost, and states are kept."""

import os
import resource
import subprocess
import sys

import pytest

from envbuild.instances.logs import LogWriter, entries
from tests.child import in_child
from tests.conftest import wait_for
from tests.instances.instances import run, state, supervisor_of

pytestmark = pytest.mark.namespaces

BEATING = """n=0; while :; do
    n=$((n+1)); echo line $n of what it prints; echo $n > /beat/new; mv /beat/new /beat/n; sleep 0.01
done"""


def on_small_disk(project, script: str) -> subprocess.CompletedProcess:
    """Runs a script with its store on a tmpfs of its own, in a mount namespace.

    `$ENVBUILD` is the command, `fill` and `empty` take all room of the disk and give it back; `beat` is a folder beside
    it, and `$RECORD` the one of the only instance.
    """
    disk = project.folder.parent / "disk"
    disk.mkdir()
    (project.folder / "beat").mkdir()
    head = f"""
        mount -t tmpfs -o size=12m small {disk} && cp -a {project.store}/. {disk}/ || exit 99
        export ENVBUILD_STORE={disk}
        ENVBUILD="{sys.executable} -m envbuild"
        fill() {{ dd if=/dev/zero of={disk}/filler bs=4k 2>/dev/null; }}
        empty() {{ rm -f {disk}/filler; }}
        record() {{ RECORD=$(echo {disk}/instances/*); }}
        stands() {{ grep -q "\"status\": *\"$1\"" $RECORD/state.json; }}
        soon() {{ for try in $(seq 600); do "$@" && return 0; sleep 0.1; done; return 1; }}
    """
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", head + script],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.root
def test_a_service_that_prints_goes_on_while_the_disk_is_full(image):
    done = on_small_disk(
        image,
        f"""
        $ENVBUILD run -d --name one -v ./beat:/beat web -- sh -c '{BEATING}' || exit 1
        record
        printed() {{ tail -n 20 $RECORD/log | grep -q "line .* of what it prints"; }}
        reached() {{ [ "$(cat beat/n)" -gt "$1" ]; }}
        lost() {{ grep -q 'lost here: No space left' $RECORD/log; }}
        soon printed; fill; before=$(cat beat/n)
        # More lines than the last block of its log has room for.
        soon reached $((before + 250)) && echo it goes on
        empty
        soon lost && echo the loss is told
        soon printed && echo it is logged again
        $ENVBUILD ps | grep one; $ENVBUILD stop --time 0 one; cat {image.folder.parent}/disk/instances/*/supervisor
        """,
    )
    order = ["one", "it goes on", "the loss is told", "it is logged again"]
    assert done.stdout.splitlines()[:4] == order, done.stdout + done.stderr
    assert "running for" in done.stdout


@pytest.mark.root
def test_a_service_that_is_restarted_on_a_full_disk_is_not_lost(image):
    done = on_small_disk(
        image,
        r"""
        $ENVBUILD run -d --name one --restart always web -- sh -c 'sleep 0.3; exit 3' || exit 1
        record; sleep 0.5; fill; sleep 4
        $ENVBUILD ps --all | grep -c lost
        restarted() { grep -q '"restarts": *\([2-9]\|[1-9][0-9]\)' $RECORD/state.json; }
        empty; soon restarted
        $ENVBUILD ps --all --format json | grep -e '"state"' -e '"restarts"'
        $ENVBUILD stop --time 0 one; $ENVBUILD ps --all | grep exited
        cat $ENVBUILD_STORE/instances/*/supervisor >&2
        """,
    )
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip() != "one"]
    assert lines[0] == "0", done.stdout + done.stderr
    assert lines[1] in ('"state": "running",', '"state": "restarting",'), done.stdout + done.stderr
    assert lines[2] not in ('"restarts": 0,', '"restarts": 1,'), done.stdout
    assert "exited" in lines[3], done.stdout


@pytest.mark.root
def test_how_a_service_ended_on_a_full_disk_is_known(image):
    done = on_small_disk(
        image,
        """
        command='until [ -e /go/on ]; do sleep 0.05; done; exit 7'
        $ENVBUILD run -d --name one --tmpfs /go web -- sh -c "$command" || exit 1
        record
        fill; $ENVBUILD exec one -- touch /go/on; $ENVBUILD wait one; empty; soon stands exited
        $ENVBUILD ps --all | grep one
        """,
    )
    assert "exited (7)" in done.stdout, done.stdout + done.stderr


def test_a_supervisor_whose_files_may_not_grow_for_a_while_goes_on(image):
    """As any user can try it: the limit on the size of files is set for the supervisor, and taken back."""
    script = f"n=0; while :; do n=$((n+1)); echo {100 * 'x'} $n; echo $n > /beat/new; mv /beat/new /beat/n; done"
    (image.folder / "beat").mkdir()
    run(image, "-v", "./beat:/beat", "web", "--", "sh", "-c", script)
    beat = image.folder / "beat" / "n"
    beats = lambda: int(beat.read_text()) if beat.exists() else 0  # noqa: E731
    assert wait_for(lambda: beats() > 10)
    pid = supervisor_of(image)
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))
    before = beats()
    # A pipe that nobody reads holds 64 KiB, and each line has a hundred bytes.
    assert wait_for(lambda: beats() > before + 1000)
    image.command("stop", "--time", "0", "one")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
    assert wait_for(lambda: state(image)["state"] == "exited")
    assert state(image)["code"] == 137


def limit_files(size: int) -> None:
    """Lets this process write no file larger than this."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.user
def test_a_log_under_a_limit_of_file_size_begins_another_file(tmp_path):
    path = str(tmp_path / "log")

    def write() -> None:
        limit_files(5000)
        log = LogWriter(path)
        for number in range(300):
            log.write("out", [b"%d" % number])

    in_child(write)
    texts = [text for _, _, text in entries(path)]
    assert texts[-1] == b"299"
    assert (tmp_path / "log.1").stat().st_size <= 5000


def test_a_line_that_is_too_long_for_the_disk_is_dropped_and_told(tmp_path):
    path = str(tmp_path / "log")

    def write() -> None:
        limit_files(5000)
        log = LogWriter(path)
        log.write("out", [b"first"])
        log.write("out", [b"x" * 9000])
        log.write("out", [b"last"])

    in_child(write)
    shown = list(entries(path))
    assert shown[-1][1:] == ("out", b"last")
    assert (shown[-2][1], b"a line was lost here: File too large" in shown[-2][2]) == ("err", True)


def test_a_writer_whose_file_is_gone_for_good_goes_on_in_memory(tmp_path):
    log = LogWriter(str(tmp_path / "log"))
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, log._file.fileno())
    log.write("out", [b"lost"] * 3)
    real = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND)
    os.dup2(real, log._file.fileno())
    log.write("out", [b"kept"])
    texts = [text for _, _, text in entries(str(tmp_path / "log"))]
    assert texts == [b"[envbuild: 3 lines were lost here: No space left on device]", b"kept"]
    for descriptor in (full, real):
        os.close(descriptor)
    log.close()
