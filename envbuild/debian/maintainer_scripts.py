"""What packages' scripts make when they are installed, made for a cut of packages: accounts, alternatives, dpkg's
own database, the loader's cache, directories and links. The same packages give the same bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from envbuild.debian.deb822 import field_texts
from envbuild.debian.elf import read_elf
from envbuild.debian.file_plan import Collected
from envbuild.debian.host_dpkg import ADMIN, Alternative, DpkgDatabase, InstalledPackage
from envbuild.debian.linker_cache import linker_cache
from envbuild.debian.pam import FILES, pam_file, parse_profile
from envbuild.debian.system_accounts import SHADOW, accounts, asked_for
from envbuild.tree.entry import FILE

MAIL = 8
"""The number of the group mail (base-passwd)."""
DIRECTORIES = (
    ("/home", 0o755, 0),
    ("/root", 0o700, 0),
    ("/tmp", 0o1777, 0),
    ("/mnt", 0o755, 0),
    ("/srv", 0o755, 0),
    ("/opt", 0o755, 0),
    ("/media", 0o755, 0),
    ("/proc", 0o555, 0),
    ("/sys", 0o555, 0),
    ("/dev", 0o755, 0),
    ("/run", 0o755, 0),
    ("/run/lock", 0o1777, 0),
    ("/usr/local", 0o755, 0),
    *((f"/usr/local/{name}", 0o755, 0) for name in ("bin", "etc", "games", "include", "lib", "sbin", "share", "src")),
    ("/usr/local/share/man", 0o755, 0),
    ("/var/tmp", 0o1777, 0),
    ("/var/opt", 0o755, 0),
    ("/var/spool", 0o755, 0),
    ("/var/mail", 0o2775, MAIL),
    ("/var/log", 0o755, 0),
)
LINKS = (
    ("/var/run", "/run"),
    ("/var/lock", "/run/lock"),
    ("/var/spool/mail", "../mail"),
    ("/usr/local/man", "share/man"),
    ("/etc/mtab", "../proc/self/mounts"),
)
DEFAULTS = (
    ("/etc/nsswitch.conf", "/usr/share/libc-bin/nsswitch.conf"),
    ("/etc/profile", "/usr/share/base-files/profile"),
    ("/etc/motd", "/usr/share/base-files/motd"),
    ("/root/.bashrc", "/usr/share/base-files/dot.bashrc"),
    ("/root/.profile", "/usr/share/base-files/dot.profile"),
)
"""Files that a package copies to their place when it is first installed, and where it has them."""
APT_DIRECTORIES = (
    "/etc/apt/apt.conf.d",
    "/etc/apt/auth.conf.d",
    "/etc/apt/keyrings",
    "/etc/apt/preferences.d",
    "/etc/apt/sources.list.d",
    "/etc/apt/trusted.gpg.d",
    "/var/cache/apt/archives/partial",
    "/var/lib/apt/lists/partial",
    "/var/lib/apt/mirrors/partial",
    "/var/lib/apt/periodic",
    "/var/log/apt",
)
SHELLS = ("/bin/sh", "/bin/dash", "/usr/bin/dash", "/bin/bash", "/usr/bin/bash", "/bin/rbash", "/usr/bin/rbash")

PENDING_FIELDS = ("triggers-pending", "triggers-awaited", "config-version")
"""Fields of dpkg's status that tell what a machine has still to do (dpkg-query(1))."""
HASH_LINK = re.compile(r"[0-9a-f]{8}\.[0-9]+")

TruePath = Callable[[str], str]


def generate(
    database: DpkgDatabase, packages: list[InstalledPackage], collected: Collected, true_path: TruePath
) -> None:
    """Adds to `collected` all that the packages' scripts would have made."""
    names = {package.name for package in packages}
    for path, mode, gid in DIRECTORIES:
        collected.directory(path, mode, gid)
    for path, target in LINKS:
        if not collected.has(path):
            collected.link(path, target)
    for path, source in DEFAULTS:
        if collected.has(source):
            collected.take(path, source)
    collected.write("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
    collected.write("/etc/machine-id", "", 0o444)
    collected.write(
        "/etc/shells",
        "".join(f"{s}\n" for s in ("# login shells", *SHELLS) if s[0] == "#" or _there(collected, true_path, s)),
    )
    if "base-files" in names:
        collected.link("/etc/dpkg/origins/default", "debian")
    if "tzdata" in names:
        collected.link("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
        collected.write("/etc/timezone", "Etc/UTC\n")
    if "apt" in names:
        for path in APT_DIRECTORIES:
            collected.directory(path)
    if "libpam-runtime" in names:
        _pam(collected)
    if "ca-certificates" in names:
        _certificates(collected)
    _accounts(database, packages, collected)
    alternatives = _alternatives(database, collected, true_path)
    _dpkg_database(database, packages, names, collected, alternatives)
    _linker_cache(collected)


def _there(collected: Collected, true_path: TruePath, path: str) -> bool:
    return collected.has(true_path(path))


def _accounts(database: DpkgDatabase, packages: list[InstalledPackage], collected: Collected) -> None:
    scripts = [
        _read(f"{database.admin}/info/{name}")
        for package in packages
        for name in database.info_files(package)
        if name.endswith((".postinst", ".preinst"))
    ]
    made = accounts(
        (_master(database, "passwd"), _master(database, "group")),
        (_read(f"{database.root}/etc/passwd"), _read(f"{database.root}/etc/group")),
        asked_for(scripts, [_read(source) for _, source in collected.files_in("/usr/lib/sysusers.d")]),
    )
    collected.write("/etc/passwd", made.passwd)
    collected.write("/etc/group", made.group)
    collected.write("/etc/shadow", made.shadow, 0o640, SHADOW)
    collected.write("/etc/gshadow", made.gshadow, 0o640, SHADOW)


def _master(database: DpkgDatabase, name: str) -> str:
    return _read(f"{database.root}/usr/share/base-passwd/{name}.master")


def _pam(collected: Collected) -> None:
    profiles = [
        parse_profile(os.path.basename(path), _read(source))
        for path, source in collected.files_in("/usr/share/pam-configs")
    ]
    for name in FILES:
        if collected.has(f"/usr/share/pam/{name}"):
            template = _read(f"{collected.root}/usr/share/pam/{name}")
            collected.write(f"/etc/pam.d/{name}", pam_file(name, template, profiles))


def _alternatives(
    database: DpkgDatabase, collected: Collected, true_path: TruePath
) -> list[tuple[Alternative, list[int]]]:
    """Links for the alternatives of which a choice was taken; returns what dpkg should know of them."""
    kept = []
    for one in database.alternatives():
        choices = [choice for choice in one.choices if _there(collected, true_path, choice[0])]
        if not choices:
            continue
        slaves = [
            number
            for number in range(len(one.slaves))
            if any(choice[2][number] and _there(collected, true_path, choice[2][number]) for choice in choices)
        ]
        best = max(choices, key=lambda choice: choice[1])
        collected.link(true_path(one.link), f"/etc/alternatives/{one.name}")
        collected.link(f"/etc/alternatives/{one.name}", best[0])
        for number in slaves:
            name, link = one.slaves[number]
            if best[2][number]:
                collected.link(true_path(link), f"/etc/alternatives/{name}")
                collected.link(f"/etc/alternatives/{name}", best[2][number])
        kept.append((Alternative(one.name, one.link, one.slaves, tuple(choices)), slaves))
    collected.directory("/etc/alternatives")
    return kept


def _dpkg_database(
    database: DpkgDatabase,
    packages: list[InstalledPackage],
    names: set[str],
    collected: Collected,
    alternatives: list[tuple[Alternative, list[int]]],
) -> None:
    for folder in ("", "/info", "/alternatives", "/parts", "/triggers", "/updates"):
        collected.directory(f"{ADMIN}{folder}")
    collected.write(f"{ADMIN}/status", "".join(f"{_settled(package.stanza)}\n\n" for package in packages))
    collected.write(f"{ADMIN}/available", "")
    collected.write(f"{ADMIN}/statoverride", "")
    # Without their times, which tell when a package was installed here.
    collected.take(f"{ADMIN}/info/format", timeless=True)
    for package in packages:
        for name in database.info_files(package):
            collected.take(f"{ADMIN}/info/{name}", timeless=True)
    diversions = [one for one in database.diversions() if one.owner in names]
    collected.write(f"{ADMIN}/diversions", "".join(f"{d.path}\n{d.moved}\n{d.owner}\n" for d in diversions))
    for one, slaves in alternatives:
        collected.write(f"{ADMIN}/alternatives/{one.name}", _alternative_text(one, slaves))
    for name, lines in database.triggers().items():
        of_taken = [
            line for line in lines if line.split()[-1:] and line.split()[-1].split("/")[0].split(":")[0] in names
        ]
        if name != "Unincorp" and of_taken:
            collected.write(f"{ADMIN}/triggers/{name}", "".join(f"{line}\n" for line in of_taken))
    collected.write(f"{ADMIN}/triggers/Unincorp", "")


def _settled(stanza: str) -> str:
    """Return a package's status without what is wished for or pending on this machine."""
    texts = []
    for name, text in field_texts(stanza):
        if name == "status":
            text = "Status: install ok installed"
        if name not in PENDING_FIELDS:
            texts.append(text)
    return "\n".join(texts)


def _alternative_text(one: Alternative, slaves: list[int]) -> str:
    lines = ["auto", one.link]
    for number in slaves:
        lines += one.slaves[number]
    lines.append("")
    for path, priority, own in one.choices:
        lines += [path, str(priority), *(own[number] for number in slaves)]
    return "\n".join([*lines, "", ""])


def _certificates(collected: Collected) -> None:
    """The bundle of ca-certificates' own authorities; this machine's own additions are not among them."""
    folder = f"{collected.root}/usr/share/ca-certificates"
    paths = sorted(
        os.path.relpath(os.path.join(where, name), folder)
        for where, _, files in os.walk(folder)
        for name in files
        if name.endswith(".crt")
    )
    paths = [path for path in paths if collected.has(f"/usr/share/ca-certificates/{path}")]
    texts = []
    names = set()
    for path in paths:
        text = _read(f"{folder}/{path}")
        texts.append(text if text.endswith("\n") else text + "\n")
        name = os.path.basename(path)[: -len(".crt")].replace(" ", "_")
        collected.link(f"/etc/ssl/certs/{name}.pem", f"/usr/share/ca-certificates/{path}")
        names.add(f"{name}.pem")
    # OpenSSL looks authorities up by a hash of their names; this machine's links have it.
    for name in _folder(f"{collected.root}/etc/ssl/certs"):
        link = f"{collected.root}/etc/ssl/certs/{name}"
        if HASH_LINK.fullmatch(name) and os.path.islink(link) and os.readlink(link) in names:
            collected.link(f"/etc/ssl/certs/{name}", os.readlink(link))
    collected.directory("/etc/ssl/certs")
    collected.write("/etc/ssl/certs/ca-certificates.crt", "".join(texts))
    collected.write("/etc/ca-certificates.conf", "".join(f"{path}\n" for path in paths))


def _linker_cache(collected: Collected) -> None:
    folders = _library_folders(collected)
    libraries = []
    for path, (entry, source) in sorted(collected.entries.items()):
        folder, _, name = os.fsdecode(path).rpartition("/")
        if f"/{folder}" not in folders or ".so" not in name or entry.kind != FILE or not isinstance(source, str):
            continue
        elf = read_elf(source)
        if elf is None or elf.bits != 64:
            continue
        own = elf.name or name
        found = f"/{folder}/{own}"
        if collected.has(found):
            libraries.append((own, _unmerged(found, collected), elf.machine))
    collected.write("/etc/ld.so.cache", linker_cache(libraries))


def _unmerged(path: str, collected: Collected) -> str:
    """As ldconfig writes it, by the way of /lib where that is a link."""
    return path.removeprefix("/usr") if path.startswith("/usr/lib/") and collected.has("/lib") else path


def _library_folders(collected: Collected) -> set[str]:
    folders = {"/usr/lib", "/lib", "/usr/lib64", "/lib64"}
    for _, source in collected.files_in("/etc/ld.so.conf.d"):
        folders |= {line.strip() for line in _read(source).splitlines() if line.startswith("/")}
    return folders | {f"/usr{folder}" for folder in folders if folder.startswith("/lib")}


def _folder(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
