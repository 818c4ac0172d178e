"""The text of `envbuild --help`: the commands in groups, the everyday ones first."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

GROUPS = {
    "build": "build update status explain output verify",
    "run": "run shell exec ps logs stop start restart attach rm up down cp stats kill wait clone",
    "history": "images show log diff bisect merge rebase why rollback tag untag git ls cat drift commit",
    "captures": "capture restore recipe",
    "packages": "packages sbom vendor",
    "sharing": "push pull promote key login logout remote export import",
    "store": "gc du fsck volume",
    "machine": "doctor completion man",
}

EXIT_CODES = """\
exit codes:
  0    done
  1    a step, a test or a check failed
  2    the command line or the recipe is wrong
  3    the machine lacks something that is needed (see: envbuild doctor)
  130  interrupted
  `run`, `exec` and `shell` end with the exit code of the command that they ran; 126 if it can't be
  executed, 127 if there is none of that name
"""

EXAMPLES = """\
examples:
  envbuild build web.env
  envbuild run web -- python3 --version
"""


def overview(commands: Mapping[str, tuple[str, str]]) -> str:
    """Return the text, with the summary of each command."""
    width = max(map(len, commands))
    lines = ["usage: envbuild COMMAND [OPTION ...]", "", "Execution environments under version control."]
    for title, names in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:<{width}}  {commands[name][1]}" for name in names.split())]
    return "\n".join([*lines, "", EXAMPLES, "`envbuild COMMAND --help` tells more of each.", "", EXIT_CODES])
