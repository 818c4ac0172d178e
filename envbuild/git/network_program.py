"""The machine's git, started to ask a server that a recipe names, within limits of size, memory and time.

The user's own settings count, since private repositories are opened with the user's credentials (helpers, ~/.netrc, ssh
keys); what could run a program that a repository names, ask a question, or lead to another server is switched off.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from urllib.parse import urlsplit

from envbuild.errors import EnvbuildError, WorkFailed, fields
from envbuild.git.program import SETTINGS, VARIABLES, NoGit
from envbuild.linux.own_id import as_own_id
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

_SETTINGS = {
    **{name: value for name, value in SETTINGS.items() if name not in ("protocol.allow", "core.sshCommand")},
    # Bad objects are refused as they come. Some old commits have dates that no calendar knows, and do no harm.
    "fetch.fsckObjects": "true",
    "transfer.fsckObjects": "true",
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    # One pack, which has a size to watch, however many objects.
    "fetch.unpackLimit": "1",
    "fetch.writeCommitGraph": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "pack.threads": "2",
    "protocol.version": "2",
    # Whoever names the address decides where it leads, and was asked already.
    "http.followRedirects": "false",
    "fetch.uriProtocols": "",
    "transfer.bundleURI": "false",
}
del _SETTINGS["credential.helper"]
_VARIABLES = {
    **VARIABLES,
    b"GIT_ALLOW_PROTOCOL": b"https:http:ssh",
    # Nobody is asked anything: a build may have no terminal.
    b"GIT_ASKPASS": b"",
    b"SSH_ASKPASS": b"/bin/false",
    b"SSH_ASKPASS_REQUIRE": b"force",
    b"GCM_INTERACTIVE": b"never",
}
_SSH_VARIABLES = (b"GIT_SSH", b"GIT_SSH_COMMAND", b"GIT_SSH_VARIANT")
"""Of the user's own variables for git those that say how ssh is started: they stand for its settings, as `git
ls-remote` takes them."""
MAX_MEMORY = 4 << 30
"""Bytes that one process of git may keep: a small pack can say that it unpacks to more than any memory."""
MAX_SECONDS = 3 * 3600.0
MAX_SILENCE = 120.0
"""Seconds in which something has to come."""
MAX_WORDS = 16 << 20
"""Bytes that git may print, and what a server has it print."""
# A program that comes to the limit of a file's size says so, where the signal would end it without a word.
_LIMITED = (
    f'trap "" {signal.SIGXFSZ:d}; ulimit -S -d "$1" 2>/dev/null; ulimit -S -f "$2" 2>/dev/null; shift 2; exec "$@"'
)
_MAX_SHOWN = 300
_TOO_LARGE = b"File too large"
"""What git says at the limit of a file's size."""


_OF_SSH = "Could not read from remote repository."


@fields
class ServerRefused(WorkFailed):
    """git got nothing from a server; `reason` is in its words."""

    url: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"fetch: {self.url}: {self.reason}", self._hint()

    def _hint(self) -> str:
        scheme, _, rest = self.url.partition("://")
        host = urlsplit(self.url)
        if any(word in self.reason for word in ("Username", "Authentication", "Permission denied", "publickey")):
            # A name is part of what ssh opens; of the web's it may be a token.
            shown = rest if scheme == "ssh" else rest.rpartition("@")[2]
            hint = f"git itself must be able to open it without a question: git ls-remote {scheme}://{shown}"
            return f"if the repository is private, {hint}"
        if "Host key" in self.reason and "has changed" in self.reason:
            name = f"[{host.hostname}]:{host.port}" if host.port else host.hostname
            return (
                "the server has another key than the one in your known_hosts, or is another server: ask who runs it "
                f"before you take the old key away (ssh-keygen -R '{name}')"
            )
        if self.reason.startswith("Host key"):
            port = f"-p {host.port} " if host.port else ""
            user = f"{host.username}@" if host.username else ""
            command = f"ssh {port}{user}{host.hostname}"
            return f"connect once by hand and compare the server's key, which ssh then knows: {command}"
        if "cannot run ssh" in self.reason:
            return "install it: apt install openssh-client"
        if "fsck" in self.reason:
            return "the repository has an object that git itself refuses: git fsck --strict shows it"
        return "check the address and the network, and build again"


@fields
class TooMuchOfGit(WorkFailed):
    """A repository sends more than is taken."""

    url: str
    limit: int

    def text(self) -> tuple[str, str]:
        return (
            f"fetch: {self.url}: it is larger than {self.limit:,} bytes",
            "raise the limit with ENVBUILD_FETCH_LIMIT=SIZE, as in 20g",
        )


class StoppedByOthers(EnvbuildError):
    """The build needs it no longer. Never leaves the build."""

    def text(self) -> tuple[str, str]:
        return "it is no longer needed", ""


class Allowed(Record):
    """What a fetch may take: `size` in bytes, and as long as not `stopped`."""

    size: int
    stopped: Callable[[], bool] = lambda: False


def ask(url: str, words: tuple[str, ...], allowed: Allowed, folder: str = "") -> bytes:
    """Return what a git prints that talks to the server of `url`. `folder` is the repository that it fills, whose size
    is watched. Raises ServerRefused, TooMuchOfGit, StoppedByOthers and NoGit."""
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    git = shutil.which("git")
    if git is None:
        raise NoGit
    command = [git, "--no-pager", *settings, *(("-C", folder) if folder else ()), *words]
    limits = [str(MAX_MEMORY >> 10), str((allowed.size >> 9) + 1)]
    kept = {name: value for name, value in os.environb.items() if _is_kept(name)}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _LIMITED, "sh", *limits, *as_own_id(), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env={**kept, **_VARIABLES},
            cwd="/",
            # ssh asks on the terminal of its session, whatever its input is.
            start_new_session=True,
        )
        try:
            _watch(child, url, allowed, folder, (output, errors))
        finally:
            _end(child)
        errors.seek(0)
        if child.returncode:
            said = errors.read(MAX_WORDS)
            if _TOO_LARGE in said:
                raise TooMuchOfGit(url, allowed.size)
            raise ServerRefused(url, _reason(said, child.returncode))
        output.seek(0)
        return output.read(MAX_WORDS)


def _is_kept(name: bytes) -> bool:
    return not name.startswith(b"GIT_") or name in _SSH_VARIABLES


def _watch(
    child: subprocess.Popen[bytes], url: str, allowed: Allowed, folder: str, printed: tuple[BinaryIO, BinaryIO]
) -> None:
    """Wait for git as long as something comes, and not too much."""
    begun = moved = time.monotonic()
    before = -1
    pause = 0.01
    while True:
        with suppress(subprocess.TimeoutExpired):
            child.wait(pause)
            return
        pause = min(1.0, pause * 2)
        words = sum(os.fstat(file.fileno()).st_size for file in printed)
        size = _size(folder) if folder else 0
        now = time.monotonic()
        if size + words != before:
            before, moved = size + words, now
        if allowed.stopped():
            raise StoppedByOthers
        if size > allowed.size:
            raise TooMuchOfGit(url, allowed.size)
        if words > MAX_WORDS:
            raise ServerRefused(url, "the server says too much")
        if now - moved > MAX_SILENCE:
            raise ServerRefused(url, f"nothing came for {MAX_SILENCE:.0f} seconds")
        if now - begun > MAX_SECONDS:
            raise ServerRefused(url, f"it is not whole after {MAX_SECONDS / 3600:.0f} hours")


def _size(folder: str) -> int:
    """Return the bytes of the files below a folder, which come and go meanwhile."""
    size = 0
    pending = [folder]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    with suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
                        else:
                            size += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return size


def _end(child: subprocess.Popen[bytes]) -> None:
    """End git and what it started."""
    if child.returncode is None:
        # Only before it is waited for: until then no other process can have its id.
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _reason(errors: bytes, status: int) -> str:
    """Return the line in which git says what is wrong: what a server has it print comes before that, marked."""
    lines = [line.strip() for line in errors.decode("utf-8", "replace").replace("\r", "\n").splitlines()]
    said = [line for line in lines if line.startswith(("fatal: ", "error: ", "ssh: ", "Host key ")) or "denied" in line]
    said = [line for line in said if not line.endswith(_OF_SSH)] or said  # what ssh said stands before
    words = [line.removeprefix("fatal: ").removeprefix("error: ") for line in said or lines[-1:] if line]
    if words and any(word.startswith("fsck error") for word in words):
        words = [f"fsck: {words[0]}"]
    # Of two, the first is nearer to the cause, such as a host that ssh does not know.
    shown = "; ".join(dict.fromkeys([*words[:1], *words[-1:]])) or f"git ended with {status}"
    return "".join(letter if letter.isprintable() else " " for letter in shown)[:_MAX_SHOWN]
