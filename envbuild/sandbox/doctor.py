"""What this machine can do, found out by trying: for `envbuild doctor`.

Each trial runs in a forked child, so that what it changes ends with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable

from envbuild.errors import EnvbuildError
from envbuild.linux import syscalls
from envbuild.linux.forked import ChildKilled, call_in_child
from envbuild.linux.subids import find_program, why_not_range
from envbuild.record import Record
from envbuild.sandbox import seccomp
from envbuild.sandbox.helper_client import Helper
from envbuild.sandbox.overlay import mount_overlay
from envbuild.sandbox.spec import Bind, Request
from envbuild.sandbox.user_namespace import SHIFTED, IdMap, enter_user_namespace, explain
from envbuild.text.sizes import format_size

MIN_SPACE = 1 << 30


class Finding(Record):
    """One thing that was tried. `mend` is the command that mends it, "" where all is well; `needed` is False for
    what envbuild can do without; `purpose` says what it is for."""

    name: str
    ok: bool
    detail: str
    mend: str
    needed: bool
    purpose: str


def probe(folder: str) -> tuple[Finding, ...]:
    """Try everything. `folder` is an existing, writable directory on the file system of the store."""
    namespace = tried(_namespace)
    findings = [
        Finding(
            "user namespace",
            namespace.ok,
            namespace.text,
            namespace.mend,
            True,
            "isolation without root: everything rests on it",
        ),
        _ids(),
    ]
    if namespace.ok:
        findings += [_overlay(folder), _overlay_interface(folder), _sandbox(folder), _single_sandbox(folder)]
    findings += [
        _seccomp(),
        _links(folder),
        _space(folder),
        _program("mmdebstrap", "debian: bases", "apt-get install mmdebstrap"),
        _program("apt-get", "debian: bases and networked apt steps", "use Debian, or start from host or tar:"),
    ]
    return tuple(findings)


class Result:
    """How a trial went: whether it did, what it said, and what mends it."""

    def __init__(self, ok: bool, text: str, mend: str) -> None:
        self.ok = ok
        self.text = text
        self.mend = mend


def tried(trial: Callable[[], str]) -> Result:
    """Run a trial in a child of its own. What it returns or raises comes back as text."""

    def describe() -> str:
        try:
            described = f"ok\0{trial()}\0"
        except EnvbuildError as error:
            described = f"no\0{error.message}\0{error.hint}"
        except OSError as error:
            described = f"no\0{error.strerror or error}{f' ({error.filename})' if error.filename else ''}\0"
        except BaseException as error:
            described = f"no\0{type(error).__name__}: {error}\0"
        return described

    try:
        parts = call_in_child(describe).split("\0")
    except ChildKilled:
        parts = []
    verdict, text, mend = (*parts, "", "", "")[:3]
    return Result(verdict == "ok", text or "ended without an answer", mend)


def _namespace() -> str:
    ids = enter_user_namespace()
    if ids.kind == SHIFTED:
        # Entered by sandboxes alone.
        try:
            child = syscalls.clone(syscalls.CLONE_NEWUSER | signal.SIGCHLD)
        except OSError as error:
            raise explain(error) from error
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    return _describe(ids)


def _describe(ids: IdMap) -> str:
    words = {
        "shifted": "as root, with ids of its own",
        "root": "as root of a container",
        "range": "as an ordinary user with a range of ids",
        "single": "with a single id",
    }
    return f"works, {words[ids.kind]} ({ids.count} ids)"


def _ids() -> Finding:
    uid = os.geteuid()
    reason = "" if uid == 0 else why_not_range(uid)
    mend = ""
    if "not installed" in reason:
        mend = "apt-get install uidmap"
    elif reason:
        mend = "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
    detail = reason or ("root has all ids" if uid == 0 else "newuidmap and ranges in /etc/subuid and /etc/subgid")
    purpose = "files of several owners in an image; debian: bases"
    return Finding("range of user ids", not reason, detail, mend, False, purpose)


def _overlay(folder: str) -> Finding:
    def trial() -> str:
        enter_user_namespace()
        with _Folders(folder) as where:
            syscalls.unshare(syscalls.CLONE_NEWNS)
            open(f"{where}/lower/kept", "w").close()
            open(f"{where}/lower/removed", "w").close()
            mount_overlay((f"{where}/lower", f"{where}/other"), f"{where}/upper", f"{where}/work", f"{where}/root")
            os.unlink(f"{where}/root/removed")
            names = os.listdir(f"{where}/root")
            whiteout = os.lstat(f"{where}/upper/removed").st_rdev == 0
            syscalls.umount(f"{where}/root", syscalls.MNT_DETACH)
            if names != ["kept"] or not whiteout:
                raise OSError(5, "it mounts, but removing a file does not work as it should")
        return "mounts in the user namespace on the file system of the store, with whiteouts"

    result = tried(trial)
    mend = "" if result.ok else (result.mend or "put the store on ext4, xfs or btrfs: ENVBUILD_STORE=DIR")
    return Finding("overlayfs", result.ok, result.text, mend, True, "layers: each step and each instance")


def _overlay_interface(folder: str) -> Finding:
    def trial() -> str:
        enter_user_namespace()
        syscalls.unshare(syscalls.CLONE_NEWNS)
        with _Folders(folder) as where:
            context = syscalls.fsopen("overlay")
            try:
                syscalls.fsconfig(context, "lowerdir+", f"{where}/lower")
            finally:
                os.close(context)
        return "stacks of up to 500 layers"

    result = tried(trial)
    mend = (
        "" if result.ok else "use Linux 6.8 or later; until then stacks are limited by the length of one mount option"
    )
    return Finding("overlayfs lowerdir+", result.ok, result.text, mend, False, "recipes of many steps")


def _sandbox(folder: str) -> Finding:
    result = tried(lambda: _run_in_sandbox(folder, single=False))
    mend = "" if result.ok else (result.mend or "run outside of a container, or give it a full /proc and /sys")
    purpose = "running steps: namespaces, mounts, /proc, /dev, the filter"
    return Finding("sandbox", result.ok, result.text, mend, True, purpose)


def _single_sandbox(folder: str) -> Finding:
    result = tried(lambda: _run_in_sandbox(folder, single=True))
    purpose = "users without a range of ids"
    return Finding("sandbox with a single id", result.ok, result.text, result.mend, False, purpose)


def _run_in_sandbox(folder: str, *, single: bool) -> str:
    ids = enter_user_namespace(force_single=single)
    with _Folders(folder) as where, Helper.start(ids) as helper:
        layer = f"{where}/lower"
        binds: list[Bind] = []
        # The interpreter that runs this is the one program that is surely here; what it loads comes as binds.
        for path in ("/usr", "/lib", "/lib64", "/bin", sys.base_prefix):
            if os.path.isdir(path) and not any(path.startswith(bind.target + "/") for bind in binds):
                binds.append(Bind(os.path.realpath(path), path))
        nothing = os.open(os.devnull, os.O_RDWR)
        program = os.path.realpath(sys.executable)
        script = "import os,sys; sys.exit(0 if os.getpid() > 1 and os.listdir('/proc/self') else 3)"
        request = Request(
            layers=(layer,),
            argv=(program, "-I", "-S", "-c", script),
            upper=f"{where}/upper",
            work=f"{where}/work",
            binds=tuple(binds),
            timeout=20.0,
        )
        outcome = helper.run(request, stdin=nothing, output=nothing)
    if outcome.status != 0:
        raise OSError(5, f"a program in a sandbox ended with status {outcome.status}")
    return f"a command ran in {outcome.seconds * 1000:.0f} ms"


def _seccomp() -> Finding:
    machine = os.uname().machine

    def trial() -> str:
        program = seccomp.filter_program(pretend_ownership=False)
        if not program:
            raise OSError(38, f"there are no call numbers for {machine} in this version")
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        syscalls.set_filter(program)
        return f"the filter of {len(program) // 8} rules is accepted"

    result = tried(trial)
    mend = "" if result.ok else "use a kernel with CONFIG_SECCOMP_FILTER=y on x86-64 or AArch64"
    return Finding("seccomp", result.ok, result.text, mend, False, "keeping dangerous system calls from steps")


def _links(folder: str) -> Finding:
    def trial() -> str:
        with _Folders(folder) as where:
            open(f"{where}/lower/a", "w").close()
            os.link(f"{where}/lower/a", f"{where}/upper/b")
        return "equal files are kept once"

    result = tried(trial)
    mend = "" if result.ok else "put the store on a file system with hard links: ENVBUILD_STORE=DIR"
    return Finding("hard links", result.ok, result.text, mend, True, "the store")


def _space(folder: str) -> Finding:
    free = shutil.disk_usage(folder).free
    detail = f"{format_size(free)} free for the store"
    mend = "" if free > MIN_SPACE else "envbuild gc, or another disk: ENVBUILD_STORE=DIR"
    return Finding("disk space", free > MIN_SPACE, detail, mend, False, "images")


def _program(name: str, purpose: str, mend: str) -> Finding:
    path = find_program(name)
    return Finding(name, path is not None, path or "not installed", "" if path else mend, False, purpose)


class _Folders:
    """A directory with those that overlayfs needs, removed in the end."""

    def __init__(self, folder: str) -> None:
        self._path = f"{folder}/probe-{os.urandom(4).hex()}"

    def __enter__(self) -> str:
        os.mkdir(self._path, 0o700)
        for name in ("lower", "other", "upper", "work", "root"):
            os.mkdir(f"{self._path}/{name}")
        return self._path

    def __exit__(self, *_: object) -> None:
        # overlayfs leaves a directory without any permission in its work directory.
        inner = f"{self._path}/work/work"
        if os.path.isdir(inner):
            os.chmod(inner, 0o700)
        shutil.rmtree(self._path, ignore_errors=True)
