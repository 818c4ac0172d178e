"""What running leaves behind that is no change of an environment: named rules, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.record import Record
from envbuild.tree.diff import Change
from envbuild.tree.entry import DIRECTORY
from envbuild.tree.patterns import Matcher, compile_patterns


class Rule(Record):
    """Paths that are noise, as patterns of `discard` that begin at the root, and why. What lies in a folder that
    matches belongs to it. `derived` are files that programs read and other files give: they are not shown, but a commit
    takes them along."""

    name: str
    reason: str
    patterns: tuple[str, ...]
    derived: bool = False


RULES = (
    Rule("temporary", "files of processes that run", ("/tmp/*", "/var/tmp/*", "/run/*", "/var/run/*", "/dev/*")),
    Rule("logs", "what programs write down while they run", ("/var/log/*", "**/nohup.out")),
    Rule("caches", "copies of what can be had again", ("/var/cache/*", "**/.cache", "/root/.npm", "/home/*/.npm")),
    Rule("package lists", "apt's copies of the indexes of its sources", ("/var/lib/apt/lists/*",)),
    Rule(
        "package leftovers",
        "locks and earlier versions that dpkg, apt and the tools for accounts keep",
        (
            *(f"/var/lib/dpkg/{name}" for name in ("*-old", "lock", "lock-frontend", "triggers/Lock")),
            *("/var/lib/apt/daily_lock", "/var/lib/apt/periodic", "/etc/.pwd.lock"),
            *(f"/etc/{name}-" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")),
        ),
    ),
    Rule("compiled Python", "made of the sources beside it when they are imported", ("**/__pycache__", "**/*.pyc")),
    Rule("linker cache", "made by ldconfig of the libraries that are there", ("/etc/ld.so.cache",), derived=True),
    Rule(
        "histories",
        "what somebody typed and looked at",
        tuple(
            f"**/{name}"
            for name in (
                *(".bash_history", ".ash_history", ".zsh_history", ".python_history", ".node_repl_history"),
                *(".sqlite_history", ".psql_history", ".lesshst", ".viminfo", ".wget-hsts", ".*.swp"),
            )
        ),
    ),
    Rule("process ids", "numbers of processes that run", ("**/*.pid",)),
    Rule(
        "machine identity",
        "drawn anew on each machine",
        ("/etc/machine-id", "/var/lib/dbus/machine-id", "/var/lib/systemd/random-seed"),
    ),
)


class Noise:
    """The rules for one image: those above, and the folders that it declares as volumes."""

    def __init__(self, volumes: Iterable[str] = ()) -> None:
        data = tuple(f"/{_escaped(path.strip('/'))}/*" for path in volumes)
        self.rules = (*RULES, Rule("data", "in a volume that the image declares", data))
        self._matchers = [(rule, _compiled(rule.patterns)) for rule in self.rules if rule.patterns]

    def rule(self, path: bytes, is_directory: bool) -> Rule | None:
        """The rule that makes a path noise, None if it is none."""
        for rule, matcher in self._matchers:
            if matcher.matches(path, is_directory):
                return rule
        return None


def is_directory(change: Change) -> bool:
    """Return whether the path is a directory, or was one and is gone."""
    entry = change.after or change.before
    return entry is not None and entry.kind == DIRECTORY


def _compiled(patterns: tuple[str, ...]) -> Matcher:
    return compile_patterns([line for pattern in patterns for line in (pattern, f"{pattern}/**")])


def _escaped(path: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[\\" else letter for letter in path)
