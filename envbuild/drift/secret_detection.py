"""The detection of files that look like keys or passwords: they are not written beside a recipe, which goes into git,
unless the user asks for it."""

from __future__ import annotations

import re

from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Entry

_NAMED = re.compile(
    rb"etc/g?shadow-?|etc/ssh/ssh_host_[^/]*_key"
    rb"|(?:.*/)?\.ssh/(?!authorized_keys$|known_hosts$|config$|.*\.pub$)[^/]+"
    rb"|(?:.*/)?(?:\.gnupg|\.aws|\.kube|\.docker|\.azure)/.+"
    rb"|(?:.*/)?(?:\.netrc|\.pgpass|\.my\.cnf|\.git-credentials|\.pypirc|\.npmrc|\.htpasswd|\.vault-token|\.env)"
    rb"|(?:.*/)?id_(?:rsa|dsa|ecdsa|ed25519)|etc/ssl/private/.+|.*\.(?:p12|pfx|jks|kdbx)",
    re.DOTALL,
)
_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
_OWN_NAME = re.compile(rb".*(?:key|secret|passw|token|credential|\.pem)[^/]*", re.IGNORECASE | re.DOTALL)
_MAX_READ = 1 << 20


def looks_secret(store: Store, path: bytes, entry: Entry) -> bool:
    """Return whether a file seems to be a secret: by its path, by the first line of a private key, or by a telling name
    if only its owner may read it."""
    if entry.kind != FILE:
        return False
    if _NAMED.fullmatch(path):
        return True
    if not entry.mode & 0o077 and _OWN_NAME.fullmatch(path.rpartition(b"/")[2]):
        return True
    return entry.size <= _MAX_READ and _KEY.search(store.objects.read(entry)) is not None
