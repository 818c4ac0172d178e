"""`envbuild restore --packages`: the package managers' commands that bring versions back, and apt's run of them."""

from __future__ import annotations

import os
import shlex

from envbuild.capture.machine_root import MachineRoot
from envbuild.cli.environment import Environment
from envbuild.errors import UsageError, fields
from envbuild.images.capture_record import STATE, read_state, rows_of
from envbuild.ui.humanize import count
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envbuild.capture.package_moves import DebianMove, OtherMove
    from envbuild.store.store import Store
    from envbuild.tree.entry import Digest


@fields
class NotRoot(UsageError):
    """Packages can be moved by root alone."""

    command: str

    def text(self) -> tuple[str, str]:
        return "only root can have packages moved", f"run it yourself: sudo {self.command}"


class PackagesBack:
    """What brings the packages of this machine back to those of a capture; of `only`, if that names any. Raises
    NoSuchPackage, NoApt and BadCaptureRecord."""

    def __init__(self, store: Store, tree: Digest, root: MachineRoot, only: Sequence[str], image: str) -> None:
        from envbuild.capture.apt_versions import obtainable
        from envbuild.capture.package_moves import debian_moves, debian_packages, node_moves, python_moves
        from envbuild.capture.state import debian, node, python

        state = read_state(store, tree, STATE)
        then = debian_packages(rows_of(state.get("packages", "")))
        self.moves = debian_moves(then, debian_packages(debian.packages(root)), only, image)
        self.archives: dict[str, str] = {}
        self.missing: tuple[DebianMove, ...] = ()
        if root.is_this_machine and any(move.before != move.after for move in self.moves):
            self.moves, self.archives, self.missing = obtainable(self.moves)
        self.others: tuple[OtherMove, ...] = ()
        if not only:
            rows = {name: rows_of(state.get(name, "")) for name in ("python", "node")}
            folders = {name: {os.fsencode(row[0]) for row in rows[name] if row} for name in rows}
            self.others = (
                *python_moves(rows["python"], python.distributions(root, folders["python"])),
                *node_moves(rows["node"], node.packages(root, folders["node"])),
            )

    @property
    def commands(self) -> list[tuple[str, ...]]:
        """apt's commands, in their order."""
        from envbuild.capture.package_moves import apt_words, mark_words

        words = apt_words(self.moves, self.archives)
        return [*([words] if words else ()), *mark_words(self.moves)]

    def lines(self) -> list[str]:
        """Return what is to be done, for a terminal."""
        lines = []
        for move in self.moves:
            if move.before != move.after:
                lines.append(f"{visible(move.key)}  {move.before or '(none)'} -> {move.after or '(none)'}")
        for move in self.missing:
            lines.append(f"! {visible(move.key)}: stays {move.before or 'away'}: apt has no {move.after} of it")
        if self.missing:
            lines.append("  put their archives into /var/cache/apt/archives, or add a source that has them")
        commands = self.commands
        if commands:
            lines += [f"$ {visible(shlex.join(words))}" for words in commands]
        for other in self.others:
            lines += [f"{visible(name)}  {a or '(none)'} -> {b or '(none)'}" for name, a, b in other.moves]
            lines.append(f"not run by envbuild: {visible(other.command)}")
        return lines or ["all packages are as they were"]

    def plain(self) -> dict[str, object]:
        """Return it as JSON types."""
        return {
            "moves": [{"name": move.key, "before": move.before, "after": move.after} for move in self.moves],
            "missing": [{"name": move.key, "version": move.after} for move in self.missing],
            "commands": [shlex.join(words) for words in self.commands],
            "others": [other.command for other in self.others],
        }

    def run(self, save: Callable[[], None], environment: Environment, *, yes: bool) -> int:
        """Have apt do it, after `save`; return its exit code. Raises NotRoot."""
        from envbuild.capture.apt_versions import run_apt

        commands = self.commands
        if os.geteuid() != 0:
            raise NotRoot(shlex.join(commands[0]))
        save()
        environment.stdout.flush()
        for words in commands:
            code = run_apt(words, yes=yes)
            if code:
                environment.warn([f"{words[0]} ended with exit code {code}; what it had not done is as it was"])
                return 1
        return 0

    def question(self) -> str:
        """Return what is asked before it is run."""
        moved = sum(move.before != move.after for move in self.moves)
        return f"Capture the machine as it is now, and have apt move {count(moved, 'package')}?"
