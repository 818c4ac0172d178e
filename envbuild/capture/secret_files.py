"""Secrets of a machine's files: what a capture keeps in their place. Readers ask it for each file that they read."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterator, Mapping

from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.redaction import Redacted
from envbuild.capture.secret_rules import (
    HASHES,
    IN_ROWS,
    KEY_NAMES,
    MORE_KEY_NAMES,
    PRIVATE_KEY,
    URLS,
    is_whole,
    value_patterns,
)
from envbuild.debian.deb822 import conffiles_of, stanzas
from envbuild.debian.left_behind import INFO
from envbuild.images.secret_placeholder import Placeholder, value_placeholder

VERSION = 1
"""Of the list of what is secret: files that were taken by another one are read again."""
MAX_SEARCHED = 1 << 20
"""Bytes of a file that is searched for values; a larger one on the list is secret as a whole."""
MAX_DIGESTED = 64 << 20
"""Bytes of a secret file that its digest is made of, besides its size."""
_PEEK = 64
_BEGIN = b"-----BEGIN "
_CHUNK = 1 << 20
_STATUS = "/var/lib/dpkg/status"
_ROWS = ("package-log", "kernel", "crontabs", "login-environment", "timers")
"""Kinds of state that hold command lines and variables."""
SECRET_FOLDERS = ("etc", "etc/ssh", "etc/ssl/private", "etc/security", "var/backups")
"""Where files are secret by their path and every machine has some."""
_SHIPPED_PLACE = b"usr/"
_OWN_PLACES = (b"usr/local/", b"usr/src/")


class SecretFiles:
    """Finds secrets in the files of a root, and what stands for them under a store's key."""

    def __init__(self, root: MachineRoot, key: bytes) -> None:
        self._root = root
        self._key = key
        self._shipped: bytearray | None = None
        self._names: dict[tuple[int, int], bytes] | None = None

    @property
    def profile(self) -> str:
        """What decides how a file is kept, besides the file."""
        return f"secrets {VERSION} {hmac.digest(self._key, b'profile', hashlib.sha256).hex()[:32]}"

    def redacted(self, path: bytes, status: os.stat_result, opened: int) -> Redacted | None:
        """Return what is kept of a file, None for all of it (redaction.py, Redaction)."""
        if not status.st_size:
            return None
        if status.st_nlink > 1 and not status.st_mode & 0o004:
            path = self._secret_names().get((status.st_dev, status.st_ino), path)
        if is_whole(path):
            return None if self._is_shipped(path, status, opened) else self._whole(status, opened)
        patterns = value_patterns(path)
        if not patterns and not _may_have_key(path, status, opened):
            return None
        if status.st_size > MAX_SEARCHED:
            return self._whole(status, opened) if patterns else None
        content = os.pread(opened, MAX_SEARCHED + 1, 0)
        if content.lstrip()[: len(_BEGIN)] == _BEGIN and PRIVATE_KEY.search(content):
            return None if self._is_shipped(path, status, opened) else self._whole(status, opened)
        kept, number = self._hidden(content, (PRIVATE_KEY, *patterns))
        if not number or self._is_shipped(path, status, opened):
            return None
        return Redacted(kept, number, self._digest(content))

    def hidden_state(self, state: Mapping[str, str]) -> dict[str, str]:
        """Return the texts of state without the secrets in their command lines and variables."""
        return {name: self._hidden_rows(text) if name in _ROWS else text for name, text in state.items()}

    def _hidden_rows(self, text: str) -> str:
        kept, _ = self._hidden(text.encode(), (IN_ROWS, URLS))
        return "".join(sorted(kept.decode().splitlines(keepends=True)))

    def _hidden(self, content: bytes, patterns: tuple[re.Pattern[bytes], ...]) -> tuple[bytes, int]:
        """Return a content with a placeholder for each secret, and how many there are."""
        number = 0
        for pattern in patterns:
            parts, at = [], 0
            for match in pattern.finditer(content):
                if match.lastgroup is None:
                    continue  # what is passed over
                start, end = match.span(match.lastgroup or 0)
                start = max(start, at)
                value = content[start:end].strip()
                if not value:
                    continue
                start = content.index(value, start)
                parts += [content[at:start], self._stand_in(content[start - 1 : start], value)]
                at = start + len(value)
                number += 1
            content = b"".join([*parts, content[at:]])
        return content, number

    def _stand_in(self, before: bytes, value: bytes) -> bytes:
        word = value_placeholder(self._digest(value))
        # In place of a hash, so that nobody can log in with whatever comes to stand for one.
        return b"!" + word if before == b":" and value[:1] == b"$" else word

    def _digest(self, content: bytes) -> str:
        return hmac.digest(self._key, content, hashlib.sha256).hex()

    def _whole(self, status: os.stat_result, opened: int) -> Redacted:
        digest = hmac.new(self._key, b"", hashlib.sha256)
        at = 0
        while at < MAX_DIGESTED and (chunk := os.pread(opened, _CHUNK, at)):
            digest.update(chunk)
            at += len(chunk)
        if at >= MAX_DIGESTED:
            digest.update(b"%d" % status.st_size)
        return Redacted(Placeholder(status.st_size, digest.hexdigest()).content, None, digest.hexdigest())

    def _is_shipped(self, path: bytes, status: os.stat_result, opened: int) -> bool:
        """Tell whether a file is as its Debian package shipped it: everybody can have it."""
        if status.st_size > MAX_SEARCHED:
            return False
        lists = self._sums()
        md5 = hashlib.md5(os.pread(opened, MAX_SEARCHED + 1, 0), usedforsecurity=False).hexdigest().encode()
        # Where /usr is merged, packages may name either path.
        return any(b"\n%s  %s\n" % (md5, name) in lists for name in {path, path.removeprefix(_SHIPPED_PLACE)})

    def _secret_names(self) -> dict[tuple[int, int], bytes]:
        """Return the paths of the system's best known secrets by their inodes: where the kernel lets them
        (fs.protected_hardlinks), users can give them a name of their own, and that is what the walk may meet."""
        if self._names is None:
            self._names = {}
            for folder in SECRET_FOLDERS:
                for name in self._root.names(f"/{folder}"):
                    path = f"{folder}/{name}"
                    encoded = path.encode("utf-8", "surrogateescape")
                    if is_whole(encoded) or value_patterns(encoded) is HASHES:
                        status = self._root.status(f"/{path}", follow=False)
                        if status is not None:
                            self._names[(status.st_dev, status.st_ino)] = encoded
        return self._names

    def _sums(self) -> bytearray:
        """Return the sums of all files of packages, a line each: as one text they take a tenth of the memory."""
        if self._shipped is None:
            self._shipped = bytearray(b"\n")
            for lines in self._read_sums():
                self._shipped += lines
        return self._shipped

    def _read_sums(self) -> Iterator[bytes]:
        for name in self._root.names(f"/{INFO}"):
            if name.endswith(".md5sums"):
                yield (self._root.read(f"/{INFO}{name}") or b"").rstrip(b"\n") + b"\n"
        for fields in stanzas(self._root.read_text(_STATUS) or ""):
            for path, md5 in conffiles_of(fields, obsolete=False):
                yield f"{md5}  {path.lstrip('/')}\n".encode("utf-8", "surrogateescape")


def _may_have_key(path: bytes, status: os.stat_result, opened: int) -> bool:
    """Tell whether a file is to be searched for a private key: one that not everybody may read, one with such a name,
    or one outside of what packages install that begins as keys do."""
    if status.st_size > MAX_SEARCHED:
        return False
    if not status.st_mode & 0o004:
        return True
    if path.startswith(_SHIPPED_PLACE) and not path.startswith(_OWN_PLACES):
        return path.endswith(KEY_NAMES)
    return path.endswith(MORE_KEY_NAMES) or os.pread(opened, _PEEK, 0).lstrip()[: len(_BEGIN)] == _BEGIN
