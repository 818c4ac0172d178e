"""The environment of a login shell."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.capture.machine_root import MachineRoot

_LOGIN_DEFINITIONS = "/etc/login.defs"
_OF_LOGINS = ("ENV_PATH", "ENV_SUPATH", "UMASK", "ENV_TZ", "ENV_HZ", "ENCRYPT_METHOD", "UID_MIN", "UID_MAX")
_VARIABLES = ("/etc/environment", "/etc/security/pam_env.conf")
_FOLDERS = ("/etc/environment.d", "/usr/lib/environment.d")
_MAX_BYTES = 1 << 20


def environment(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield what the files of logins set: `set`, name, value, file."""
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
