"""`envbuild cp`."""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from envbuild.cli.environment import Environment
from envbuild.errors import DISK_TROUBLE, UsageError, WorkFailed
from envbuild.instances.records import Instances
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.instances.copy import Place
    from envbuild.instances.rootfs import Rootfs
    from envbuild.linux.safe_copy import Copier, Rules

DESCRIPTION = """\
Copy files out of an instance or into one, whether it runs or not. One of SRC and DST is INSTANCE:PATH. A directory
is copied into an existing directory, under its own name; `SRC/.` means its contents. `-` is a tar archive on
standard input or output. Copies belong to you outside, and to root inside."""

EXAMPLES = """\
examples:
  envbuild cp web:/var/log/app.log .
  envbuild cp --user app app/. web:/srv/app
  envbuild cp web:/srv - | tar -t"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="INSTANCE:PATH, a path of this machine, or -")
    parser.add_argument("target", metavar="DST", help="INSTANCE:PATH, a path of this machine, or -")
    parser.add_argument("-L", "--follow", action="store_true", help="if SRC is a link, copy its target")
    owners = parser.add_mutually_exclusive_group()
    owners.add_argument("-a", "--archive", action="store_true", help="keep owners and set-user-ID bits")
    owners.add_argument(
        "-u", "--user", metavar="NAME[:GROUP]", help="give the copies in the instance to this user (default: root)"
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.copy import Place, place

    source = Place(None, "-") if arguments.source == "-" else place(arguments.source)
    target = Place(None, "-") if arguments.target == "-" else place(arguments.target)
    if source.instance is not None and target.instance is not None:
        raise UsageError("both sides are instances", "copy to a directory of this machine first, or through -")
    if source.instance is None and target.instance is None:
        raise UsageError("neither side is an instance", "one is INSTANCE:PATH, as in: envbuild cp web:/etc/motd .")
    if arguments.user is not None and target.instance is None:
        raise UsageError("--user is for copies into an instance", "copies outside belong to you")
    name = source.instance if source.instance is not None else target.instance
    assert name is not None
    with Store.open(environment.store_path(), create=False) as store:
        instance = Instances.of(store.path).find(name)
        from envbuild.cli.user_namespace import enter_for
        from envbuild.instances.config import settings_of
        from envbuild.instances.copy import check_mounts
        from envbuild.instances.rootfs import open_rootfs

        store.share()
        enter_for(store)
        os.umask(0o022)
        with _user_errors(), open_rootfs(store, instance) as within:
            if not within.running:
                settings = settings_of(instance)
                check_mounts(settings, source.path if source.instance else target.path, instance.name)
                if settings.read_only and target.instance is not None:
                    raise WorkFailed(f"{instance.name} has a root that can't be written (--read-only)")
            with_owners = store.owners_observable and arguments.archive
            if target.instance is None:
                _out(within, source, target, arguments, environment, owners=with_owners)
            else:
                _in(
                    within,
                    source,
                    target,
                    arguments,
                    environment,
                    owners=with_owners,
                    single=not store.owners_observable,
                )
    return 0


@contextmanager
def _user_errors() -> Iterator[None]:
    """Turn what the system refuses into an error of the user's, not a bug of ours."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in DISK_TROUBLE and error.errno != errno.EROFS:
            raise
        from envbuild.ui.sanitize import visible

        named = f"{visible(str(error.filename))}: " if error.filename else ""
        raise WorkFailed(f"it can't be copied: {named}{error.strerror}", "what was copied before is there") from error


def _out(
    within: Rootfs,
    source: Place,
    target: Place,
    arguments: argparse.Namespace,
    environment: Environment,
    *,
    owners: bool,
) -> None:
    from envbuild.instances.copy import copy, left_out, open_on_host, source_of

    with source_of(within.open, source.path, arguments.source, follow=arguments.follow) as item:
        leave_out = left_out(within, item)
        if target.path == "-":
            from envbuild.instances.copy_tar import write_tar

            if environment.stdout.isatty():
                raise UsageError(
                    "refusing to write a tar archive to a terminal", "send it to a file: > FILE, or name one"
                )
            environment.stdout.flush()
            write_tar(item, environment.stdout.buffer, _skipped(environment), leave_out, within.ids.inside)
            environment.stdout.buffer.flush()
            return
        copier = _copier(_rules(None, owners, arguments, within.ids.inside), environment)
        copy(item, open_on_host, target.path, arguments.target, copier, leave_out)


def _in(
    within: Rootfs,
    source: Place,
    target: Place,
    arguments: argparse.Namespace,
    environment: Environment,
    *,
    owners: bool,
    single: bool,
) -> None:
    from envbuild.instances.copy import copy, folder_of, open_on_host, source_of
    from envbuild.sandbox.user_lookup import identity_of

    # Root unless somebody is named.
    within.create_as_root()
    owner = None
    if arguments.user is not None and not single:
        identity = identity_of(arguments.user, within.open)
        owner = (within.ids.outside(identity.uid), within.ids.outside(identity.gid))
    if source.path == "-":
        from envbuild.instances.copy_tar import read_tar

        folder = folder_of(within.open, target.path, arguments.target)
        try:
            read_tar(
                environment.stdin.buffer,
                folder,
                owner,
                archive=owners,
                skipped=_skipped(environment),
                number=within.ids.outside,
            )
        finally:
            os.close(folder)
        return
    with source_of(open_on_host, source.path, arguments.source, follow=arguments.follow) as item:
        copier = _copier(_rules(owner, owners, arguments, within.ids.outside), environment)
        copy(item, within.open, target.path, arguments.target, copier)


def _rules(
    owner: tuple[int, int] | None, owners: bool, arguments: argparse.Namespace, number: Callable[[int], int]
) -> Rules:
    from envbuild.linux.safe_copy import Rules

    return Rules(owner, owners=owners, special=arguments.archive, number=number)


def _copier(rules: Rules, environment: Environment) -> Copier:
    from envbuild.linux.safe_copy import Copier

    return Copier(rules, _skipped(environment))


def _skipped(environment: Environment) -> Callable[[str, str], None]:
    def tell(path: str, why: str) -> None:
        from envbuild.ui.sanitize import visible

        environment.stderr.write(f"warning: {visible(path)} is left out: it is {why}\n")

    return tell
