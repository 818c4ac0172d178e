"""The base `debian:SUITE`: a minimal Debian that mmdebstrap makes from the machine's own package sources.

None of the machine's settings stay in it: no sources, lists, logs, names or numbers of this machine. The epoch is
the date of the suite's Release file, so that the same packages give the same tree on any day.

What it was made of is on record, and gives the same tree again when the suite has moved on: mmdebstrap then gets a
repository of just these packages.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from envbuild.archive.limits import MAX_TIME
from envbuild.bases.debian_repository import write_repository
from envbuild.bases.tarball import write_archive
from envbuild.debian.apt_sources import AptSource, machine_sources, sources_for, to_deb822
from envbuild.debian.deb822 import stanzas
from envbuild.debian.left_behind import MACHINE_ID, is_left_out_of_base
from envbuild.errors import MachineLacks, UsageError, WorkFailed, fields
from envbuild.linux.subids import find_program, why_not_range
from envbuild.lockfile.lock import BasePackages
from envbuild.record import Record
from envbuild.tree.entry import DIRECTORY, Entry
from envbuild.tree.target import PreparedBase, TreeTarget

OF_THIS_MACHINE = (
    b"etc/apt/sources.list",
    b"etc/apt/apt.conf.d/99mmdebstrap",
    b"etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    b"etc/hostname",
    b"etc/resolv.conf",
)
"""Settings of the machine on which the base is made."""
EMPTY = (b"etc/apt/sources.list.d/", b"run/", b"tmp/", b"dev/", b"proc/", b"sys/")
"""Directories whose content is about this machine, or about this run."""
KEPT_DIRECTORIES = (
    (b"run/lock", 0o1777),
    (b"var/cache/apt/archives/partial", 0o755),
    (b"var/lib/apt/lists/partial", 0o755),
    (b"var/log/apt", 0o755),
)
SUITE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
FILE_MARK, PULLED_MARK, ARCHITECTURE_MARK = "envbuild-file: ", "envbuild-pulled: ", "envbuild-architecture: "
"""Before what the hook says of the packages, among the lines that mmdebstrap prints."""
HOOK = "; ".join(
    (
        "set -eu",
        'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get download --print-uris $('
        """dpkg-query --admindir="$1/var/lib/dpkg" -W -f '${Package}:${Architecture}=${Version} ')"""
        f" | sed 's/^/{FILE_MARK}/'",
        f'sed -n "s/^Package: /{PULLED_MARK}/p" "$1/var/lib/apt/extended_states"',
        f'echo "{ARCHITECTURE_MARK}$(chroot "$1" dpkg --print-architecture)"',
    )
)
"""Says where apt got each package from, and which of them nobody asked for. Run by mmdebstrap, with the root as $1,
before it removes apt's indexes. It is one line, since mmdebstrap prints it."""
HOOK_RUNS = "I: running --customize-hook"
"""How the line begins in which it does."""
PATIENCE = 10
"""Seconds that a tool has to clean up after itself before it is killed."""
TAIL = 25
_MAX_RELEASE = 16 << 20


@fields
class NoMmdebstrap(MachineLacks):
    """mmdebstrap is not installed."""

    def text(self) -> tuple[str, str]:
        return "debian: bases are made by mmdebstrap, which is not installed", "apt-get install mmdebstrap"


@fields
class NeedsIdRange(MachineLacks):
    """An ordinary user without subordinate ids can't install packages that have users of their own."""

    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"debian: bases need a range of user ids, and {self.reason}",
            "as root: apt-get install uidmap && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
        )


@fields
class NoSource(UsageError):
    """Nothing on this machine says where the suite's packages are."""

    suite: str

    def text(self) -> tuple[str, str]:
        return (
            f"debian:{self.suite}: apt on this machine has no Debian source that could serve it",
            f"add one to /etc/apt/sources.list.d with Suites: {self.suite}",
        )


@fields
class NoSuite(UsageError):
    """The name can't be a suite's: it would be an option or a path to the tools."""

    suite: str

    def text(self) -> tuple[str, str]:
        return f"debian:{self.suite}: that is not the name of a suite", "a suite is named like debian:bookworm"


@fields
class MirrorFailed(WorkFailed):
    """apt or mmdebstrap could not get or install the packages."""

    suite: str
    what: str
    output: str

    def text(self) -> tuple[str, str]:
        return (
            f"debian:{self.suite}: {self.what}\n{self.output.rstrip()}",
            "check the suite's name and that apt-get update works here",
        )


class MadeOf(Record):
    """What apt says of the packages of a base: `files` are its lines about each (apt-get --print-uris), `pulled` the
    names of those that nobody asked for."""

    files: str
    pulled: frozenset[str]
    architecture: str


class DebianBase:
    """A Debian that mmdebstrap has made, as a tar archive in the work folder."""

    notes: tuple[str, ...] = ()

    def __init__(self, archive: str, epoch: int, identity: str, made_of: MadeOf | None) -> None:
        self._archive = archive
        self.epoch = epoch
        self.identity = identity
        self.made_of = made_of

    def write(self, target: TreeTarget) -> None:
        cleaned = _Cleaned(target)
        write_archive(self._archive, cleaned, self.epoch)
        time = self.epoch * 1_000_000_000
        for path, mode in KEPT_DIRECTORIES:
            target.add(path, Entry(b"", DIRECTORY, mode, 0, 0, time))

    def close(self) -> None:
        try:
            os.unlink(self._archive)
        except FileNotFoundError:
            pass


def prepare_debian(suite: str, work: str, *, progress: Callable[[str], None]) -> PreparedBase:
    """Make a minimal Debian of this suite. `work` is a folder for what is needed meanwhile; `progress` gets the
    tools' lines. Raises NoSuite, NoMmdebstrap, NeedsIdRange, NoSource and MirrorFailed."""
    program = _program(suite)
    sources = sources_for(suite, machine_sources())
    if not sources:
        raise NoSource(suite)
    epoch, release = _release_date(suite, sources, work, progress)
    listed = f"{work}/{suite}.sources"
    with open(listed, "w", encoding="utf-8") as file:
        file.write(to_deb822(sources))
    made_of = _HookReader(progress)
    archive = _run_mmdebstrap(program, suite, listed, epoch, work, made_of, [f"--customize-hook={HOOK}"])
    return DebianBase(archive, epoch, f"debian {suite}, {release}", made_of.answer())


def prepare_again(
    suite: str,
    packages: BasePackages,
    paths: Mapping[str, str],
    epoch: int,
    identity: str,
    work: str,
    *,
    progress: Callable[[str], None],
) -> PreparedBase:
    """Make the Debian that these packages gave before; `paths` has their files, by their hashes, and `epoch` and
    `identity` are those of then. Raises what prepare_debian raises, and BadArchive."""
    program = _program(suite)
    with _repository(work) as folder:
        write_repository(folder, suite, packages, paths, epoch)
        listed = f"{work}/{suite}.list"
        with open(listed, "w", encoding="utf-8") as file:
            file.write(f"deb [trusted=yes] copy://{folder} ./\n")
        archive = _run_mmdebstrap(program, suite, listed, epoch, work, progress, [])
    return DebianBase(archive, epoch, identity, None)


class _HookReader:
    """Takes what the hook says out of the lines that mmdebstrap prints, and passes the others on."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._files: list[str] = []
        self._pulled: set[str] = set()
        self._architecture = ""

    def __call__(self, line: str) -> None:
        if line.startswith(FILE_MARK):
            self._files.append(line.removeprefix(FILE_MARK))
        elif line.startswith(PULLED_MARK):
            self._pulled.add(line.removeprefix(PULLED_MARK).strip())
        elif line.startswith(ARCHITECTURE_MARK):
            self._architecture = line.removeprefix(ARCHITECTURE_MARK).strip()
        elif not line.startswith(HOOK_RUNS):
            self._progress(line)

    def answer(self) -> MadeOf:
        return MadeOf("".join(self._files), frozenset(self._pulled), self._architecture)


@contextmanager
def _repository(work: str) -> Iterator[str]:
    """Make a folder that mmdebstrap can read, and remove it in the end. Run by an ordinary user, its processes are of
    other users: they may not look into `work`, and nobody else has the name of this one."""
    with tempfile.TemporaryDirectory(prefix="envbuild-", dir=work if os.geteuid() == 0 else "/tmp") as outer:
        os.chmod(outer, 0o711)
        folder = f"{outer}/{secrets.token_hex(16)}"
        os.mkdir(folder, 0o755)
        os.chmod(folder, 0o755)
        yield folder


def _run_mmdebstrap(
    program: str, suite: str, listed: str, epoch: int, work: str, progress: Callable[[str], None], options: list[str]
) -> str:
    """Make a minimal system of what the sources in the file `listed` have; return the path of its tar archive."""
    archive = f"{work}/{suite}.tar"
    words = [
        program,
        "--variant=minbase",
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        "--format=tar",
        '--aptopt=Acquire::Languages "none"',
        # A root of which a crash leaves half is thrown away anyway.
        "--dpkgopt=force-unsafe-io",
        "--skip=check/qemu",
        *options,
        suite,
        archive,
        listed,
    ]
    variables = ("env", f"SOURCE_DATE_EPOCH={epoch}", f"TMPDIR={_folder_of_roots()}")
    what = "mmdebstrap could not make it"
    _run([*variables, *words], work, progress, lambda output: MirrorFailed(suite, what, output))
    return archive


def _folder_of_roots() -> str:
    """Return where mmdebstrap makes its root: in the user's folder of temporary files if its own processes, which are
    of other users, may enter that, and it takes devices and programs."""
    folder = os.path.abspath(tempfile.gettempdir())
    if os.statvfs(folder).f_flag & (os.ST_NODEV | os.ST_NOSUID | os.ST_NOEXEC):
        return "/tmp"
    parts = folder.split("/")
    above = ("/".join(parts[:end]) or "/" for end in range(1, len(parts) + 1))
    return folder if all(os.stat(path).st_mode & 0o001 for path in above) else "/tmp"


def _program(suite: str) -> str:
    """Return the path of mmdebstrap. Raises NoSuite, NoMmdebstrap and NeedsIdRange."""
    if not SUITE.fullmatch(suite):
        raise NoSuite(suite)
    program = find_program("mmdebstrap")
    if program is None:
        raise NoMmdebstrap
    reason = "" if os.geteuid() == 0 else why_not_range(os.geteuid())
    if reason:
        raise NeedsIdRange(reason)
    return program


def _release_date(suite: str, sources: list[AptSource], work: str, progress: Callable[[str], None]) -> tuple[int, str]:
    """Return the date in the suite's Release file, in seconds, and what it says of itself; apt fetches and verifies
    it."""
    state = f"{work}/apt-{suite}"
    for folder in ("lists/partial", "cache/archives/partial"):
        os.makedirs(f"{state}/{folder}", exist_ok=True)
    own = [source for source in sources if source.suite == suite]
    with open(f"{state}/machine.sources", "w", encoding="utf-8") as file:
        file.write(to_deb822(own[:1]))
    options = {
        "Dir::Etc::SourceList": f"{state}/machine.sources",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": state,
        "Dir::State::Lists": f"{state}/lists",
        "Dir::Cache": f"{state}/cache",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        # Only the Release file is wanted, and no index that it names.
        "Acquire::IndexTargets::deb::Packages::DefaultEnabled": "false",
        "APT::Update::Error-Mode": "any",
        "APT::Update::Post-Invoke": "",
        "APT::Update::Post-Invoke-Success": "",
        "quiet": "1",
    }
    words = ["apt-get", "update", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    _run(words, work, progress, lambda output: MirrorFailed(suite, "apt can't get it", output))
    for name in sorted(os.listdir(f"{state}/lists")):
        if name.endswith(("_InRelease", "_Release")):
            with open(f"{state}/lists/{name}", encoding="utf-8", errors="replace") as file:
                date = release_of(file.read(_MAX_RELEASE), suite)
            if date is not None:
                return date
    raise MirrorFailed(suite, "apt got no Release file with a date", "")


def release_of(text: str, suite: str) -> tuple[int, str] | None:
    """Return the date in the text of a Release file, in seconds since 1970, and what the file says of itself; None
    without a date."""
    # An InRelease file has a stanza of its signature before.
    fields: dict[str, str] = next((fields for fields in stanzas(text) if "date" in fields), {})
    try:
        date = parsedate_to_datetime(fields["date"])
        moment = int(date.timestamp())
    except (KeyError, ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
    return (moment, f"{fields.get('version', suite)} of {date:%Y-%m-%d}") if 0 <= moment <= MAX_TIME else None


def _run(
    words: list[str],
    work: str,
    progress: Callable[[str], None],
    failure: Callable[[str], Exception],
) -> None:
    """Run a tool to its end. It is of a session of its own, and ends with us whatever happens."""
    if find_program("setpriv") is not None:
        words = ["setpriv", "--pdeathsig", "TERM", *words]
    lines: list[str] = []
    with subprocess.Popen(
        words,
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        # The modes of what is made must not depend on who makes it.
        umask=0o022,
    ) as process:
        try:
            for line in process.stdout or ():
                lines.append(line)
                progress(line)
            status = process.wait()
        except BaseException:
            _end(process)
            raise
    if status != 0:
        raise failure("".join(lines[-TAIL:]))


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _Cleaned:
    """Passes entries on, except what belongs to this machine or this run."""

    def __init__(self, target: TreeTarget) -> None:
        self._target = target

    def add(self, path: bytes, entry: Entry, source: bytes | int | None = None) -> None:
        name = path.decode("utf-8", "surrogateescape")
        if path in OF_THIS_MACHINE or path.startswith(EMPTY):
            return
        if is_left_out_of_base(name, is_directory=entry.kind == DIRECTORY):
            return
        self._target.add(path, entry, b"" if name == MACHINE_ID else source)

    def get(self, path: bytes) -> Entry | None:
        return self._target.get(path)

    def link(self, path: bytes, other: bytes) -> None:
        self._target.link(path, other)
