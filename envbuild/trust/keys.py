"""Keys that sign and keys that are trusted, as PEM files.

Private keys are ed25519 in PKCS #8 (RFC 5958, RFC 8410), with a password or without; public ones are
SubjectPublicKeyInfo (RFC 5280). Signatures by cosign's default keys, ECDSA on P-256, can be checked, too.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Callable
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from envbuild.errors import UsageError, fields
from envbuild.record import Record

MAX_KEY = 64 << 10
"""Bytes of a file with a key."""
PRIVATE_SUFFIX, PUBLIC_SUFFIX = ".key", ".pub"


@fields
class BadKey(UsageError):
    """A file that has no key that can be used."""

    path: str
    reason: str
    mend: str

    def text(self) -> tuple[str, str]:
        return f"{self.path}: {self.reason}", self.mend


@fields
class KeyExists(UsageError):
    """A key that would be written over."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} is there already", "choose another name, or move it away: what it signed needs it"


class PublicKey(Record):
    """A public key, as the bytes of its SubjectPublicKeyInfo. `where` is the file that it was read from."""

    der: bytes
    where: str

    @property
    def identity(self) -> str:
        """What tells it from others: the sha256 of its bytes in base64, which is also sigstore's hint for a key."""
        return base64.b64encode(sha256(self.der).digest()).decode()

    @property
    def pem(self) -> bytes:
        """Return it as a file has it."""
        text = base64.b64encode(self.der).decode()
        lines = [text[at : at + 64] for at in range(0, len(text), 64)]
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode()

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Return whether a signature is this key's, of this message."""
        try:
            key = load_pem_public_key(self.pem)
            if isinstance(key, Ed25519PublicKey):
                key.verify(signature, message)
            elif isinstance(key, EllipticCurvePublicKey):
                key.verify(signature, message, ECDSA(hashes.SHA256()))
            else:
                return False
        except InvalidSignature:
            return False
        return True


class PrivateKey:
    """A key that signs."""

    def __init__(self, key: Ed25519PrivateKey, where: str) -> None:
        self._key = key
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public = PublicKey(der, where)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""
        return self._key.sign(message)


def generate(path: str, password: bytes) -> PublicKey:
    """Write a new key to `path`.key, for its owner alone and behind a password where one is given, and the public one
    to `path`.pub. Raises KeyExists and OSError."""
    key = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    public = PrivateKey(key, f"{path}{PUBLIC_SUFFIX}").public
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    if os.path.lexists(public.where):
        raise KeyExists(public.where)
    _write(f"{path}{PRIVATE_SUFFIX}", private, 0o600)
    _write(public.where, public.pem, 0o644)
    return public


def read_public(path: str) -> PublicKey:
    """Return the public key in a file. Raises BadKey."""
    return parse_public(_content(path)[0], path)


def parse_public(content: bytes, path: str) -> PublicKey:
    """Return a public key from its PEM form. Raises BadKey."""
    mend = f"name a public key in PEM form, such as NAME{PUBLIC_SUFFIX} of `envbuild key generate NAME`"
    if b"PRIVATE KEY" in content:
        raise BadKey(path, "it is a private key", f"name the public one: {path.removesuffix(PRIVATE_SUFFIX)}.pub")
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(path, "it has no public key in PEM form", mend) from error
    p256 = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    if not isinstance(key, Ed25519PublicKey) and not p256:
        raise BadKey(path, "its key is neither ed25519 nor ECDSA on P-256", mend)
    return PublicKey(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), path)


def read_private(path: str, password: Callable[[], bytes]) -> tuple[PrivateKey, bool]:
    """Return the private key in a file, and whether others than its owner can read it. `password` is asked where the
    key has one. Raises BadKey."""
    content, mode = _content(path)
    mend = "name a private key of `envbuild key generate NAME`"
    if b"ENCRYPTED SIGSTORE" in content or b"ENCRYPTED COSIGN" in content or b"OPENSSH PRIVATE" in content:
        raise BadKey(path, "it is a key of another program's form", mend)
    secret = password() if b"BEGIN ENCRYPTED PRIVATE KEY" in content else None
    try:
        key = load_pem_private_key(content, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if secret is not None:
            raise BadKey(path, "that is not its password, or it is damaged", "try again") from error
        raise BadKey(path, "it has no private key in PEM form", mend) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(path, "its key is not an ed25519 key", mend)
    return PrivateKey(key, path), bool(mode & 0o077)


def _content(path: str) -> tuple[bytes, int]:
    """Return a file's content and its mode. It is looked at after it was opened, so that nobody can exchange it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadKey(path, str(reason), "name a key that is there: `envbuild key ls` lists yours") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_KEY:
            raise BadKey(path, "it is not a file with a key", "name a key: `envbuild key ls` lists yours")
        return os.read(descriptor, MAX_KEY), status.st_mode
    finally:
        os.close(descriptor)


def _write(path: str, content: bytes, mode: int) -> None:
    """Write a new file, which is never one that a link leads to."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except FileExistsError as error:
        raise KeyExists(path) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
