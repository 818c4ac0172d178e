"""The machine's git, started so that it runs nothing that a repository names.

A repository is data that somebody else may have made: its settings name programs (filters, monitors, hooks, converters,
transports), its attributes say for which files. Only commands that need none of them are used, and every setting that
could still start one is switched off. git itself decides whose repositories it reads (safe.directory): it discovers
them as always, since with $GIT_DIR it would not check.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from envbuild.errors import MachineLacks, UsageError, fields

SETTINGS = {
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.pager": "cat",
    "core.untrackedCache": "false",
    # A directory inside a working tree that looks like a repository does not count as one: git 2.38 and later.
    "safe.bareRepository": "explicit",
    # A partial clone would fetch missing objects with the programs that its settings name.
    "protocol.allow": "never",
    "core.sshCommand": "false",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "log.showSignature": "false",
    "blame.ignoreRevsFile": "",
}
"""Settings with which a repository could start a program or read a file of the user: the command line overrides
them."""

VARIABLES = {
    b"GIT_NO_LAZY_FETCH": b"1",
    b"GIT_ALLOW_PROTOCOL": b"",
    b"GIT_TERMINAL_PROMPT": b"0",
    b"GIT_OPTIONAL_LOCKS": b"0",
    # A commit is what its id says, not what refs/replace substitutes for it.
    b"GIT_NO_REPLACE_OBJECTS": b"1",
    b"GIT_LITERAL_PATHSPECS": b"1",
    b"GIT_PAGER": b"cat",
    # Its messages are compared.
    b"LC_ALL": b"C",
}
SECONDS = 60.0
"""The time after which git is ended: one of the repository's files may be a FIFO."""
MAX_OUTPUT = 64 << 20
_CHUNK = 1 << 16
_MAX_ERROR = 4096
_MAX_LOOKS = 10_000


@fields
class NoGit(MachineLacks):
    """git is not installed."""

    def text(self) -> tuple[str, str]:
        return "git is not installed", "install it: apt install git"


@fields
class GitFailed(UsageError):
    """A git command failed; the message has git's own words."""

    words: tuple[str, ...]
    errors: str

    def text(self) -> tuple[str, str]:
        return (
            f"git {' '.join(self.words[:2])} failed: {self.errors.strip()}",
            "see whether git itself can read the repository: git status",
        )


@fields
class GitTooSlow(UsageError):
    """A git command did not end in time."""

    words: tuple[str, ...]
    seconds: float

    def text(self) -> tuple[str, str]:
        return (
            f"git {self.words[0]} took longer than {self.seconds:.0f} seconds and was ended",
            "see whether something in .git is a FIFO or a device, or the repository is on a slow disk",
        )


@fields
class GitTooMuch(UsageError):
    """A git command printed too much: one commit of a few bytes can hold millions of files."""

    words: tuple[str, ...]
    limit: int

    def text(self) -> tuple[str, str]:
        return (
            f"git {self.words[0]} printed more than {self.limit >> 20} MiB and was ended",
            "see what the commit contains: git ls-tree -r COMMIT | head",
        )


def command(folder: str, *words: str) -> list[str]:
    """Return the command line of a git that runs no other program, in a directory."""
    settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    return ["git", "--no-pager", *settings, "-C", folder, *words]


def variables(index: str = "") -> dict[bytes, bytes]:
    """Return the environment of such a git: without the caller's variables for git. `index` is the path of an index
    other than the repository's own."""
    kept = {name: value for name, value in os.environb.items() if not name.startswith(b"GIT_")}
    return {**kept, **VARIABLES, **({b"GIT_INDEX_FILE": os.fsencode(index)} if index else {})}


@contextmanager
def running(
    folder: str,
    words: tuple[str, ...],
    *,
    stdin: int | None = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
    seconds: float = SECONDS,
    index: str = "",
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a git whose output the caller reads. It and its children end with the context, or after `seconds`. Raises
    NoGit."""
    try:
        child = subprocess.Popen(
            command(folder, *words),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=variables(index),
            process_group=0,
        )
    except FileNotFoundError:
        raise NoGit from None
    timer = Timer(seconds, _end, (child,))
    timer.daemon = True
    timer.start()
    try:
        yield child
    finally:
        timer.cancel()
        _await_end(timer)
        _end(child)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # git no longer reads its input
        child.wait()


def output(
    folder: str, *words: str, given: bytes = b"", index: str = "", limit: int = MAX_OUTPUT, seconds: float = SECONDS
) -> bytes:
    """Return what a git command prints; `given` is its input. Raises GitFailed, GitTooSlow, GitTooMuch and NoGit."""
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as stdin:
        stdin.write(given)
        stdin.seek(0)
        with running(
            folder, words, stdin=stdin.fileno(), stderr=errors.fileno(), seconds=seconds, index=index
        ) as child:
            assert child.stdout is not None
            parts, size = [], 0
            while chunk := child.stdout.read(_CHUNK):
                parts.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise GitTooMuch(words, limit)
            status = child.wait()
        if status == -signal.SIGKILL:
            raise GitTooSlow(words, seconds)
        if status:
            errors.seek(0)
            raise GitFailed(words, errors.read(_MAX_ERROR).decode("utf-8", "replace"))
        return b"".join(parts)


def _await_end(timer: Timer) -> None:
    """Wait until the thread of a timer is gone: with it, this process could not enter a user namespace."""
    timer.join()
    # Python has done with a thread a moment before the kernel has.
    for _ in range(_MAX_LOOKS):
        if not os.path.exists(f"/proc/self/task/{timer.native_id}"):
            return
        time.sleep(0.0001)


def _end(child: subprocess.Popen[bytes]) -> None:
    # Only before it is waited for: until then no other process can have its id.
    if child.returncode is None and child.poll() is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
