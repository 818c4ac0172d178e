"""The base `host` on a machine without dpkg: the named programs with the libraries and interpreters that they load."""

from __future__ import annotations

import os

from envbuild.debian.elf import read_elf
from envbuild.debian.file_plan import BaseFiles
from envbuild.errors import UsageError, fields
from envbuild.tree.target import PreparedBase, TreeTarget

PLAIN = (
    "sh",
    "cat",
    "chmod",
    "cp",
    "date",
    "echo",
    "env",
    "grep",
    "id",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "rm",
    "sed",
    "true",
)
"""What plain `host` has here, as far as the machine has it."""
SEARCH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
LIBRARIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")
ACCOUNTS = (("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("/etc/group", "root:x:0:\n"))


@fields
class NoSuchProgram(UsageError):
    """`host(...)` names a program that this machine, which has no dpkg, lacks."""

    name: str

    def text(self) -> tuple[str, str]:
        return (
            f"host({self.name}): this machine has no program of that name in {', '.join(SEARCH)}",
            "install it first; without dpkg, host(...) takes programs and not packages",
        )


class ProgramsBase:
    """Programs of this machine."""

    notes: tuple[str, ...] = ()

    def __init__(self, plan: BaseFiles, programs: list[str]) -> None:
        self._plan = plan
        self.epoch = plan.newest // 1_000_000_000
        self.identity = f"{len(programs)} programs of this machine"

    def write(self, target: TreeTarget) -> None:
        self._plan.write_to(target, self.epoch)

    def close(self) -> None:
        pass


def prepare_programs(programs: tuple[str, ...], root: str = "/") -> PreparedBase:
    """Return the base of these programs and a shell; of PLAIN without names. Raises NoSuchProgram."""
    plan = BaseFiles(root.rstrip("/"))
    taker = _Taker(plan)
    taken = []
    for name in (*programs, "sh") if programs else PLAIN:
        path = taker.find(name)
        if path is not None:
            taker.take(path)
            taken.append(name)
        elif programs:
            raise NoSuchProgram(name)
    for path, text in ACCOUNTS:
        plan.write(path, text)
    for path, mode in (("/tmp", 0o1777), ("/root", 0o700), ("/proc", 0o555), ("/sys", 0o555), ("/dev", 0o755)):
        plan.directory(path, mode)
    return ProgramsBase(plan, taken)


class _Taker:
    def __init__(self, plan: BaseFiles) -> None:
        self._plan = plan
        self._folders = self._library_folders()

    def find(self, name: str) -> str | None:
        if name.startswith("/"):
            return name if os.path.exists(self._plan.root + name) else None
        for folder in SEARCH:
            if os.access(f"{self._plan.root}{folder}/{name}", os.X_OK):
                return f"{folder}/{name}"
        return None

    def take(self, path: str) -> None:
        """Take a file with the links that lead to it, and all that it loads."""
        path = self._through_links(path)
        if self._plan.has(path) or not self._plan.take(path):
            return
        real = self._plan.root + path
        elf = read_elf(real)
        if elf is None:
            interpreter = _interpreter(real)
            if interpreter:
                self.take(interpreter)
            return
        if elf.interpreter:
            self.take(elf.interpreter)
        origins = [
            folder.replace("$ORIGIN", os.path.dirname(path)).replace("${ORIGIN}", os.path.dirname(path))
            for folder in elf.paths
        ]
        for library in elf.needed:
            for folder in (*origins, *self._folders):
                candidate = f"{folder}/{library}"
                if (linked := read_elf(self._plan.root + candidate)) is not None and linked.bits == elf.bits:
                    self.take(candidate)
                    break

    def _through_links(self, path: str) -> str:
        """Follow links one at a time, taking each; return the path at which the file itself lies."""
        done = ""
        pending = [part for part in reversed(path.split("/")) if part]
        for _ in range(200):
            if not pending:
                break
            part = pending.pop()
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            if part == ".":
                continue
            step = f"{done}/{part}"
            if os.path.islink(self._plan.root + step):
                target = os.readlink(self._plan.root + step)
                self._plan.link(step, target)
                pending += [part for part in reversed(target.split("/")) if part]
                done = "" if target.startswith("/") else done
            else:
                done = step
        return done

    def _library_folders(self) -> list[str]:
        folders = list(LIBRARIES)
        configuration = f"{self._plan.root}/etc/ld.so.conf.d"
        names = sorted(os.listdir(configuration)) if os.path.isdir(configuration) else []
        for name in names:
            with open(f"{configuration}/{name}", encoding="utf-8", errors="replace") as file:
                folders += [line.strip() for line in file if line.startswith("/")]
        return folders


def _interpreter(path: str) -> str:
    """Return the program in a script's first line, "" if there is none."""
    try:
        with open(path, "rb") as file:
            first = file.readline(256)
    except OSError:
        return ""
    words = first[2:].split()
    return os.fsdecode(words[0]) if first.startswith(b"#!") and words else ""
