"""`envbuild up`."""

from __future__ import annotations

import argparse

from envbuild.cli.build_options import interrupt_on_termination
from envbuild.cli.environment import Environment
from envbuild.cli.group_options import add_options, display_of_group, load_group_of
from envbuild.cli.group_up import decide
from envbuild.errors import Interrupted
from envbuild.instances.records import Instances

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbuild.compose.file.model import Group
    from envbuild.compose.reconcile import Decision
    from envbuild.store.store import Store
    from envbuild.ui.compose_display import GroupDisplay

DESCRIPTION = """\
Start the services of a compose file (docs/services.md) as one group: build their images where needed, start each
service after those that it depends on, and return when all are up and healthy. Services that already run as
described are left alone."""

EXAMPLES = """\
examples:
  envbuild up                      services.yaml, compose.yaml or docker-compose.yml of this folder
  envbuild up shop/services.yaml
  envbuild up web                  only web and what it depends on
  envbuild up --follow             and shows what they print, until Ctrl-C ends the group"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="[FILE] [SERVICE ...]", help="the file, and the services to start (default: all)"
    )
    parser.usage = "envbuild up [OPTION ...] [FILE] [SERVICE ...]"
    add_options(parser)
    parser.add_argument(
        "--follow", "-f", action="store_true", help="show the output of the services, until Ctrl-C stops the group"
    )
    parser.add_argument(
        "--detach", "-d", "--build", "--wait", action="store_true", help="accepted: it is what `up` does anyway"
    )
    parser.add_argument("--no-build", action="store_true", help="fail if a recipe has changed since it was built")
    parser.add_argument("--force-recreate", action="store_true", help="recreate all instances, changed or not")
    parser.add_argument(
        "--remove-orphans", action="store_true", help="remove instances of services that the file no longer has"
    )
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="NAME",
        help="start services of this profile, too (may repeat)",
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.compose.file.order import chosen
    from envbuild.compose.preflight import make_folders
    from envbuild.store.store import Store

    group, names = load_group_of(arguments.words, arguments.name, environment)
    services = chosen(group, names, arguments.profile)
    shown = display_of_group([service.name for service in group.services], environment)
    services = make_folders(group, services, shown)
    interrupt_on_termination()
    with Store.open(environment.store_path()) as store:
        decisions = decide(
            store,
            group,
            services,
            environment,
            shown,
            build_recipes=not arguments.no_build,
            recreate=arguments.force_recreate,
        )
        skipped = _bring_up(store, group, decisions, arguments, environment, shown)
    if arguments.follow:
        return _follow(group, decisions, skipped, environment, shown)
    return 0


def _bring_up(
    store: Store,
    group: Group,
    decisions: Sequence[Decision],
    arguments: argparse.Namespace,
    environment: Environment,
    shown: GroupDisplay,
) -> dict[str, int]:
    """Bring it up; how many lines of each instance's log there were before."""
    from envbuild.cli.run_settings import machine_of
    from envbuild.cli.user_namespace import enter_for
    from envbuild.compose.down import remove_members
    from envbuild.compose.follow_logs import lines_so_far
    from envbuild.compose.members import Warned, members
    from envbuild.compose.stop import stop_members
    from envbuild.compose.up import Rollout

    instances = Instances.of(store.path)
    there = members(instances, group.name)
    kept = [service.name for service in group.services if service.scale]
    orphans = [member for member in there if member.service not in kept]
    if orphans and arguments.remove_orphans:
        stop_members(instances, orphans, shown)
    elif orphans:
        listed = ", ".join(member.instance.name for member in orphans)
        shown(Warned(f"the file no longer has: {listed}", "envbuild up --remove-orphans removes them"))
    skipped = lines_so_far(there)
    try:
        Rollout(store, group, shown).run(decisions, machine_of(environment), wait=not arguments.follow)
    finally:
        if orphans and arguments.remove_orphans:
            enter_for(store)
            remove_members(store, orphans, shown)
    return skipped


def _follow(
    group: Group,
    decisions: Sequence[Decision],
    skipped: dict[str, int],
    environment: Environment,
    shown: GroupDisplay,
) -> int:
    """Show what the services print until they are over. Ctrl-C ends them, a second one at once."""
    from envbuild.compose.follow_logs import Followers
    from envbuild.compose.members import members
    from envbuild.compose.stop import kill_members, stop_members
    from envbuild.instances.records import Instances

    instances = Instances.of(environment.store_path())
    chosen = {decision.plan.service.name for decision in decisions}
    followed = [member for member in members(instances, group.name) if member.service in chosen]
    followers = Followers(instances, followed, skipped, shown.log)
    try:
        followers.start()
        followers.wait()
        return 0
    except KeyboardInterrupt:
        try:
            stop_members(instances, followed, shown)
        except KeyboardInterrupt:
            kill_members(followed)
        followers.wait(2)
        raise Interrupted from None
