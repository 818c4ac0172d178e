"""The index of a vendored directory, in the form that sha256sum(1) and its like check, and its signature.

A build needs neither: what it takes from the directory is checked against the lock. They are for those who copy the
directory, or serve it to others.
"""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress

from envbuild.errors import FileUnusable, MachineLacks, fields

SUMS = {
    "sha1": ("SHA1SUMS", 40),
    "sha256": ("SHA256SUMS", 64),
    "sha384": ("SHA384SUMS", 96),
    "sha512": ("SHA512SUMS", 128),
}
"""By the directory of an algorithm: the index's name, and how many digits each file's name has."""
NAMESPACE = "envbuild-vendor"
"""What a signature is for, so that it can't be taken for one of something else (ssh-keygen(1), -n)."""


@fields
class NotSigned(MachineLacks):
    """ssh-keygen could not sign an index, for a `reason` in its words."""

    name: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.name} is not signed: {self.reason}",
            "name a private key of ssh-keygen, as in: --sign ~/.ssh/id_ed25519",
        )


def write_sums(folder: str, key: str = "") -> list[str]:
    """Write an index of all files in a vendored directory for each algorithm, and with a `key` (the path of a private
    key) sign it. Returns the names of what was written. Raises FileUnusable and NotSigned.
    """
    written = []
    for algorithm, (name, digits) in SUMS.items():
        lines = [f"{digest}  {algorithm}/{digest}\n" for digest in _digests(f"{folder}/{algorithm}", digits)]
        path = f"{folder}/{name}"
        if not lines:
            for stale in (path, f"{path}.sig"):
                with suppress(FileNotFoundError):
                    os.unlink(stale)
            continue
        _replace(path, "".join(lines))
        written.append(name)
        # Also without a key: a signature of an index of before would say that somebody changed it.
        with suppress(FileNotFoundError):
            os.unlink(f"{path}.sig")
        if key:
            _sign(path, os.path.abspath(key))
            written.append(f"{name}.sig")
    return written


def _digests(folder: str, digits: int) -> list[str]:
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    is_digest = re.compile(f"[0-9a-f]{{{digits}}}").fullmatch
    return sorted(name for name in names if is_digest(name))


def _replace(path: str, text: str) -> None:
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "x", encoding="ascii") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(temporary)
        raise FileUnusable(path, str(error.strerror), "name a directory that you may write to: -o DIR", "-o") from error


def _sign(path: str, key: str) -> None:
    """Have ssh-keygen write PATH.sig. It asks for a passphrase where the key has one."""
    words = ["ssh-keygen", "-Y", "sign", "-q", "-f", key, "-n", NAMESPACE, os.path.abspath(path)]
    try:
        done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    except FileNotFoundError as error:
        raise NotSigned(path, "there is no ssh-keygen here (Debian: openssh-client)") from error
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or [f"ssh-keygen ended with {done.returncode}"]
        raise NotSigned(path, reason[0])
