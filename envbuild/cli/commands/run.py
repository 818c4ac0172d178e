"""`envbuild run`."""

from __future__ import annotations

import os

from envbuild.cli.environment import Environment
from envbuild.cli.run_options import add_options, open_published
from envbuild.errors import DISK_TROUBLE, DiskTrouble, EnvbuildError, Interrupted
from envbuild.instances.foreground import sandbox_ahead

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from envbuild.instances.background import Background
    from envbuild.instances.foreground import Ahead

DESCRIPTION = """\
Run an image's start command, or the one given, in a new instance, which keeps what it writes apart from the
image. In the foreground the exit code is that of the command, and the instance is removed when it ends, unless
--keep is given. With -d the instance runs in the background, and stays until `envbuild rm`.

For a revision of git (NAME@REV, git:REV:FILE) the exit code is 125 where there is no image of it, or it can't be run,
so that `git bisect run envbuild run NAME@HEAD -- TEST` skips that commit."""

EXAMPLES = """\
examples:
  envbuild run hello
  envbuild run web python3 --version
  envbuild run web --here -- pytest
  envbuild run -d --name web -p 8080:80 -v data:/srv/data --restart on-failure web
  envbuild run -it web bash
  echo 1+1 | envbuild run web -- bc"""


TAKES_COMMAND = 1
CANNOT_TELL = 125
"""The exit code where the image of a revision can't be run: `git bisect run` skips such a commit (git-bisect(1)), and
would take each other code of ours for that of a failed test."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "image",
        nargs="?",
        metavar="IMAGE",
        help="a name, NAME:TAG, NAME@REV, or the first digits of a digest (default: the image of the only recipe here)",
    )
    parser.usage = "envbuild run [OPTION ...] [IMAGE] [--] [COMMAND ...]"
    parser.add_argument(
        "-d", "--detach", action="store_true", help="run in the background, and print the name of the instance"
    )
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--keep", action="store_true", help="keep the instance when it ends (default with -d)")
    kept.add_argument("--rm", action="store_true", help="remove the instance when it ends (default without -d)")
    parser.add_argument(
        "--restart",
        default="never",
        metavar="WHEN",
        help="restart the command when it ends: never, always, on-failure or on-failure:N (with -d)",
    )
    parser.add_argument(
        "--entry",
        metavar="PROGRAM",
        help="begin the command with this program, or a JSON list of words, in place of the image's entry; '' for none",
    )
    add_options(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    if arguments.image is None:
        from envbuild.cli.recipe_operand import image_name, only_recipe  # most name an image

        arguments.image = image_name(only_recipe(".", "run"))
    if not _is_revision(arguments.image):
        return _start(arguments, environment)
    try:
        return _start(arguments, environment)
    except Interrupted:
        raise
    except EnvbuildError as error:
        error.exit_code = CANNOT_TELL
        raise
    except OSError as error:
        if error.errno not in DISK_TROUBLE:
            raise
        trouble = DiskTrouble(error)
        trouble.exit_code = CANNOT_TELL
        raise trouble from error


def _is_revision(text: str) -> bool:
    """Return whether a text is meant to name the image of a revision of git, also if its form is wrong."""
    _, mark, which = text.partition("@")
    return text.startswith("git:") or (bool(mark) and not which.startswith(("{", "sha256:")))


def _start(arguments: argparse.Namespace, environment: Environment) -> int:
    opened = open_published(arguments)
    # Found out as the user: the namespace's root could write what the user may not.
    arguments.writable = os.access(environment.store_path(), os.W_OK)
    if arguments.detach:
        from envbuild.instances.background import in_background

        again = arguments.restart != "never"
        with in_background(arguments.network, environment.store_path(), opened, again=again) as background:
            return _run_detached(background, arguments, environment)
    with sandbox_ahead(arguments.network, environment.store_path(), opened) as ahead:
        return _run(ahead, arguments, environment)


def _run(ahead: Ahead, arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.build.named_image import find_image
    from envbuild.store.store import Store

    with Store.open(environment.store_path(), create=False, writable=arguments.writable) as store:
        store.share()
        image = find_image(store, arguments.image)
        if (trust := environment.trust()) is not None:
            trust.check_image(store, image, arguments.image, "run")
        store.begin_check(image.tree)  # while the rest is loaded
        from envbuild.cli.run_settings import entry_from, run_with_options
        from envbuild.images.find import facts_of
        from envbuild.images.names import kept_reference
        from envbuild.instances.launch import Origin

        kept = kept_reference(store, arguments.image, ".")
        origin = Origin(image.digest, arguments.image, image.tree, facts_of(image), kept)
        argv = origin.command(arguments.command, entry_from(arguments.entry))
        return run_with_options(ahead, store, origin, argv, arguments, environment)


def _run_detached(background: Background, arguments: argparse.Namespace, environment: Environment) -> int:
    """Start an instance in the background; print its name when its command was started."""
    from envbuild.build.named_image import find_image
    from envbuild.store.store import Store

    with Store.open(environment.store_path(), create=False, writable=arguments.writable) as store:
        store.share()
        image = find_image(store, arguments.image)
        if (trust := environment.trust()) is not None:
            trust.check_image(store, image, arguments.image, "run")
        store.stacks.check_ahead(image.tree)
        from envbuild.cli.run_settings import entry_from, machine_of, settings_from
        from envbuild.images.find import facts_of
        from envbuild.images.names import kept_reference
        from envbuild.instances.launch import Origin, launch_in_background

        kept = kept_reference(store, arguments.image, ".")
        origin = Origin(image.digest, arguments.image, image.tree, facts_of(image), kept)
        config = settings_from(
            arguments, environment, origin.facts, origin.command(arguments.command, entry_from(arguments.entry))
        )
        instance, warnings = launch_in_background(
            background, store, origin, config, machine_of(environment), name=arguments.name, temporary=arguments.rm
        )
    environment.warn(warnings)
    environment.stdout.write(f"{instance.name}\n")
    environment.stdout.flush()
    return 0
