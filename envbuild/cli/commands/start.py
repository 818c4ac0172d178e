"""`envbuild start`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.errors import UsageError
from envbuild.instances.records import LOST, Instance, Instances
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Start instances that have ended again, in the background, with the files that they left. With --attach one runs in the
foreground, on a terminal with a terminal of its own, and stays when it ends."""

EXAMPLES = """\
examples:
  envbuild start web
  envbuild start -a box                  with this terminal
  envbuild start --lost"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="*", metavar="INSTANCE", help="names, or the first digits of ids")
    parser.add_argument(
        "-a", "--attach", action="store_true", help="run one instance in the foreground, with this terminal"
    )
    parser.add_argument("-i", "--interactive", action="store_true", help="the same: docker's word")
    parser.add_argument(
        "--lost",
        action="store_true",
        help="start all instances that a reboot has ended, unless their restart rule is never",
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.cli.run_settings import machine_of
    from envbuild.instances.background import in_backgrounds
    from envbuild.instances.config import settings_of
    from envbuild.instances.launch import relaunch_in_background

    names = list(arguments.instance)
    path = environment.store_path()
    if arguments.attach or arguments.interactive:
        if len(names) != 1 or arguments.lost:
            raise UsageError("start --attach takes one instance", "as in: envbuild start -a web")
        from envbuild.cli.resume import resume

        return resume(Instances.of(path).find(names[0]), environment)
    if not names and not arguments.lost:
        raise UsageError("start which instance?", "`envbuild ps -a` lists them; --lost starts those of a reboot")
    with Store.open(path, create=False) as store:
        records = Instances.of(path)
        if arguments.lost:
            names += [instance.name for instance in records.all() if _is_wanted(records, instance)]
        instances = [records.find(name) for name in names]  # all of them, before any is started
    with in_backgrounds(path, [settings_of(instance) for instance in instances]) as backgrounds:
        for instance, background in zip(instances, backgrounds, strict=True):
            with Store.open(path, create=False) as store:
                warnings = relaunch_in_background(background, store, instance, machine_of(environment))
            environment.warn(warnings)
            environment.stdout.write(f"{instance.name}\n")
            environment.stdout.flush()
    return 0


def _is_wanted(records: Instances, instance: Instance) -> bool:
    from envbuild.instances.config import NEVER, settings_of

    return records.state(instance).status == LOST and settings_of(instance).restart.when != NEVER
