"""`envbuild rollback`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

from envbuild.cli.environment import Environment
from envbuild.cli.left_behind import tell_of_left_behind
from envbuild.cli.user_namespace import with_rights
from envbuild.history.rollback import roll_back
from envbuild.images.names import place_of
from envbuild.store.store import Store
from envbuild.text.enumeration import first_of
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from envbuild.history.restore import Restoration

_MAX_SHOWN = 8
"""Paths of each kind that are named."""

DESCRIPTION = """\
Move a tag back to its previous image; run it again to go one further back. The move is an entry in the history of
the tag, so that it can be undone, too. The recipe, its lock and the files that it takes stay as they are; the git
command that brings all of them back is printed, with what it would overwrite, and what git does not have."""

EXAMPLES = """\
examples:
  envbuild rollback web
  envbuild rollback web:prod --to v1.1       what web:v1.1 names
  envbuild rollback web --to 3               where it was three moves ago (envbuild log web)
  envbuild rollback web --to '2 days ago'
  envbuild rollback web --to 8e33e825"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME[:TAG]", help="the tag to move")
    parser.add_argument(
        "--to",
        metavar="N|TAG|DIGEST|DATE",
        help="move the tag to this entry, tag, digest or date (default: the previous image)",
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        moved = roll_back(store, arguments.name, arguments.to, environment.user())
        new, full = moved.new.digest, store.projects.shown(moved.full, place_of(".").id)
        if moved.old == new:
            environment.stdout.write(f"{full} is {new[:12]} already\n")
        else:
            environment.stdout.write(f"{full}: {f'{moved.old[:12]} -> ' if moved.old else ''}{new[:12]}\n")
        environment.stdout.flush()
        tell_of_left_behind(store, moved.full, environment)
        from envbuild.history.restore import restoration  # git: the tag has moved by now

        way = with_rights(store, lambda: restoration(store, moved.new))
    if way is not None:
        environment.stderr.writelines(f"{visible(line)}\n" for line in _lines(way))
    return 0


def _lines(way: Restoration) -> Iterator[str]:
    """Yield what leads the recipe back, too; nothing if it is there already."""
    if way.settings:
        words = " ".join(shlex.quote(f"--set={name}={value}") for name, value in way.settings)
        yield f"note: it was built with {words}, which no lock has"
        return
    if not way.commit:
        yield "note: recipe and lock stay as they are: no commit has them as this image was built"
        return
    if way.paths:
        paths = " ".join(shlex.quote(_pathspec(path)) for path in way.paths)
        inside = f"{os.path.realpath('.')}/".startswith(f"{os.path.realpath(way.root)}/")
        git = "git" if inside else f"git -C {shlex.quote(way.root)}"
        yield "note: the recipe, its lock and the files that it takes stay as they are; to take them back, too:"
        yield f"  {git} restore --source={way.commit[:12]} --staged --worktree -- {paths}"
    if way.uncommitted and way.paths:
        yield f"warning: that overwrites changes that are in no commit: {_some(way.uncommitted)}"
    if way.missing:
        yield f"warning: {way.commit[:12]} does not have as the image was built from it: {_some(way.missing)}"
    if way.extra:
        yield f"warning: these are not in git, and a build takes them as long as they are there: {_some(way.extra)}"


def _pathspec(path: str) -> str:
    """Return a path of the repository as git takes it in any of its directories (gitglossary(7), "pathspec")."""
    return f":(top,literal){path}" if any(mark in path for mark in "*?[\\") else ":/" if path == "." else f":/{path}"


def _some(paths: tuple[str, ...]) -> str:
    return first_of(paths, _MAX_SHOWN)
