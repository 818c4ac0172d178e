"""The questions before a recipe that is being written fetches packages, or lays much beside itself."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.drift.copied_files import CopiedFiles
from envbuild.errors import UsageError
from envbuild.record import Record
from envbuild.text.sizes import format_size
from envbuild.ui.humanize import count
from envbuild.ui.sanitize import visible


class FetchQuestion(Record):
    """A question of the command `command` about the packages that `name` says it has and `base` lacks; `ways_out` are
    the options by which it needs no answer."""

    command: str
    name: str
    base: str
    ways_out: str

    def ask(self, environment: Environment, lines: list[str]) -> bool:
        """Tell whether the user has packages fetched for these lines. Raises UsageError where nobody can be asked."""
        if not environment.stdin.isatty() or not environment.stderr.isatty():
            shown = "\n".join(f"  {' '.join(visible(line).split())}" for line in lines)
            raise UsageError(
                f"to see whether its lines hold, {self.command} would fetch packages that {self.name} says it has:\n"
                f"{shown}",
                self.ways_out,
            )
        environment.stderr.write(f"{self.name} says that it has packages that {self.base} lacks:\n")
        environment.stderr.writelines(f"  {' '.join(visible(line).split())}\n" for line in lines)
        environment.stderr.write("Fetch them from this machine's own package sources, and try the lines? [y/N] ")
        environment.stderr.flush()
        return environment.stdin.readline().strip().lower() in ("y", "yes")


def may_write(environment: Environment, stem: str, files: CopiedFiles, way_out: str) -> bool:
    """Warn of much that will lie beside the recipe STEM.env, and tell whether it may: somebody at a terminal is
    asked."""
    write = environment.stderr.write
    size = format_size(files.size)
    write(f"warning: {count(files.number, 'file')} will be copied to {visible(stem)}.files, {size}\n")
    for path, length in files.largest:
        write(f"  {format_size(length):>9}  {visible(path)}\n")
    write(f"hint: {way_out}\n")
    if not environment.stdin.isatty() or not environment.stderr.isatty():
        environment.stderr.flush()
        return True
    write("Write them? [y/N] ")
    environment.stderr.flush()
    return environment.stdin.readline().strip().lower() in ("y", "yes")
