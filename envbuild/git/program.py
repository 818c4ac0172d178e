"""The machine's git, started so that it runs nothing that a repository names.

A repository is data that somebody else may have made: its settings name programs (filters, monitors, hooks, converters,
transports), its attributes say for which files. Only commands that need none of them are used, and what could still
start one is switched off. git itself decides whose repositories it reads (safe.directory): it looks for them as ever,
as with $GIT_DIR it would not ask.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from envbuild.errors import MachineLacks, UsageError

SETTINGS = {
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.pager": "cat",
    "core.untrackedCache": "false",
    # A folder inside a working tree that looks like a repository is none: git 2.38 and later.
    "safe.bareRepository": "explicit",
    # A partial clone fetches what it lacks, with the programs that its settings name.
    "protocol.allow": "never",
    "core.sshCommand": "false",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "log.showSignature": "false",
    "blame.ignoreRevsFile": "",
}
"""What of a repository's settings could start a program, or read a file of the user: the command line overrides it."""

VARIABLES = {
    b"GIT_NO_LAZY_FETCH": b"1",
    b"GIT_ALLOW_PROTOCOL": b"",
    b"GIT_TERMINAL_PROMPT": b"0",
    b"GIT_OPTIONAL_LOCKS": b"0",
    # A commit is what its id says, and not what refs/replace puts in its place.
    b"GIT_NO_REPLACE_OBJECTS": b"1",
    b"GIT_LITERAL_PATHSPECS": b"1",
    b"GIT_PAGER": b"cat",
    # Its words are compared.
    b"LC_ALL": b"C",
}
SECONDS = 60.0
"""After which git is ended: one of the repository's files may be a FIFO."""
MOST_OUTPUT = 64 << 20
_CHUNK = 1 << 16
_MOST_SAID = 4096


class NoGit(MachineLacks):
    """There is no git."""

    def __init__(self) -> None:
        super().__init__("git is not installed", "install it: apt install git")


class GitFailed(UsageError):
    """git said no; its own words say why."""

    def __init__(self, words: tuple[str, ...], said: str) -> None:
        super().__init__(f"git {' '.join(words[:2])} failed: {said.strip()}", "see what git says of it: git status")


class GitTooSlow(UsageError):
    """git did not come to its end."""

    def __init__(self, words: tuple[str, ...], seconds: float) -> None:
        super().__init__(
            f"git {words[0]} took longer than {seconds:.0f} seconds, and was ended",
            "see whether a file in .git is none (a FIFO, a device), or the repository is on a slow disk",
        )


class GitTooMuch(UsageError):
    """git says more than anybody wants to hear: one commit of a few bytes can hold millions of files."""

    def __init__(self, words: tuple[str, ...], most: int) -> None:
        super().__init__(
            f"git {words[0]} gave more than {most >> 20} MiB, and was ended",
            "see what the commit holds: git ls-tree -r COMMIT | head",
        )


def command(folder: str, *words: str) -> list[str]:
    """The command line of a git that runs nothing else, in a folder."""
    settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    return ["git", "--no-pager", *settings, "-C", folder, *words]


def variables(index: str = "") -> dict[bytes, bytes]:
    """The variables of such a git: none of the caller's that tell git something. `index` is the path of another index
    than the repository's own."""
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
    """A git whose output is read by the caller; it ends with the context, or after so many seconds, with all that it
    started. Raises NoGit."""
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
        _end(child)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # what git was still to be told
        child.wait()


def output(
    folder: str, *words: str, given: bytes = b"", index: str = "", most: int = MOST_OUTPUT, seconds: float = SECONDS
) -> bytes:
    """What a git command prints; `given` is its input. Raises GitFailed, GitTooSlow, GitTooMuch and NoGit."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
        told.write(given)
        told.seek(0)
        with running(folder, words, stdin=told.fileno(), stderr=said.fileno(), seconds=seconds, index=index) as child:
            assert child.stdout is not None
            parts, size = [], 0
            while chunk := child.stdout.read(_CHUNK):
                parts.append(chunk)
                size += len(chunk)
                if size > most:
                    raise GitTooMuch(words, most)
            status = child.wait()
        if status == -signal.SIGKILL:
            raise GitTooSlow(words, seconds)
        if status:
            said.seek(0)
            raise GitFailed(words, said.read(_MOST_SAID).decode("utf-8", "replace"))
        return b"".join(parts)


def _end(child: subprocess.Popen[bytes]) -> None:
    # Only while it was not waited for: until then its number is nobody else's.
    if child.returncode is None and child.poll() is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
