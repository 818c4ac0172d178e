"""`envbuild up`."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from envbuild.cli.environment import Environment
from envbuild.errors import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbuild.compose.file.model import Group, Recipe, Service
    from envbuild.compose.reconcile import Decision
    from envbuild.store.store import Store
    from envbuild.ui.compose_display import GroupDisplay

DESCRIPTION = """\
Starts the services of a file (docs/services.md) as one group: builds what has to be built, starts each service after
those that it depends on, and returns when all are up and healthy. What runs as the file says is left alone."""

EXAMPLES = """\
examples:
  envbuild up                      services.yaml, compose.yaml or docker-compose.yml of this folder
  envbuild up shop/services.yaml
  envbuild up web                  only web and what it depends on
  envbuild up --follow             and shows what they print, until Ctrl-C ends the group"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="[FILE] [SERVICE ...]", help="the file, and which of its services")
    parser.usage = "envbuild up [OPTION ...] [FILE] [SERVICE ...]"
    add_options(parser)
    parser.add_argument("--follow", "-f", action="store_true", help="show what they print, until Ctrl-C ends the group")
    parser.add_argument("--no-build", action="store_true", help="fail if a recipe is not built as it is")
    parser.add_argument("--force-recreate", action="store_true", help="make all instances anew, changed or not")
    parser.add_argument("--remove-orphans", action="store_true", help="remove services that the file no longer has")
    parser.add_argument(
        "--profile", action="append", default=[], metavar="NAME", help="also services of this profile (may repeat)"
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that `up` and `down` share."""
    parser.add_argument(
        "--name", "-p", metavar="GROUP", help="the group's name; default: the file's name:, else its folder's"
    )


class BuildEnded(Exception):
    """A build in a process of its own failed and has told why: its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.compose.file.order import chosen
    from envbuild.compose.preflight import make_folders
    from envbuild.store.store import Store

    group, names = load(arguments.words, arguments.name, environment)
    services = chosen(group, names, arguments.profile)
    shown = display([one.name for one in group.services], environment)
    services = make_folders(group, services, shown)
    signal.signal(signal.SIGTERM, _interrupt)
    with Store.open(environment.store_path()) as store:
        try:
            decisions = _decide(store, group, services, arguments, environment, shown)
        except BuildEnded as ended:
            return ended.code
        skipped = _bring_up(store, group, decisions, arguments, environment, shown)
    if arguments.follow:
        return _follow(group, decisions, skipped, environment, shown)
    return 0


def load(words: Sequence[str], name: str | None, environment: Environment) -> tuple[Group, tuple[str, ...]]:
    """The group that is meant by `[FILE] [SERVICE ...]`, and the services. What its reader should know is told."""
    from envbuild.compose.file.find import find_file, looks_like_file
    from envbuild.compose.file.load import load_group
    from envbuild.text.diagnostics import render
    from envbuild.ui.sanitize import clean, visible

    names = tuple(words)
    if names and looks_like_file(names[0]):
        path, names = os.path.normpath(names[0]), names[1:]
    else:
        path, others = find_file(".")
        if others or os.path.dirname(path):
            also = f", and not {', '.join(others)}" if others else ""
            environment.stderr.write(f"note: the file is {visible(path + also)}\n")
    group = load_group(path, environment.variables, environment.home(), name)
    if group.notes:
        environment.stderr.write(clean(render(group.notes)) + "\n")
        environment.stderr.flush()
    return group, names


def display(names: Sequence[str], environment: Environment) -> GroupDisplay:
    """The display of a group with these services."""
    from envbuild.ui.compose_display import GroupDisplay

    return GroupDisplay(
        names,
        environment.stderr,
        environment.colour(environment.stderr),
        environment.stdout,
        environment.colour(environment.stdout),
    )


def _decide(
    store: Store,
    group: Group,
    services: Sequence[Service],
    arguments: argparse.Namespace,
    environment: Environment,
    shown: GroupDisplay,
) -> tuple[Decision, ...]:
    """What is to be done, when all that can be known before anything starts is known to be well."""
    from envbuild.compose.images import find_images
    from envbuild.compose.instance_plan import plan_all
    from envbuild.compose.preflight import check_names, check_volumes
    from envbuild.compose.reconcile import decide

    build = None if arguments.no_build else _build
    images = find_images(store, group, services, build, shown, environment.epoch())
    store.share()
    plans = plan_all(store, group, services, images)
    check_volumes(store, group, services)
    check_names(store, group, plans)
    return decide(store, group, plans, force=arguments.force_recreate)


def _bring_up(
    store: Store,
    group: Group,
    decisions: Sequence[Decision],
    arguments: argparse.Namespace,
    environment: Environment,
    shown: GroupDisplay,
) -> dict[str, int]:
    """Brings it up; how many lines of each instance's log there were before."""
    from envbuild.cli.run_settings import machine_of
    from envbuild.cli.user_namespace import enter_for
    from envbuild.compose.down import remove_members
    from envbuild.compose.events import Warned
    from envbuild.compose.follow_logs import lines_so_far
    from envbuild.compose.members import members
    from envbuild.compose.stop import end
    from envbuild.compose.up import Ascent

    there = members(store.instances, group.name)
    kept = [one.name for one in group.services if one.scale]
    orphans = [one for one in there if one.service not in kept]
    if orphans and arguments.remove_orphans:
        end(store.instances, orphans, shown)
    elif orphans:
        listed = ", ".join(one.instance.name for one in orphans)
        shown(Warned(f"the file no longer has: {listed}", "envbuild up --remove-orphans removes them"))
    skipped = lines_so_far(there)
    try:
        Ascent(store, group, shown).run(decisions, machine_of(environment), wait=not arguments.follow)
    finally:
        if orphans and arguments.remove_orphans:
            enter_for(store)
            remove_members(store, orphans, shown)
    return skipped


def _build(recipe: Recipe) -> None:
    """Builds a recipe as `envbuild build` does. In a process of its own: a build enters its namespace and has threads,
    and instances are started from a process that has neither. Raises BuildEnded."""
    from envbuild.cli.main import run as run_command

    words = [word for name, value in recipe.settings for word in ("--set", f"{name}={value}")]
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = run_command(["build", recipe.path, *words])
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    try:
        _, status = os.waitpid(child, 0)
    except KeyboardInterrupt:
        # The terminal has interrupted the build, too.
        os.waitpid(child, 0)
        raise
    if status:
        raise BuildEnded(max(1, os.waitstatus_to_exitcode(status)))


def _follow(
    group: Group,
    decisions: Sequence[Decision],
    skipped: dict[str, int],
    environment: Environment,
    shown: GroupDisplay,
) -> int:
    """Shows what the services print until they are over. Ctrl-C ends them, a second one at once."""
    from envbuild.compose.follow_logs import Followers
    from envbuild.compose.members import members
    from envbuild.compose.stop import end, kill
    from envbuild.instances.records import Instances

    instances = Instances.of(environment.store_path())
    chosen = {one.plan.service.name for one in decisions}
    found = [one for one in members(instances, group.name) if one.service in chosen]
    followers = Followers(instances, found, skipped, shown.log)
    try:
        followers.start()
        followers.wait()
        return 0
    except KeyboardInterrupt:
        try:
            end(instances, found, shown)
        except KeyboardInterrupt:
            kill(found)
        followers.wait(2)
        raise Interrupted from None


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
