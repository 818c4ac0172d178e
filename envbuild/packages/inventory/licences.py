"""The names of licences: from what packages say of themselves to SPDX identifiers, where there is one."""

from __future__ import annotations

import re

from envbuild.debian.deb822 import stanzas

_DEBIAN = {
    "expat": "MIT",
    "mit": "MIT",
    "x11": "X11",
    "isc": "ISC",
    "zlib": "Zlib",
    "psf-2": "PSF-2.0",
    "python": "PSF-2.0",
    "openssl": "OpenSSL",
    "artistic": "Artistic-1.0-Perl",
    "artistic-2.0": "Artistic-2.0",
    "apache-2": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "cc0-1.0": "CC0-1.0",
    "mpl-1.1": "MPL-1.1",
    "mpl-2.0": "MPL-2.0",
    "unlicense": "Unlicense",
    "curl": "curl",
    "ofl-1.1": "OFL-1.1",
    "bsl-1.0": "BSL-1.0",
}
"""Short names of Debian's copyright format 1.0 that are written differently, or not at all, in SPDX's list."""
_GNU = re.compile(r"(a?gpl|lgpl|gfdl)-?v?(\d)(?:\.(\d))?(\+)?", re.IGNORECASE)
_CLASSIFIERS = {
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "The Unlicense (Unlicense)": "Unlicense",
}
_MAX_LINE = 64
MAX_LICENCE = 500
"""Characters of what names a licence, or a few: what is longer is its text, or meant to keep a parser busy."""
MAX_LICENCES = 100
"""Licences of one package."""


def of_copyright(text: str) -> tuple[str, ...]:
    """Return the licences that a Debian copyright file names, if it has the machine-readable form; sorted."""
    if "copyright-format" not in text[:400] and "dep5" not in text[:400].lower():
        return ()
    names = set()
    for fields in stanzas(text):
        if "files" in fields and fields.get("license"):
            short = fields["license"].splitlines()[0][:MAX_LICENCE]
            names |= {spdx(part) for part in re.split(r"\s+(?:and|or)\s+|,|\s*\|\s*", short) if part.strip()}
    return tuple(sorted(names - {""})[:MAX_LICENCES])


def of_python(expression: str | None, classifiers: list[str], text: str | None) -> tuple[str, ...]:
    """Return the licences that a distribution's metadata name: an expression, else classifiers, else a short text."""
    if expression:
        return (expression[:MAX_LICENCE],)
    names = [
        classifier[:MAX_LICENCE].rpartition(" :: ")[2]
        for classifier in classifiers
        if classifier.startswith("License ::")
    ]
    known = sorted({_CLASSIFIERS.get(name, name) for name in names} - {"OSI Approved"})
    if known:
        return tuple(known[:MAX_LICENCES])
    line = (text or "").strip()
    return (spdx(line),) if line and "\n" not in line and len(line) <= _MAX_LINE and line != "UNKNOWN" else ()


def spdx(name: str) -> str:
    """Return the SPDX identifier of a licence by the name that Debian or a project gives it, or that name."""
    name = name.strip()
    known = _DEBIAN.get(name.lower())
    if known:
        return known
    match = _GNU.fullmatch(name)
    if match is None:
        return name
    family, major, minor, later = match.groups()
    return f"{family.upper()}-{major}.{minor or 0}-{'or-later' if later else 'only'}"
