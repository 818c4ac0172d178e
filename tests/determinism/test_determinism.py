"""The table of docs/determinism.md: each row builds all recipes in a checkout and a store of its own, and compares the
digests with those of the first row."""

from __future__ import annotations

import glob
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from envbuild.linux.subids import subordinate_range
from tests.determinism import recipes as all_recipes

pytestmark = [pytest.mark.namespaces]
CODE = Path(__file__).parents[2]
HAS_DPKG = os.path.exists("/var/lib/dpkg/status")
NAMES = [name for name in all_recipes.recipes() if HAS_DPKG or not name.startswith("host")]
nightly = pytest.mark.nightly
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make it")


class World:
    """Where the recipes are built: a checkout and a store, and how the process that builds them is started."""

    def __init__(self, folder: Path, busybox: Path) -> None:
        self.folder = folder
        self.busybox = busybox
        self.variables = {
            **{name: value for name, value in os.environ.items() if name not in ("SOURCE_DATE_EPOCH", "TZ", "LANG")},
            "PYTHONPATH": os.pathsep.join([str(CODE), *(path for path in sys.path if path.endswith("site-packages"))]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.prefix: tuple[str, ...] = ()
        self.python = sys.executable
        self.jobs = 2
        self.umask = 0o022
        self.store = folder / "store"
        self.checkout = folder / "checkout"
        self.owner = ""

    def build(self, names: Sequence[str] = NAMES) -> dict[str, str]:
        """Return the digests of the recipes' images, by name."""
        before = os.umask(self.umask)
        try:
            self.checkout.mkdir(parents=True, exist_ok=True)
            all_recipes.write_checkout(self.checkout, self.busybox)
            if self.owner:
                subprocess.run(["chown", "-R", self.owner, self.folder], check=True)
            done = subprocess.run(
                [*self.prefix, self.python, "-m", "tests.determinism.build_all", str(self.jobs), *names],
                cwd=self.checkout,
                env={**self.variables, "ENVBUILD_STORE": str(self.store), "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            os.umask(before)
        assert done.returncode == 0, done.stderr
        return dict(line.split() for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, busybox: Path) -> dict[str, str]:
    return World(tmp_path_factory.mktemp("first"), busybox).build()


@pytest.fixture
def world(tmp_path: Path, busybox: Path) -> World:
    return World(tmp_path, busybox)


@pytest.fixture
def open_world(busybox: Path) -> Iterator[World]:
    """A world that other users can reach."""
    with tempfile.TemporaryDirectory(prefix="envbuild-world-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield World(Path(folder), busybox)


def test_all_at_once(world, expected):
    """What the nightly rows tell apart."""
    world.umask = 0o077
    world.jobs = 8
    world.checkout = world.folder / "another" / "place with spaces" / "ü"
    world.variables |= {"TZ": "Asia/Kathmandu", "LANG": "tr_TR.UTF-8", "LC_ALL": "C"}
    names = list(reversed(NAMES))
    assert world.build(names) == expected


@nightly
@pytest.mark.parametrize("mask", [0o002, 0o027, 0o077])
def test_umask(world, expected, mask):
    world.umask = mask
    assert world.build() == expected


@nightly
@pytest.mark.parametrize(
    "variables",
    [
        {"TZ": "Pacific/Kiritimati"},
        {"TZ": ":America/New_York", "LANG": "de_DE.UTF-8"},
        {"LC_ALL": "tr_TR.UTF-8"},
        {"LANG": "C", "PYTHONUTF8": "0"},
        {"PYTHONHASHSEED": "1"},
    ],
)
def test_environment(world, expected, variables):
    world.variables |= variables
    assert world.build() == expected


@nightly
@pytest.mark.parametrize("days", [60, -3650])
def test_clock(world, expected, days):
    path = world.variables["PYTHONPATH"]
    world.variables |= {
        "PYTHONPATH": f"{Path(__file__).with_name('moved_clock')}{os.pathsep}{path}",
        "MOVED_CLOCK": str(days * 86_400),
    }
    assert world.build() == expected


@nightly
@pytest.mark.parametrize("jobs", [1, 8])
def test_jobs(world, expected, jobs):
    world.jobs = jobs
    assert world.build() == expected


@nightly
@as_root
@pytest.mark.parametrize("kind", ["ext4", "tmpfs", "btrfs", "xfs"])
def test_file_system(world, expected, kind, tmp_path):
    with _mounted(kind, tmp_path) as place:
        world.store, world.checkout = place / "store", place / "checkout"
        assert world.build() == expected


@nightly
def test_python(world, expected):
    pythons = _pythons()
    if not pythons:
        pytest.skip("there is no other Python here")
    for number, python in enumerate(pythons):
        world.python = python
        world.store, world.checkout = world.folder / f"store{number}", world.folder / f"checkout{number}"
        assert world.build() == expected, python


@nightly
@as_root
def test_host_name(world, expected):
    world.prefix = ("unshare", "--uts", "sh", "-c", 'hostname elsewhere.example; exec "$@"', "sh")
    assert world.build() == expected


@nightly
def test_full_store(world, expected):
    world.build(list(reversed(NAMES)))
    world.checkout = world.folder / "second"
    assert world.build() == expected


@nightly
@as_root
def test_user_with_a_range_of_ids(open_world, expected):
    user = _user_with_range()
    open_world.prefix, open_world.python = ("runuser", "-u", user, "--"), "/usr/bin/python3"
    open_world.owner = user
    assert open_world.build() == expected


@nightly
@as_root
def test_user_with_a_single_id(open_world, expected):
    open_world.prefix = ("setpriv", "--reuid=64321", "--regid=64321", "--clear-groups")
    open_world.python, open_world.owner = "/usr/bin/python3", "64321:64321"
    names = [name for name in NAMES if name not in all_recipes.NOT_WITH_A_SINGLE_ID]
    assert open_world.build(names) == {name: digest for name, digest in expected.items() if name in names}


def _pythons() -> list[str]:
    """Return other Pythons of this machine that envbuild can run on."""
    places = ["/usr/bin/python3.[0-9]*", "/usr/local/bin/python3.[0-9]*", "/root/.pyenv/versions/3.*/bin/python3"]
    pythons: dict[str, str] = {}
    for path in itertools.chain.from_iterable(map(glob.glob, places)):
        script = "import sys, sqlite3, ctypes, _ctypes; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([path, "-c", script], capture_output=True, text=True, check=False)
        version = done.stdout.strip()
        if done.returncode == 0 and tuple(map(int, version.split("."))) >= (3, 11):
            pythons.setdefault(version, path)
    pythons.pop(".".join(map(str, sys.version_info[:2])), None)
    return list(pythons.values())


def _user_with_range() -> str:
    import pwd

    for entry in pwd.getpwall():
        if entry.pw_uid != 0 and subordinate_range("/etc/subuid", entry.pw_uid):
            return entry.pw_name
    pytest.skip("no user here has a range of ids")


class _mounted:
    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = kind
        self._image = folder / "disk"
        self._place = folder / "mounted"

    def __enter__(self) -> Path:
        self._place.mkdir()
        if self._kind == "tmpfs":
            words = ["mount", "-t", "tmpfs", "tmpfs", str(self._place)]
        else:
            if shutil.which(f"mkfs.{self._kind}") is None:
                pytest.skip(f"mkfs.{self._kind} is not installed")
            with open(self._image, "wb") as file:
                file.truncate(1 << 30)
            subprocess.run([f"mkfs.{self._kind}", "-q", str(self._image)], check=True, capture_output=True)
            words = ["mount", "-o", "loop", str(self._image), str(self._place)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{self._kind} can't be mounted here: {done.stderr.strip()}")
        return self._place

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", str(self._place)], check=True)
