"""`envbuild shell`."""

from __future__ import annotations

import argparse
import os

from envbuild.cli import run_options
from envbuild.cli.commands.run import open_published
from envbuild.cli.environment import Environment
from envbuild.errors import UsageError
from envbuild.instances.ahead import Ahead, sandbox_ahead

DESCRIPTION = """\
Opens a shell: in an image, where what is done is thrown away; in an instance that runs, beside its command, if it is
what is called so; or with --failed where the last build of a recipe failed, with the files as the failed step left
them, its user, directory and environment."""

EXAMPLES = """\
examples:
  envbuild shell web
  envbuild shell --failed
  envbuild shell --failed web"""


class NothingFailed(UsageError):
    """There is no failed build to look into."""

    def __init__(self, recipe: str | None) -> None:
        what = f"the last build of '{recipe}' did not fail" if recipe else "no build failed last"
        super().__init__(what, "open a shell in an image instead: envbuild shell IMAGE")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "image", nargs="?", metavar="IMAGE", help="an image or an instance; with --failed, a recipe's name"
    )
    parser.add_argument("--failed", action="store_true", help="where the last build failed")
    run_options.add_options(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    arguments.writable = os.access(environment.store_path(), os.W_OK)
    opened = open_published(arguments)
    with sandbox_ahead(arguments.network, environment.store_path(), opened) as ahead:
        from envbuild.instances.records import Instances

        if arguments.image is not None and not arguments.failed:
            instances = Instances.of(environment.store_path())
            if instances.has_name(arguments.image):
                from envbuild.cli.commands.exec import enter_instance

                return enter_instance(arguments.image, (), arguments, environment)
        return _shell(ahead, arguments, environment)


def _shell(ahead: Ahead, arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.build.named_image import find_image
    from envbuild.cli.launch import run_tree
    from envbuild.images.image_facts import facts_of
    from envbuild.instances.sandbox_request import shell_of
    from envbuild.plan.image_config import load
    from envbuild.store.store import Store

    with Store.open(environment.store_path(), create=False, writable=arguments.writable) as store:
        if arguments.failed:
            failure = store.images.failure(arguments.image)
            if failure is None:
                raise NothingFailed(arguments.image)
            detail = failure.known
            facts = load(failure.facts)
            shell = shell_of(store, failure.tree, "the tree of the failed step")
            arguments.env = [f"{k}={v}" for k, v in detail["parameters"].items()] + arguments.env
            from envbuild.ui.sanitize import visible

            told = f"as left by {detail['file']}:{detail['line']}: {detail['text'].splitlines()[0]}"
            environment.stderr.write(f"{visible(told)}\n")
            environment.stderr.flush()
            return run_tree(ahead, store, "", failure.tree, facts, (shell,), arguments, environment)
        if arguments.image is None:
            raise UsageError("which image?", "envbuild shell IMAGE, INSTANCE, or --failed")
        image = find_image(store, arguments.image)
        shell = shell_of(store, image.tree, arguments.image)
        facts = facts_of(image)
        return run_tree(ahead, store, image.digest, image.tree, facts, (shell,), arguments, environment)
