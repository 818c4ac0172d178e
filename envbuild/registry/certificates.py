"""Whom a registry's connections trust: the authorities of this machine, and those that docker's or podman's folder for
the host adds, `certs.d/HOST[:PORT]` (containers-certs.d(5)): *.crt are authorities, *.cert with *.key what we show."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence

from envbuild.errors import FileUnusable
from envbuild.http.authorities import Authorities

_MEND = "put certificates in PEM form there, as docker wants them"


def folder_of(folders: Sequence[str], host: str) -> str:
    """Return the first folder that is for a host, "" if there is none."""
    for folder in folders:
        if os.path.isdir(f"{folder}/{host}"):
            return f"{folder}/{host}"
    return ""


def authorities_for(folder: str, *, verified: bool = True, show: bool = True) -> Authorities:
    """Return whom to trust, by a folder of certificates ("" for the machine's alone). Only with `show` are we known by
    a certificate of ours. Raises FileUnusable."""
    authorities = Authorities()
    context = authorities.context
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        names = sorted(os.listdir(folder)) if folder else []
    except OSError as error:
        raise FileUnusable(folder, str(error.strerror), _MEND) from error
    for name in names:
        path = f"{folder}/{name}"
        try:
            if name.endswith(".crt"):
                context.load_verify_locations(path)
            elif show and name.endswith(".cert"):
                context.load_cert_chain(path, path.removesuffix(".cert") + ".key", password=_no_password)
        except (OSError, ssl.SSLError) as error:
            reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
            raise FileUnusable(path, str(reason or "it can't be read"), _MEND) from error
    return authorities


def _no_password() -> str:
    """Have a key that is encrypted refused, where OpenSSL would ask on the terminal."""
    return ""
