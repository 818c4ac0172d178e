"""`envbuild completion`."""

from __future__ import annotations

import os

from envbuild.cli.environment import Environment
from envbuild.errors import BadOption, EnvbuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Print the script by which a shell completes commands, options and names (of images, instances, recipes and volumes)
of envbuild."""

EXAMPLES = """\
examples:
  envbuild completion bash > ~/.local/share/bash-completion/completions/envbuild
  envbuild completion zsh > ~/.zsh/completions/_envbuild       in a directory of $fpath
  envbuild completion fish > ~/.config/fish/completions/envbuild.fish"""

SHELLS = ("bash", "zsh", "fish")
NAMES = ("images", "instances", "recipes", "volumes")
_HIDDEN = "==SUPPRESS=="  # argparse.SUPPRESS, which is called for with each press of the key


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", nargs="?", choices=SHELLS, metavar="bash|zsh|fish", help="the shell")
    parser.add_argument("--names", choices=NAMES, help=_HIDDEN)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    if arguments.names is not None:
        try:
            names = _names(arguments.names, environment)
        except (EnvbuildError, OSError):
            return 0  # whoever presses the key wants no message
        environment.stdout.write("".join(f"{name}\n" for name in names if name.isprintable()))
        return 0
    if arguments.shell is None:
        raise BadOption("completion", "", "shell", "envbuild completion bash")
    from envbuild.cli import completion
    from envbuild.cli.declared import declared_commands

    write = {"bash": completion.bash_script, "zsh": completion.zsh_script, "fish": completion.fish_script}
    environment.stdout.write(write[arguments.shell](declared_commands()))
    return 0


def _names(kind: str, environment: Environment) -> list[str]:
    """Return what may be named at the moment. Changes nothing."""
    if kind == "recipes":
        return sorted(item.name for item in os.scandir(".") if item.name.endswith(".env") and item.is_file())
    if kind == "instances":
        from envbuild.instances.records import Instances

        return [instance.name for instance in Instances.of(environment.store_path()).all()]
    from envbuild.store.store import Store

    with Store.open(environment.store_path(), create=False, writable=False) as store:
        if kind == "volumes":
            from envbuild.instances.volumes import Volumes

            return [volume.name for volume in Volumes.of(store).all()]
        tags = [tag.full.removesuffix(":latest") for tag in store.tags.all()]
        return sorted(dict.fromkeys(tags))
