"""The contents of files that a light capture left in Debian's packages: from apt's own cache of archives, else by
`apt-get download`.

A promise names a package and its version; whether what comes is the file, its digest decides. So a hostile archive can
give nothing but an error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from envbuild.archive.limits import ArchiveError
from envbuild.debian.deb import BadArchive, files_of
from envbuild.debian.names import DebianName, DebianVersion
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.store.objects import Objects
from envbuild.store.promised import ContentPromised, Promise, not_to_be_had
from envbuild.store.step_cache import ContentChanged
from envbuild.tree.entry import FILE

ARCHIVES = "/var/cache/apt/archives"
SECONDS = 1800.0
"""The time that apt has for a download of all packages that are wanted at once."""
_CHUNK = 1 << 20
_MAX_HELD = 16 << 20
"""Bytes of a file that are held in memory."""
_PROGRAM = "apt-get"
_OPTIONS = (
    # Of a user who has one id, or of root in a namespace, `_apt` is nobody.
    *("-o", "APT::Sandbox::User=root"),
    *("-o", "Acquire::Retries=2"),
    "-q",
)
_MAX_WORDS = 500
"""Packages that one command line names."""

Report = Callable[[str, int, int], None]


def bring(promises: Sequence[Promise], objects: Objects, folder: str, report: Report) -> None:
    """Put the contents of all `promises` into the pool; `folder` is an empty directory for downloads, that the caller
    removes. Raises ContentPromised for the first package that can't be had, when all others are brought."""
    packages: dict[tuple[str, str, str], list[Promise]] = {}
    for promise in promises:
        packages.setdefault((promise.package, promise.version, promise.architecture), []).append(promise)
    archives = {key: path for key in packages if (path := _cached(key))}
    reasons: Mapping[tuple[str, str, str], str] = {}
    wanted = [key for key in packages if key not in archives]
    if wanted:
        report("packages", 0, len(wanted))
        reasons = _download(wanted, folder)
        archives |= {key: path for key in wanted if (path := _at(folder, key))}
    failure: ContentPromised | None = None
    for number, (key, wants) in enumerate(packages.items()):
        report("packages", number, len(packages))
        missing = _take(archives[key], wants, objects, folder) if key in archives else wants
        if missing and failure is None:
            reason = "its archive has another content" if key in archives else reasons.get(key, "apt did not get it")
            failure = not_to_be_had(missing[0], reason)
    if failure is not None:
        raise failure


def _take(archive: str, promises: Iterable[Promise], objects: Objects, folder: str) -> list[Promise]:
    """Bring what an archive has of `promises`; return what it has not."""
    wanted: dict[str, list[Promise]] = {}
    for promise in promises:
        wanted.setdefault(promise.path, []).append(promise)
    links = _take_files(archive, wanted, objects, folder)
    for path, target in links.items():
        if path in wanted:
            wanted.setdefault(target, []).extend(wanted.pop(path))
    if links:
        _take_files(archive, wanted, objects, folder)  # now by the names that have the content
    return [promise for left in wanted.values() for promise in left]


def _take_files(archive: str, wanted: dict[str, list[Promise]], objects: Objects, folder: str) -> dict[str, str]:
    """Bring what an archive has of what is `wanted`, by its paths in it, and take it from there. Return where those of
    these paths lead that are hard links."""
    links = {}
    try:
        for member, read in files_of(archive):
            path = _plain(member.path)
            if path not in wanted:
                continue
            if member.kind != FILE:
                links[path] = _plain(member.target)
                continue
            with _held(read, member.size, folder) as content:
                try:
                    for promise in wanted[path]:
                        if isinstance(content, int):
                            os.lseek(content, 0, os.SEEK_SET)
                        objects.add(promise.entry, content)
                except ContentChanged:
                    continue
            del wanted[path]
    except (ArchiveError, BadArchive):
        pass  # what it did not give is missing
    return links


def _plain(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape").removeprefix("./").lstrip("/")


@contextmanager
def _held(read: Callable[[int], bytes], size: int, folder: str) -> Iterator[bytes | int]:
    """Yield a content: its bytes, or a descriptor of a file without a name where these are many."""
    if size <= _MAX_HELD:
        yield b"".join(iter(lambda: read(_CHUNK), b""))
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        while chunk := read(_CHUNK):
            file.write(chunk)
        file.flush()
        yield file.fileno()


def _download(packages: Sequence[tuple[str, str, str]], folder: str) -> Mapping[tuple[str, str, str], str]:
    """Have apt download packages into a directory; return for each why it is not there, if one is not."""
    program = shutil.which(_PROGRAM, path=os.defpath)
    if program is None:
        return dict.fromkeys(packages, f"this machine has no {_PROGRAM}")
    reasons = {}
    words = {}
    for key in packages:
        name, version, architecture = key
        try:
            of = f":{architecture}" if architecture != "all" else ""
            words[key] = f"{DebianName(name.partition(':')[0] + of)}={DebianVersion(version)}"
        except UnsafeName:
            reasons[key] = "its name or version is none that Debian has"
    keys = list(words)
    for start in range(0, len(keys), _MAX_WORDS):
        group = keys[start : start + _MAX_WORDS]
        said = _run((program, *_OPTIONS, "download", *(words[key] for key in group)), folder)
        left = [key for key in group if not _at(folder, key)]
        if said and len(left) > 1:
            # apt gets none of them if it does not know one.
            for key in left:
                reasons[key] = _run((program, *_OPTIONS, "download", words[key]), folder)
        elif said:
            reasons |= dict.fromkeys(left, said)
    return reasons


def _run(words: Sequence[str], folder: str) -> str:
    """Run apt in a directory; return its last words if it failed, "" if not."""
    environment = {**os.environb, b"LC_ALL": b"C", b"DEBIAN_FRONTEND": b"noninteractive"}
    try:
        ended = subprocess.run(
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"apt-get took more than {SECONDS:.0f} seconds"
    if ended.returncode == 0:
        return ""
    lines = ended.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].removeprefix("E: ") if lines else f"apt-get ended with {ended.returncode}"


def _cached(key: tuple[str, str, str]) -> str:
    return _at(ARCHIVES, key)


def _at(folder: str, key: tuple[str, str, str]) -> str:
    """Return the path of a package's archive in a directory, "" where it is not there.

    A version's colon is `%3a` in the name, as apt writes it.
    """
    name, version, architecture = key
    try:
        plain, checked = DebianName(name).without_architecture, DebianVersion(version)
        DebianName(f"any:{architecture}")
    except UnsafeName:
        return ""
    path = f"{folder}/{plain}_{checked.replace(':', '%3a')}_{architecture}.deb"
    return path if os.path.isfile(path) and os.access(path, os.R_OK) else ""
