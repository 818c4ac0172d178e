"""The environment of a login shell: what the files of logins set, and on the machine itself what comes of /etc/profile.

A script says what it sets only to who runs it. So a shell runs /etc/profile and what that reads as each login does, but
with nobody's rights where root captures, and without a home: nothing that an ordinary user wrote has a part in it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO

from envbuild.capture.machine_root import MachineRoot

_LOGIN_DEFINITIONS = "/etc/login.defs"
_OF_LOGINS = ("ENV_PATH", "ENV_SUPATH", "UMASK", "ENV_TZ", "ENV_HZ", "ENCRYPT_METHOD", "UID_MIN", "UID_MAX")
_VARIABLES = ("/etc/environment", "/etc/security/pam_env.conf")
_FOLDERS = ("/etc/environment.d", "/usr/lib/environment.d")
_MAX_BYTES = 1 << 20
SECONDS = 5.0
"""The time that the shell has."""
_SHELLS = ("/bin/bash", "/bin/sh")
_ENV = "/usr/bin/env"
_NOBODY = 65534
_GIVEN = {"HOME": "/nonexistent", "USER": "nobody", "LOGNAME": "nobody", "TERM": "dumb", "LC_ALL": "C"}
_SHELLS_OWN = (*_GIVEN, "PWD", "OLDPWD", "SHLVL", "_", "MAIL")


def environment(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield what the files of logins set: `set`, name, value, file; and what a shell then has: `got`, name, value."""
    for line in (root.read_text(_LOGIN_DEFINITIONS, _MAX_BYTES) or "").split("\n"):
        words = line.split(None, 1)
        if len(words) == 2 and words[0] in _OF_LOGINS:
            yield "set", words[0], words[1].strip(), _LOGIN_DEFINITIONS
    paths = [*_VARIABLES, *(f"{folder}/{name}" for folder in _FOLDERS for name in root.names(folder))]
    for path in paths:
        for line in (root.read_text(path, _MAX_BYTES) or "").split("\n"):
            name, equals, value = line.strip().removeprefix("export ").partition("=")
            if equals and name.strip() and not name.startswith("#"):
                yield "set", name.strip(), value, path
    if root.is_this_machine:
        yield from (("got", *row) for row in _of_shell())


def _of_shell() -> Iterator[tuple[str, str]]:
    """Yield the variables that a login shell of this machine has, sorted; none if there is no shell, or it fails."""
    shell = next((path for path in _SHELLS if os.path.exists(path)), None)
    if shell is None:
        return
    # Not a pipe: whoever the shell started and left behind would keep it open.
    with tempfile.TemporaryFile() as output:
        if not _ran((shell, "-l", "-c", f"exec {_ENV} -0"), output):
            return
        output.seek(0)
        text = output.read(_MAX_BYTES).decode("utf-8", "surrogateescape")
    for item in sorted(text.split("\0")):
        name, equals, value = item.partition("=")
        if equals and name not in _SHELLS_OWN:
            yield name, value


def _ran(words: tuple[str, ...], output: IO[bytes]) -> bool:
    nobody = _NOBODY if os.geteuid() == 0 else None
    try:
        process = subprocess.Popen(
            words,
            env=_GIVEN,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            user=nobody,
            group=nobody,
            extra_groups=None if nobody is None else (),
        )
    except OSError:
        return False
    try:
        return process.wait(SECONDS) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except OSError:
            pass  # nothing of it is left
        process.wait()
