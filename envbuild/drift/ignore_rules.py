"""The files that running leaves behind and that are not changes of an environment: named rules, each with its
reason."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.debian.left_behind import CACHES, IDENTITY, LEFTOVERS, LINKER, LISTS, LOGS, noise_patterns
from envbuild.record import Record
from envbuild.tree.diff import Change
from envbuild.tree.entry import DIRECTORY
from envbuild.tree.patterns import Matcher, compile_patterns


class Rule(Record):
    """Paths that are noise, as patterns of `discard` that begin at the root, and the reason. Everything in a matching
    directory matches too. With `derived`, programs read the files but other files determine them: they are not shown,
    but a commit keeps them."""

    name: str
    reason: str
    patterns: tuple[str, ...]
    derived: bool = False


RULES = (
    Rule("temporary", "files of processes that run", ("/tmp/*", "/var/tmp/*", "/run/*", "/var/run/*", "/dev/*")),
    Rule(LOGS, "what programs write down while they run", (*noise_patterns(LOGS), "**/nohup.out")),
    Rule(
        CACHES, "copies of what can be had again", (*noise_patterns(CACHES), "**/.cache", "/root/.npm", "/home/*/.npm")
    ),
    Rule(LISTS, "apt's copies of the indexes of its sources", noise_patterns(LISTS)),
    Rule(
        LEFTOVERS,
        "locks and earlier versions that dpkg, apt and the tools for accounts keep",
        noise_patterns(LEFTOVERS),
    ),
    Rule("compiled Python", "made of the sources beside it when they are imported", ("**/__pycache__", "**/*.pyc")),
    Rule(LINKER, "made by ldconfig of the libraries that are there", noise_patterns(LINKER), derived=True),
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
    Rule(IDENTITY, "drawn anew on each machine", noise_patterns(IDENTITY)),
)


class IgnoreRules:
    """The rules for one image: those above, and the directories that it declares as volumes."""

    def __init__(self, volumes: Iterable[str] = ()) -> None:
        data = tuple(f"/{_escaped(path.strip('/'))}/*" for path in volumes)
        self.rules = (*RULES, Rule("data", "in a volume that the image declares", data))
        self._matchers = [(rule, _compiled(rule.patterns)) for rule in self.rules if rule.patterns]

    def rule(self, path: bytes, is_directory: bool) -> Rule | None:
        """Return the rule that makes a path noise, None if there is none."""
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
