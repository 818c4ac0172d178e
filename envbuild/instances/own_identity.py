"""What a duplicate of a captured machine has in the place of what makes the machine itself: machine id, host name and
the keys of its SSH server.

Two machines with one identity get each other's leases, logs and connections; and a captured machine's private keys are
usually not in its image at all. So an instance of a capture has its own, drawn when it is first started, in files of
its record that are mounted over the image's: they are nobody's change, and no image is made with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from envbuild.debian.left_behind import MACHINE_ID
from envbuild.sandbox.spec import Bind
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Digest, Entry
from envbuild.tree.lookup import entry_at

FOLDER = "identity"
"""In an instance's directory."""
_HOST_NAME = "etc/hostname"
_HOSTS = "etc/hosts"
_MAX_HOSTS = 1 << 20
_MACHINE_IDS = (MACHINE_ID, "var/lib/dbus/machine-id")
_SSH = "etc/ssh"
_PRIVATE, _PUBLIC = "ssh_host_{}_key", "ssh_host_{}_key.pub"
_RSA_BITS = 3072
"""As ssh-keygen(1) draws them."""
_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey
_KEYS: dict[str, Callable[[], _Key]] = {
    "rsa": lambda: rsa.generate_private_key(65537, _RSA_BITS),
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def identity_binds(store: Store, tree: Digest, folder: str, name: str, *, hosts: bool) -> list[Bind]:
    """Return what to mount over the files of a captured machine's tree. `folder` is the instance's directory, `name`
    its host's name; `hosts` is whether it has a network of its own, in which /etc/hosts has to have that name."""
    files = _files(store, tree, f"{folder}/{FOLDER}", name)
    if hosts and (old := _entry(store, tree, _HOSTS)) is not None:
        text = store.objects.read(old, _MAX_HOSTS)
        files[_HOSTS] = _write(
            f"{folder}/{FOLDER}/hosts", b"127.0.0.1\tlocalhost %s\n%s" % (name.encode(), text), 0o644
        )
    return [Bind(os.path.realpath(path), f"/{target}", read_only=False) for target, path in files.items()]


def _files(store: Store, tree: Digest, folder: str, name: str) -> dict[str, str]:
    """Return what is mounted where, drawn at the instance's first start and kept from then on."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    files = {}
    for path in _MACHINE_IDS:
        if _entry(store, tree, path) is not None:
            files[path] = _once(f"{folder}/machine-id", lambda: f"{uuid4().hex}\n".encode(), 0o444)
    if _entry(store, tree, _HOST_NAME) is not None:
        files[_HOST_NAME] = _write(f"{folder}/hostname", f"{name}\n".encode(), 0o644)
    for kind, draw in _KEYS.items():
        private, public = _PRIVATE.format(kind), _PUBLIC.format(kind)
        if _entry(store, tree, f"{_SSH}/{private}") is None:
            continue
        if not os.path.exists(f"{folder}/{public}"):
            key = draw()
            _write(
                f"{folder}/{private}",
                key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
                0o600,
            )
            _write(
                f"{folder}/{public}",
                key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + f" root@{name}\n".encode(),
                0o644,
            )
        files[f"{_SSH}/{private}"] = f"{folder}/{private}"
        if _entry(store, tree, f"{_SSH}/{public}") is not None:
            files[f"{_SSH}/{public}"] = f"{folder}/{public}"
    return files


def _entry(store: Store, tree: Digest, path: str) -> Entry | None:
    """Return the plain file at a path without links on its way: whatever else the tree has there is left alone."""
    entry = entry_at(store.trees, tree, path.encode())
    return entry if entry is not None and entry.kind == FILE else None


def _once(path: str, content: Callable[[], bytes], mode: int) -> str:
    return path if os.path.exists(path) else _write(path, content(), mode)


def _write(path: str, content: bytes, mode: int) -> str:
    """Write a file whole or not at all, and return its path."""
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(descriptor, mode)
    os.replace(temporary, path)
    return path
