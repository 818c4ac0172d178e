"""`envbuild shell`."""

from __future__ import annotations

import os

from envbuild.cli.environment import Environment
from envbuild.cli.run_options import add_options, open_published
from envbuild.errors import UsageError, fields
from envbuild.instances.foreground import sandbox_ahead

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from envbuild.instances.config import Settings
    from envbuild.instances.foreground import Ahead
    from envbuild.instances.launch import Origin
    from envbuild.store.store import Store

DESCRIPTION = """\
Open a shell: in an image, where all changes are thrown away; in an instance of this name, beside its command if
that runs, else in its place; or with --failed where the last build of a recipe failed, with the files, user, directory
and environment of the failed step."""

EXAMPLES = """\
examples:
  envbuild shell web
  envbuild shell --failed
  envbuild shell --failed web.env"""


@fields
class NothingFailed(UsageError):
    """There is no failed build to look into."""

    recipe: str | None

    def text(self) -> tuple[str, str]:
        what = f"the last build of '{self.recipe}' did not fail" if self.recipe else "no build failed last"
        return what, "open a shell in an image instead: envbuild shell IMAGE"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "image",
        nargs="?",
        metavar="IMAGE",
        help="an image or an instance (default: the image of the only recipe here); with --failed, a recipe",
    )
    parser.add_argument("--failed", action="store_true", help="open the shell where the last build failed")
    add_options(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    if arguments.failed:
        arguments.image = _recipe_name(arguments.image)
    elif arguments.image is None:
        from envbuild.cli.recipe_operand import image_name, only_recipe

        arguments.image = image_name(only_recipe(".", "shell"))
    arguments.writable = os.access(environment.store_path(), os.W_OK)
    if not arguments.failed:
        from envbuild.instances.records import Instances

        if Instances.of(environment.store_path()).has_name(arguments.image):
            return _shell_in_instance(arguments, environment)
    opened = open_published(arguments)
    with sandbox_ahead(arguments.network, environment.store_path(), opened) as ahead:
        return _shell(ahead, arguments, environment)


def _shell_in_instance(arguments: argparse.Namespace, environment: Environment) -> int:
    """Open a shell beside the command of a running instance; in one that has ended in place of its command."""
    from envbuild.cli.resume import is_over, resume
    from envbuild.cli.run_settings import enter_instance, variable
    from envbuild.instances.records import Instances
    from envbuild.instances.sandbox_request import shell_of

    instances = Instances.of(environment.store_path())
    instance = instances.find(arguments.image)
    if not is_over(instances, instance):
        return enter_instance(arguments.image, (), arguments, environment)

    def with_shell(store: Store, config: Settings) -> Settings:
        return config.replace(
            argv=(shell_of(store, instance.tree, instance.name),),
            environment=(*config.environment, *(variable(text, environment) for text in arguments.env)),
            user=config.user if arguments.user is None else arguments.user,
            workdir=arguments.workdir or config.workdir,
            health=None,
            init=True,
        )

    environment.warn([f"{instance.name} had ended: this shell runs in place of its command"], "note")
    return resume(instance, environment, with_shell, no_terminal=arguments.no_tty)


def _shell(ahead: Ahead, arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.build.named_image import find_image
    from envbuild.cli.run_settings import run_with_options
    from envbuild.images.find import facts_of
    from envbuild.images.names import kept_reference
    from envbuild.instances.launch import Origin
    from envbuild.instances.sandbox_request import shell_of
    from envbuild.store.store import Store

    with Store.open(environment.store_path(), create=False, writable=arguments.writable) as store:
        store.share()
        if arguments.failed:
            origin = _failed_step(store, arguments, environment)
            shell = shell_of(store, origin.tree, "the tree of the failed step")
        else:
            image = find_image(store, arguments.image)
            if (trust := environment.trust()) is not None:
                trust.check_image(store, image, arguments.image, "run")
            kept = kept_reference(store, arguments.image, ".")
            origin = Origin(image.digest, arguments.image, image.tree, facts_of(image), kept)
            shell = shell_of(store, image.tree, arguments.image)
        return run_with_options(ahead, store, origin, (shell,), arguments, environment)


def _recipe_name(word: str | None) -> str | None:
    """Return the name of the recipe that `--failed [RECIPE]` means, given by its name or by its file."""
    if word is None or not (word.endswith(".env") or os.path.isfile(word)):
        return word
    from envbuild.cli.recipe_operand import image_name

    return image_name(word)


def _failed_step(store: Store, arguments: argparse.Namespace, environment: Environment) -> Origin:
    """Return the tree that a recipe's failed step left, and set the step's parameters as variables."""
    from envbuild.images.names import last_failure
    from envbuild.instances.launch import Origin
    from envbuild.language.one_line import one_line
    from envbuild.plan.image_config import load
    from envbuild.ui.sanitize import visible

    failure = last_failure(store, arguments.image, ".")
    if failure is None:
        raise NothingFailed(arguments.image)
    detail = failure.known
    arguments.env = [f"{name}={value}" for name, value in detail["parameters"].items()] + arguments.env
    step = f"as left by {detail['file']}:{detail['line']}: {one_line(detail['text'])}"
    environment.stderr.write(f"{visible(step)}\n")
    environment.stderr.flush()
    return Origin("", arguments.image or "failed", failure.tree, load(failure.facts))
