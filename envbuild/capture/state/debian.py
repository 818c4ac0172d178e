"""What dpkg and apt know: packages and who asked for them, alternatives, diversions, changed owners and modes."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.capture.machine_root import MachineRoot
from envbuild.debian.deb822 import stanzas

ADMIN = "/var/lib/dpkg"
EXTENDED_STATES = "/var/lib/apt/extended_states"
"""apt's list of what was installed for others (apt-mark(8))."""
_LINKS = "/etc/alternatives"


def packages(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield name, architecture, version, `by hand` or `pulled in`, and what dpkg means to do with it where that is not
    to keep it installed (`hold`, `deinstall config-files`) of each package, also of those of which only configuration
    is left."""
    automatic = {
        (fields.get("package", ""), fields.get("architecture", ""))
        for fields in stanzas(root.read_text(EXTENDED_STATES) or "")
        if fields.get("auto-installed") == "1"
    }
    names = {name for name, _ in automatic}
    for fields in _status(root):
        words = fields.get("status", "").split()
        if len(words) != 3 or words[2] == "not-installed":
            continue
        name, architecture = fields.get("package", ""), fields.get("architecture", "")
        # Packages of all architectures are listed under the machine's own.
        marked = (name, architecture) in automatic or (architecture == "all" and name in names)
        odd = " ".join(word for word, usual in zip(words, ("install", "ok", "installed"), strict=True) if word != usual)
        row = (name, architecture, fields.get("version", ""), "pulled in" if marked else "by hand")
        yield (*row, odd) if odd else row


def alternatives(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield name, target, and `auto` or `manual` of each link that update-alternatives(1) keeps; of links that stand
    for none of its names only the target."""
    kept = set(root.names(f"{ADMIN}/alternatives"))
    for name in root.names(_LINKS):
        target = root.link(f"{_LINKS}/{name}")
        if target is None:
            continue
        mode = ""
        if name in kept:
            mode = (root.read_text(f"{ADMIN}/alternatives/{name}", 1 << 20) or "").partition("\n")[0]
        yield (name, target, mode) if mode in ("auto", "manual") else (name, target)


def diversions(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield path, where it was moved, and the package that wanted it or `by hand`, of each diversion
    (dpkg-divert(1))."""
    lines = (root.read_text(f"{ADMIN}/diversions") or "").split("\n")
    for path, moved, owner in zip(lines[::3], lines[1::3], lines[2::3], strict=False):
        yield path, moved, "by hand" if owner == ":" else owner


def owner_overrides(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield path, user, group and mode of each line of dpkg-statoverride(1)."""
    for line in (root.read_text(f"{ADMIN}/statoverride") or "").split("\n"):
        words = line.split(" ", 3)
        if len(words) == 4:
            user, group, mode, path = words
            yield path, user, group, mode


def _status(root: MachineRoot) -> Iterator[dict[str, str]]:
    yield from stanzas(root.read_text(f"{ADMIN}/status") or "")
    # Images without dpkg have a file for each package.
    for name in root.names(f"{ADMIN}/status.d"):
        if not name.endswith(".md5sums"):
            for fields in stanzas(root.read_text(f"{ADMIN}/status.d/{name}", 1 << 20) or ""):
                yield {"status": "install ok installed", **fields}
