"""13.1: nothing in a sandbox becomes, reads or changes the interpreter of the host that runs envbuild."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from envbuild.sandbox import launcher
from envbuild.sandbox.user_namespace import FIRST_SHIFTED
from tests.attacks import in_chroot
from tests.attacks.programs import TELL_EXECUTABLE, assembled
from tests.conftest import wait_for
from tests.instances.instances import WAITING, ended, run, state, with_single_id

pytestmark = [pytest.mark.namespaces, pytest.mark.user]
LOADER = "/lib64/ld-linux-x86-64.so.2"
"""What the host's interpreter is loaded with (Linux Standard Base, x86-64): here, the image's own."""
HOST = os.path.realpath(sys.executable)


def image_with_a_trap(project) -> None:
    loader = project.folder / "loader"
    loader.write_bytes(assembled(TELL_EXECUTABLE, project.folder, address=0x10000000))
    loader.chmod(0o755)
    script = project.write("trap", "#!/proc/self/exe", "import os")
    script.chmod(0o755)
    done = project.build(f"copy loader -> {LOADER}", "copy trap -> /trap", 'start ["/trap"]')
    assert done.code == 0, done.err


@pytest.fixture
def trap(project, made_once, tmp_path):
    """A project whose image has a loader that tells what it is given, and a script for the kernel to give it."""
    with made_once.again(project, image_with_a_trap, tmp_path / "made"), ended(project):
        yield project


def test_the_trap_works_where_nothing_is_between(trap):
    """The host's own program with the image's loader: what an attacker wants, in a chroot of the test's own."""
    root = trap.folder / "root"
    for name, path in (("loader", LOADER), ("trap", "/trap")):
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        os.link(trap.folder / name, root / path[1:])
    done = trap.call(in_chroot.main, str(root), "/trap")
    assert done.stdout == HOST, done.stderr


class TestScriptsOfTheImage:
    def test_as_the_command_of_an_image(self, trap):
        for words in (("run", "web"), ("run", "web", "--", "/trap"), ("run", "--unfiltered", "web")):
            done = trap.command(*words)
            assert (done.out, done.code) == ("", 127), (words, done)

    def test_with_a_single_id(self, trap):
        done = with_single_id(trap, "run", "web")
        assert (done.stdout, done.returncode) == ("", 127), done.stderr

    def test_as_the_shell_of_a_step(self, trap):
        done = trap.build("from image:web", "run(shell=/proc/self/exe) import os", "run(shell=/trap) echo")
        assert done.code != 0
        assert done.printed == ""

    def test_as_a_command_beside_and_as_a_health_check(self, trap):
        assert trap.build("from image:web", "health(every=100ms, retries=1) /trap", "user 0", name="sick.env").code == 0
        run(trap, "sick", "--", "sh", "-c", WAITING)
        done = trap.command("exec", "one", "--", "/trap")
        assert (done.out, done.code) == ("", 127)
        assert wait_for(lambda: state(trap).get("health") == "unhealthy")
        assert HOST not in trap.command("exec", "one", "--", "sh", "-c", "cat /proc/*/cmdline").out


def test_the_launcher_is_what_its_source_assembles_to(tmp_path):
    folder = Path(launcher.__file__).parent
    machine = os.uname().machine
    source = (folder / f"launcher_{machine}.S").read_text()
    assert assembled(source, tmp_path) == launcher.program(machine)


def test_the_launcher_can_not_be_changed():
    opened = launcher.open_launcher()
    try:
        for deed in (lambda: os.write(opened, b"x"), lambda: os.ftruncate(opened, 0)):
            with pytest.raises(PermissionError):
                deed()
    finally:
        os.close(opened)


PROBE = """
for one in exe root cwd fd environ maps mem io auxv; do
    if [ -L /proc/1/$one ]; then readlink /proc/1/$one && echo link $one
    elif [ -d /proc/1/$one ]; then ls /proc/1/$one/ && echo folder $one
    elif head -c 1 /proc/1/$one | grep -q .; then echo file $one; fi
done 2>/dev/null
tr '\\000' '\\n' < /proc/1/cmdline | grep .
cat /proc/1/comm
"""


def test_process_1_tells_nothing(image):
    """Also to a command beside it, and where it had a command line with paths of the host."""
    assert image.command("run", "web", "--", "sh", "-c", PROBE).out == "envbuild: init\nenvbuild-init\n"
    run(image, "web", "--", "sh", "-c", WAITING)
    assert image.command("exec", "one", "--", "sh", "-c", PROBE).out == "envbuild: init\nenvbuild-init\n"
    done = image.build(f"run {PROBE.strip().replace(chr(10), '; ')}".replace("do;", "do").replace("done 2", "done 2"))
    # That of a step belongs to the sandbox's root: the numbers of its descriptors show, and not what they are.
    assert done.printed == "0\n1\n2\n3\nfolder fd\nenvbuild: init\nenvbuild-init\n", done.err
    links = image.build("run for n in 0 1 2 3; do readlink /proc/1/fd/$n || echo refused; done")
    assert links.printed == "refused\n" * 4


def test_the_mounts_of_the_tree_tell_no_path_of_the_store(image):
    """Binds do: their place in their own file system is what the kernel shows of them, in every runtime."""
    script = "cat /proc/self/mountinfo /proc/self/mounts /proc/mounts"
    store = str(image.store)
    done = image.command("run", "web", "--", "sh", "-c", script)
    overlays = [line for line in done.out.splitlines() if "overlay" in line]
    assert len(overlays) == 3
    assert not [line for line in overlays if store in line]
    printed = image.build(f"run {script}").printed
    assert "overlay" in printed
    assert store not in printed


@pytest.mark.root
class TestRootIsNobodyOutside:
    def test_its_processes_have_ids_that_nobody_has(self, image):
        mark = f"{WAITING} # {os.getpid()}"
        run(image, "web", "--", "sh", "-c", mark)
        pid = inner_pid(mark)
        rows = Path(f"/proc/{pid}/status").read_text().splitlines()
        uids = next(line for line in rows if line.startswith("Uid:")).split()[1:]
        assert {int(uid) for uid in uids} == {FIRST_SHIFTED}
        rows = Path(f"/proc/{pid}/uid_map").read_text().split()
        assert int(rows[1]) == FIRST_SHIFTED

    def test_its_files_are_roots_in_the_store(self, image):
        done = image.build("run echo a > /a; chown 33:44 /a; mkdir /d; mknod /p p; chmod 4755 /a", "run cat /a > /b")
        assert done.code == 0, done.err
        entries = {
            name: (entry["uid"], entry["gid"], entry["mode"]) for name, entry in image.ls().items() if name in "abdp"
        }
        assert (entries["a"], entries["b"][:2], entries["d"][:2]) == ((33, 44, "4755"), (0, 0), (0, 0))

    def test_modes_of_the_hosts_devices_stay(self, image):
        before = {name: os.stat(f"/dev/{name}").st_mode for name in ("null", "zero", "random", "tty")}
        script = (
            "chmod 0600 /dev/null /dev/zero /dev/random /dev/tty /dev/fd/0 || chown 1:1 /dev/null /dev/fd/0 || true"
        )
        assert image.command("run", "web", "--", "sh", "-c", script).code == 0
        assert image.build(f"run {script}").code == 0
        run(image, "web", "--", "sh", "-c", f"{script}; {WAITING}")
        image.command("exec", "one", "--", "sh", "-c", script)
        assert {name: os.stat(f"/dev/{name}").st_mode for name in before} == before
        assert os.stat("/dev/null").st_uid == 0

    def test_standard_output_can_be_opened_again(self, image):
        """What a web server's log as a link to /dev/stdout needs; also for another user of the image."""
        for words in ((), ("--user", "1000:1000")):
            done = image.command("run", *words, "web", "--", "sh", "-c", "echo again > /dev/stdout")
            assert done.out == "again\n", done.err


@pytest.mark.root
def test_standard_output_that_is_a_file_can_be_opened_again(image):
    """By way of a pipe: root's files are nobody's inside."""
    words = [sys.executable, "-m", "envbuild", "run", "web", "--", "sh", "-c"]
    script = "echo one; echo two > /dev/stdout; echo three >&2; seq 100000 | tail -n 1; exit 4"
    with open(image.folder / "log", "wb") as log:
        done = subprocess.run(
            [*words, script], cwd=image.folder, env=image.environment, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    assert done.returncode == 4
    assert (image.folder / "log").read_text() == "one\ntwo\nthree\n100000\n"


def inner_pid(mark: str) -> int:
    """The host's number of the command with this text, in another process namespace."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                line = Path(f"/proc/{entry}/cmdline").read_bytes()
                namespace = os.readlink(f"/proc/{entry}/ns/pid")
            except OSError:
                continue
            if mark.encode() in line and namespace != os.readlink("/proc/self/ns/pid") and b"envbuild" not in line:
                return int(entry)
    raise AssertionError("it does not run")


def test_process_1_loads_no_module_of_the_image(project):
    """It is a Python of the host with all rights in the sandbox: what it would import after the root has changed would
    be looked for where the host has its modules, in the image."""
    planted = [
        f"{path}/{name}.py" for path in sys.path if path.startswith("/") for name in ("traceback", "queue", "json")
    ]
    done = project.build(
        "run "
        + "; ".join(f'mkdir -p {os.path.dirname(path)}; echo \'open("/planted", "w")\' > {path}' for path in planted),
    )
    assert done.code == 0, done.err
    for words in (("web", "--", "nosuch"), ("web", "--", "sh", "-c", "exit 3"), ("--workdir", "/nosuch", "web")):
        project.command("run", "--keep", "--name", "one", *words)
        project.command("start", "one")
        assert project.command("cp", "one:/planted", ".").code != 0
        project.command("rm", "--force", "one")
