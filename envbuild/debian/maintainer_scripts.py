"""What packages' scripts make when they are installed, made for a cut of packages: accounts, alternatives, dpkg's
own database, the loader's cache, directories and links. The same packages give the same bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from envbuild.debian.deb822 import field_texts
from envbuild.debian.elf import read_elf
from envbuild.debian.file_plan import BaseFiles
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


def generate(database: DpkgDatabase, packages: list[InstalledPackage], plan: BaseFiles, true_path: TruePath) -> None:
    """Add to `plan` all that the packages' scripts would have made."""
    names = {package.name for package in packages}
    for path, mode, gid in DIRECTORIES:
        plan.directory(path, mode, gid)
    for path, target in LINKS:
        if not plan.has(path):
            plan.link(path, target)
    for path, source in DEFAULTS:
        if plan.has(source):
            plan.take(path, source)
    plan.write("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
    plan.write("/etc/machine-id", "", 0o444)
    plan.write(
        "/etc/shells",
        "".join(f"{s}\n" for s in ("# login shells", *SHELLS) if s[0] == "#" or _there(plan, true_path, s)),
    )
    if "base-files" in names:
        plan.link("/etc/dpkg/origins/default", "debian")
    if "tzdata" in names:
        plan.link("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
        plan.write("/etc/timezone", "Etc/UTC\n")
    if "apt" in names:
        for path in APT_DIRECTORIES:
            plan.directory(path)
    if "libpam-runtime" in names:
        _pam(plan)
    if "ca-certificates" in names:
        _certificates(plan)
    _accounts(database, packages, plan)
    alternatives = _alternatives(database, plan, true_path)
    _dpkg_database(database, packages, names, plan, alternatives)
    _linker_cache(plan)


def _there(plan: BaseFiles, true_path: TruePath, path: str) -> bool:
    return plan.has(true_path(path))


def _accounts(database: DpkgDatabase, packages: list[InstalledPackage], plan: BaseFiles) -> None:
    scripts = [
        _read(f"{database.admin}/info/{name}")
        for package in packages
        for name in database.info_files(package)
        if name.endswith((".postinst", ".preinst"))
    ]
    made = accounts(
        (_master(database, "passwd"), _master(database, "group")),
        (_read(f"{database.root}/etc/passwd"), _read(f"{database.root}/etc/group")),
        asked_for(scripts, [_read(source) for _, source in plan.files_in("/usr/lib/sysusers.d")]),
    )
    plan.write("/etc/passwd", made.passwd)
    plan.write("/etc/group", made.group)
    plan.write("/etc/shadow", made.shadow, 0o640, SHADOW)
    plan.write("/etc/gshadow", made.gshadow, 0o640, SHADOW)


def _master(database: DpkgDatabase, name: str) -> str:
    return _read(f"{database.root}/usr/share/base-passwd/{name}.master")


def _pam(plan: BaseFiles) -> None:
    profiles = [
        parse_profile(os.path.basename(path), _read(source)) for path, source in plan.files_in("/usr/share/pam-configs")
    ]
    for name in FILES:
        if plan.has(f"/usr/share/pam/{name}"):
            template = _read(f"{plan.root}/usr/share/pam/{name}")
            plan.write(f"/etc/pam.d/{name}", pam_file(name, template, profiles))


def _alternatives(database: DpkgDatabase, plan: BaseFiles, true_path: TruePath) -> list[tuple[Alternative, list[int]]]:
    """Link the alternatives of which a choice was taken; return what dpkg should know of them."""
    kept = []
    for alternative in database.alternatives():
        choices = [choice for choice in alternative.choices if _there(plan, true_path, choice[0])]
        if not choices:
            continue
        slaves = [
            number
            for number in range(len(alternative.slaves))
            if any(choice[2][number] and _there(plan, true_path, choice[2][number]) for choice in choices)
        ]
        best = max(choices, key=lambda choice: choice[1])
        plan.link(true_path(alternative.link), f"/etc/alternatives/{alternative.name}")
        plan.link(f"/etc/alternatives/{alternative.name}", best[0])
        for number in slaves:
            name, link = alternative.slaves[number]
            if best[2][number]:
                plan.link(true_path(link), f"/etc/alternatives/{name}")
                plan.link(f"/etc/alternatives/{name}", best[2][number])
        kept.append((Alternative(alternative.name, alternative.link, alternative.slaves, tuple(choices)), slaves))
    plan.directory("/etc/alternatives")
    return kept


def _dpkg_database(
    database: DpkgDatabase,
    packages: list[InstalledPackage],
    names: set[str],
    plan: BaseFiles,
    alternatives: list[tuple[Alternative, list[int]]],
) -> None:
    for folder in ("", "/info", "/alternatives", "/parts", "/triggers", "/updates"):
        plan.directory(f"{ADMIN}{folder}")
    plan.write(f"{ADMIN}/status", "".join(f"{_settled(package.stanza)}\n\n" for package in packages))
    plan.write(f"{ADMIN}/available", "")
    plan.write(f"{ADMIN}/statoverride", "")
    # Without their times, which tell when a package was installed here.
    plan.take(f"{ADMIN}/info/format", timeless=True)
    for package in packages:
        for name in database.info_files(package):
            plan.take(f"{ADMIN}/info/{name}", timeless=True)
    diversions = [diversion for diversion in database.diversions() if diversion.owner in names]
    plan.write(f"{ADMIN}/diversions", "".join(f"{d.path}\n{d.moved}\n{d.owner}\n" for d in diversions))
    for alternative, slaves in alternatives:
        plan.write(f"{ADMIN}/alternatives/{alternative.name}", _alternative_text(alternative, slaves))
    for name, lines in database.triggers().items():
        of_taken = [
            line for line in lines if line.split()[-1:] and line.split()[-1].split("/")[0].split(":")[0] in names
        ]
        if name != "Unincorp" and of_taken:
            plan.write(f"{ADMIN}/triggers/{name}", "".join(f"{line}\n" for line in of_taken))
    plan.write(f"{ADMIN}/triggers/Unincorp", "")


def _settled(stanza: str) -> str:
    """Return a package's status without what is wished for or pending on this machine."""
    texts = []
    for name, text in field_texts(stanza):
        if name == "status":
            text = "Status: install ok installed"
        if name not in PENDING_FIELDS:
            texts.append(text)
    return "\n".join(texts)


def _alternative_text(alternative: Alternative, slaves: list[int]) -> str:
    lines = ["auto", alternative.link]
    for number in slaves:
        lines += alternative.slaves[number]
    lines.append("")
    for path, priority, own in alternative.choices:
        lines += [path, str(priority), *(own[number] for number in slaves)]
    return "\n".join([*lines, "", ""])


def _certificates(plan: BaseFiles) -> None:
    """Write the bundle of ca-certificates' own authorities, without this machine's own additions."""
    folder = f"{plan.root}/usr/share/ca-certificates"
    paths = sorted(
        os.path.relpath(os.path.join(where, name), folder)
        for where, _, files in os.walk(folder)
        for name in files
        if name.endswith(".crt")
    )
    paths = [path for path in paths if plan.has(f"/usr/share/ca-certificates/{path}")]
    texts = []
    names = set()
    for path in paths:
        text = _read(f"{folder}/{path}")
        texts.append(text if text.endswith("\n") else text + "\n")
        name = os.path.basename(path)[: -len(".crt")].replace(" ", "_")
        plan.link(f"/etc/ssl/certs/{name}.pem", f"/usr/share/ca-certificates/{path}")
        names.add(f"{name}.pem")
    # OpenSSL looks authorities up by a hash of their names; this machine's links have it.
    for name in _folder(f"{plan.root}/etc/ssl/certs"):
        link = f"{plan.root}/etc/ssl/certs/{name}"
        if HASH_LINK.fullmatch(name) and os.path.islink(link) and os.readlink(link) in names:
            plan.link(f"/etc/ssl/certs/{name}", os.readlink(link))
    plan.directory("/etc/ssl/certs")
    plan.write("/etc/ssl/certs/ca-certificates.crt", "".join(texts))
    plan.write("/etc/ca-certificates.conf", "".join(f"{path}\n" for path in paths))


def _linker_cache(plan: BaseFiles) -> None:
    folders = _library_folders(plan)
    libraries = []
    for path, (entry, source) in sorted(plan.entries.items()):
        folder, _, name = os.fsdecode(path).rpartition("/")
        if f"/{folder}" not in folders or ".so" not in name or entry.kind != FILE or not isinstance(source, str):
            continue
        elf = read_elf(source)
        if elf is None or elf.bits != 64:
            continue
        own = elf.name or name
        library = f"/{folder}/{own}"
        if plan.has(library):
            libraries.append((own, _unmerged(library, plan), elf.machine))
    plan.write("/etc/ld.so.cache", linker_cache(libraries))


def _unmerged(path: str, plan: BaseFiles) -> str:
    """Return a path as ldconfig writes it: through /lib where that is a link."""
    return path.removeprefix("/usr") if path.startswith("/usr/lib/") and plan.has("/lib") else path


def _library_folders(plan: BaseFiles) -> set[str]:
    folders = {"/usr/lib", "/lib", "/usr/lib64", "/lib64"}
    for _, source in plan.files_in("/etc/ld.so.conf.d"):
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
