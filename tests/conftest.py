"""What all tests share: markers that skip with their reason, and a build of recipes as a user does it."""

from __future__ import annotations

import fcntl
import gc
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest
import yaml
from hypothesis import settings

from envbuild.linux.machine import architecture
from envbuild.store.layer_check import CLOCK_STEP
from tests import huge_pages, memory_folder
from tests.forked import ENVBUILD, ForkServer, can_be_forked, started
from tests.in_namespace import copy, own
from tests.made_once import MadeOnce

# No database of examples: it would be written into the checkout, which may belong to somebody else.
settings.register_profile("envbuild", database=None, deadline=None)
settings.load_profile("envbuild")

BUSYBOX = Path("/usr/bin/busybox")
DEBIAN = "from debian:bookworm"
PYTHON = (DEBIAN, "apt python3 python3-venv")
APPLETS = """
    sh ash awk cat chmod chown cp cut date dd echo env expr false find grep head hostname id install kill ln ls mkdir
    mkfifo mknod mount mv nc od printf ps pwd readlink rm rmdir sed seq setsid sleep sort stat tail tar test touch tr
    true tty umount uname wc wget whoami xargs yes stty
"""


def _namespaces_work() -> str:
    """Why namespaces do not work here, "" if they do."""
    words = [sys.executable, "-m", "tests.in_namespace", "run", "true"]
    done = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"no user namespaces: {done.stderr.strip().splitlines()[-1:]}"


def _mirror_works() -> str:
    if shutil.which("mmdebstrap") is None:
        return "mmdebstrap is not installed"
    if os.geteuid() != 0:
        from envbuild.linux.subids import why_not_range

        reason = why_not_range(os.geteuid())
        if reason:
            return reason
    from envbuild.debian.apt_sources import machine_sources, sources_for

    return "" if sources_for("bookworm", machine_sources()) else "apt has no Debian source"


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that starts a run in the background has it ignored, and so would have commands that tests interrupt.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" not in os.environ and not config.option.basetemp:
        memory_folder.choose()


MAX_PARAMETER, MAX_ID = 1 << 20, 1000
"""Bytes of a parameter, and characters of a test's name. Each process of a run has all of them to the end: 250 MB made
each fork of a test 40 ms longer."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        values = getattr(item, "callspec", None) and item.callspec.params.values()
        large = any(isinstance(value, str | bytes) and len(value) > MAX_PARAMETER for value in values or ())
        if large or len(item.nodeid) > MAX_ID:
            raise pytest.UsageError(f"{item.nodeid[:200]}: make what is large in the test, and name it by `ids`")
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = _long_ones_early(items)
    if "nightly" not in config.option.markexpr:
        nightly = [item for item in items if item.get_closest_marker("nightly")]
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=nightly)
    reasons = {"root": "" if os.geteuid() == 0 else "needs to run as root"}
    for name, find in (("namespaces", _namespaces_work), ("mirror", _mirror_works)):
        if any(item.get_closest_marker(name) for item in items):
            reasons[name] = find()
    for item in items:
        for name, reason in reasons.items():
            if reason and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    # What is collected stays to the end: looking at it for garbage costs time, and the forks of this process its pages.
    gc.collect()
    gc.freeze()
    huge_pages.collapse()


def _long_ones_early(items: list[pytest.Item]) -> list[pytest.Item]:
    """Orders tests so that no process is left alone with a long one in the end. Long ones come after a quarter of the
    others, and one that needs Debian before these: it makes the base meanwhile, for which all of them would wait."""
    quick = [item for item in items if not item.get_closest_marker("slow")]
    long = [item for item in items if item.get_closest_marker("slow")]
    maker = [item for item in long if "debian_base" in getattr(item, "fixturenames", ())][:1]
    quarter = len(quick) // 4
    return [*maker, *quick[:quarter], *(item for item in long if item not in maker), *quick[quarter:]]


SAME_PROCESS = {
    "tests/instances/test_debian_services.py": "services",
    "tests/instances/test_stop_signals.py": "services",
    "tests/packages/test_npm.py": "npm",
    "tests/packages/test_npm_added.py": "npm",
    "tests/packages/test_parts.py": "pip",
    "tests/packages/test_pip.py": "pip",
}
"""Modules whose tests install the same large packages first, which each process would do for itself."""


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Sends single tests to whoever is free, and those of SAME_PROCESS together. (xdist 3.8's `loadgroup` writes the
    group behind a test's name, where pytest 9.2 no longer looks for it.)"""
    if config.option.dist != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return SAME_PROCESS.get(nodeid.partition("::")[0], nodeid)

    config.option.loadscopereorder = False  # it would begin with what comes in groups
    return Scheduling(config, log)


def pytest_xdist_auto_num_workers() -> int:
    """Two for each processor, as tests wait, too, for what they have started: with one more than there are, two
    processors were idle for a quarter of the time."""
    return (os.cpu_count() or 1) * 2


@cache
def fork_server() -> ForkServer:
    """The process that this session's commands are forked from."""
    return ForkServer()


def call(
    entry: str,
    words: tuple[str, ...],
    folder: Path,
    environment: Mapping[str, str],
    stdin: bytes | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[bytes]:
    """Calls "MODULE:FUNCTION" with words in sys.argv, in a process of its own: a fork of one that has envbuild loaded
    where that makes no difference."""
    if can_be_forked(environment):
        return fork_server().run(words, folder, environment, stdin, timeout, entry)
    return subprocess.run(
        [*started(entry), *words],
        cwd=folder,
        env=environment,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def pytest_sessionfinish() -> None:
    if fork_server.cache_info().currsize:
        fork_server().close()


@dataclass
class Done:
    """How a command ended, and for a build its events."""

    code: int
    out: str
    err: str
    events: list[dict] = field(default_factory=list)

    def of(self, kind: str) -> list[dict]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def ran(self) -> list[str]:
        """The statements that ran, bases too."""
        return [event["text"] for event in self.of("step-started")]

    @property
    def cached(self) -> list[str]:
        return [event["text"] for event in self.of("step-cached")]

    @property
    def image(self) -> str:
        return self.of("build-finished")[0]["image"]

    @property
    def printed(self) -> str:
        return "".join(event.get("data", "") for event in self.of("step-output"))


def pins_of(lock: Path) -> dict[str, Any]:
    """What a lock pins, for the architecture of this machine."""
    return yaml.safe_load(lock.read_text())["pins"][architecture()]


def installs_of(lock: Path, stage: int = -1) -> list[dict[str, Any]]:
    """What a lock has of the statements of a stage that install packages."""
    return pins_of(lock)["stages"][stage].get("installs", [])


def purls(project: Project, image: str = "web") -> list[str]:
    """Return the URLs of the packages of an image, which are those of its bill of materials. (To write that takes a
    library that takes a third of a second to load.)"""
    return sorted(package["url"] for package in json.loads(project.command("packages", image, "--format", "json").out))


def image_in(lock: Path) -> str:
    """The digest of the image that a lock names."""
    (line,) = [line.split() for line in lock.read_text().splitlines() if " image " in line and line.startswith("  - ")]
    return line[3]


class Project:
    """A folder with recipes, and a store of its own: all as a user has it."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
        self.move(folder, store)
        self.entry = ENVBUILD
        """What `command` and `build` call."""
        self.started: list[subprocess.Popen] = []

    def move(self, folder: Path, store: Path) -> None:
        """Goes on in another folder, with another store."""
        self.folder, self.store = folder, store
        self.environment |= {"HOME": str(folder), "ENVBUILD_STORE": str(store)}

    def write(self, name: str, *lines: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        return path

    def command(self, *words: str, stdin: bytes | None = None, timeout: float = 300, **variables: str) -> Done:
        """Runs a command of envbuild to its end."""
        done = self._run(self.entry, words, stdin, timeout, variables)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        assert "Traceback" not in err, err
        return Done(done.returncode, out, err)

    def call(
        self, function: Callable[[], int], *words: str, timeout: float = 300, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a function of a module in a process of its own that has envbuild loaded, such as one that makes a call
        fail and goes on as envbuild. It finds the words in sys.argv, and returns the exit code."""
        entry = f"{function.__module__}:{function.__name__}"
        done = self._run(entry, words, None, timeout, variables)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def _run(
        self, entry: str, words: tuple[str, ...], stdin: bytes | None, timeout: float, variables: dict[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        return call(entry, words, self.folder, {**self.environment, **variables}, stdin, timeout)

    def build(self, *lines: str, options: tuple[str, ...] = (), name: str = "web.env", **variables: str) -> Done:
        """Builds a recipe with these lines (or the one that is there) on busybox, unless it says its own base."""
        if lines:
            own_base = any(line.startswith(("from", "recipe", "param")) for line in lines[:1])
            self.write(name, *(() if own_base else ("from tar:busybox.tar",)), *lines)
        done = self.command("build", name, "--progress", "json", *options, **variables)
        done.events = [json.loads(line) for line in done.out.splitlines()]
        return done

    def start(self, *words: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [*started(self.entry), *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Ends what was started and still runs: it would be in the way of the tests that come after."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()

    def cat(self, path: str, image: str = "web") -> str:
        done = self.command("cat", image, path)
        assert done.code == 0, done.err
        return done.out

    def ls(self, path: str = "/", image: str = "web") -> dict[str, dict]:
        done = self.command("ls", image, path, "--format", "json")
        assert done.code == 0, done.err
        return {entry["name"]: entry for entry in json.loads(done.out)}

    def show(self, image: str = "web") -> dict:
        return json.loads(self.command("show", image, "--format", "json").out)


def busybox_tar(path: Path) -> None:
    """A root file system with busybox and nothing else, always the same."""
    with tarfile.open(path, "w") as archive:

        def add(name: str, kind: bytes, mode: int, content: bytes = b"", target: str = "") -> None:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.linkname, info.size, info.mtime = kind, mode, target, len(content), 1_700_000_000
            archive.addfile(info, io.BytesIO(content))

        for name in (".", "bin", "etc", "root", "var", "var/tmp"):
            add(name, tarfile.DIRTYPE, 0o755)
        add("bin/busybox", tarfile.REGTYPE, 0o755, BUSYBOX.read_bytes())
        for applet in APPLETS.split():
            add(f"bin/{applet}", tarfile.SYMTYPE, 0o777, target="busybox")
        add("etc/passwd", tarfile.REGTYPE, 0o644, b"root:x:0:0:root:/root:/bin/sh\n")
        add("etc/group", tarfile.REGTYPE, 0o644, b"root:x:0:\nstaff:x:50:\n")


@pytest.fixture(scope="session", autouse=True)
def removable(tmp_path_factory: pytest.TempPathFactory):
    """Stores of an ordinary user hold files of an image's users, and folders that nobody may enter: gives all of them
    to the user in the end, so that a later session of pytest can remove them."""
    yield
    own(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not BUSYBOX.exists():
        pytest.skip("busybox-static is not installed")
    path = tmp_path_factory.mktemp("busybox") / "busybox.tar"
    busybox_tar(path)
    return path


@pytest.fixture
def project(tmp_path: Path, busybox: Path) -> Iterator[Project]:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "busybox.tar").symlink_to("base/busybox.tar")
    (folder / "base").mkdir()
    shutil.copy(busybox, folder / "base" / "busybox.tar")
    made = Project(folder, tmp_path / "store")
    yield made
    made.end()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    return MadeOnce(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def debian_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has Debian with Python, made once for all processes that share the tests. Nothing else goes in."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    base = folder / "debian-base"
    with open(folder / "debian-base.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / "made").exists():
            shutil.rmtree(base, ignore_errors=True)  # left by a process that failed
            base.mkdir()
            done = Project(base, base / "store").build(*PYTHON, name="python.env")
            assert done.code == 0, done.out + done.err
            (base / "made").touch()
    return base / "store"


@pytest.fixture(scope="session")
def debian_store(tmp_path_factory: pytest.TempPathFactory, debian_base: Path) -> Path:
    """A store that has Debian with Python already, for all tests of this process that need no other."""
    store = tmp_path_factory.mktemp("debian") / "store"
    copy(debian_base, store)
    # Each file has a new change time: without this the first build read all of them.
    with closing(sqlite3.connect(store / "store.db")) as database, database:
        database.execute("UPDATE stacks SET checked = ?", (time.time_ns() + CLOCK_STEP,))
    return store


@pytest.fixture
def debian(tmp_path: Path, debian_store: Path) -> Iterator[Project]:
    """A project whose store has Debian with Python."""
    folder = tmp_path / "project"
    folder.mkdir()
    made = Project(folder, debian_store)
    yield made
    made.end()


@pytest.fixture
def small_mirror(debian: Project, tmp_path: Path) -> Iterator[None]:
    """Has `debian` run on a machine whose mirror has next to nothing, for tests with packages of their own: the index
    of the real one costs apt two seconds, each time that it is asked."""
    if os.geteuid() != 0:
        yield  # who may not mount waits
        return
    from tests.packages.conftest import Server
    from tests.packages.repository import Repository

    server, settings = Server(), tmp_path / "apt"
    mirror = Repository(server, tmp_path / "mirror", "debian", "bookworm")
    mirror.add("nothing", "1.0")
    settings.mkdir()
    (settings / "sources.list").write_text(f"{mirror.source}\n")
    debian.entry = "tests.poor_machines:with_own_apt"
    debian.environment["ENVBUILD_TESTS_APT"] = str(settings)
    yield
    server.close()


def first_then_nightly(count: int, daily: int) -> list:
    """Numbers from 0 for `parametrize`, of which all but the first `daily` are left to the nightly run."""
    return [pytest.param(n, marks=pytest.mark.nightly if n >= daily else ()) for n in range(count)]


@pytest.fixture
def mark() -> str:
    """A number that no other process of the machine has among its words: how long a test's own ones may sleep."""
    return str(SystemRandom().randrange(100_000_000, 1_000_000_000))


def wait_for(condition, seconds: float = 60) -> bool:
    """Whether the condition comes true. The limit is for what never does: on a busy machine all takes long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False
