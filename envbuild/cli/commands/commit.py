"""`envbuild commit`."""

from __future__ import annotations

import argparse
import os
import signal

from envbuild.build.request import BuildRequest
from envbuild.cli.commands.build import interrupt
from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.user_namespace import enter_for
from envbuild.drift.commit import CommitRequest, commit
from envbuild.errors import UsageError
from envbuild.instances.control_client import paused
from envbuild.instances.records import Instance, Instances
from envbuild.store.image_reference import parse_reference, split_name
from envbuild.store.store import Store
from envbuild.ui.reports.drift import commit_lines, commit_plain
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

DESCRIPTION = """\
Makes an image of an instance as it is now, and writes the recipe that would give the same: NAME-TAG.env begins with the
image that the instance runs and has a line for each package, user and file that was changed by hand; the files lie
beside it in NAME-TAG.files. The lines are built, and what they do not give is named. Packages are fetched for that
from this machine's own sources, after a question (or with --fetch); settings that the instance has for package managers
are not used.

The instance stands still while its files are read. The image is tagged NAME:TAG; NAME is by default that of the
instance's image, and TAG the instance's name."""

EXAMPLES = """\
examples:
  envbuild commit web-3f2a
  envbuild commit web-3f2a web:debugged --output recipes
  envbuild commit web-3f2a --no-recipe"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", metavar="INSTANCE", help="its name, or its id or the beginning of that")
    parser.add_argument("name", nargs="?", metavar="NAME[:TAG]", help="the tag; default: IMAGE-NAME:INSTANCE-NAME")
    parser.add_argument("--output", "-o", default=".", metavar="DIR", help="where the recipe is written; default: here")
    parser.add_argument("--force", action="store_true", help="replace a recipe that is there")
    level = parser.add_mutually_exclusive_group()
    level.add_argument("--no-recipe", action="store_true", help="make the image only")
    level.add_argument("--no-build", action="store_true", help="do not build the lines to see whether they hold")
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="fetch what the lines about packages name, from this machine's own sources, without asking",
    )
    parser.add_argument(
        "--with-secrets", action="store_true", help="lay files that look like keys or passwords beside it, too"
    )
    parser.add_argument(
        "--jobs", "-j", type=int, default=os.cpu_count() or 1, metavar="N", help="steps that run at the same time"
    )
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    signal.signal(signal.SIGTERM, interrupt)
    with Store.open(environment.store_path(), create=False) as store:
        store.sparse_limit = environment.sparse_limit()
        instance = Instances.of(store.path).find(arguments.instance)
        name, tag = _tag(store, arguments.name, instance)
        request = CommitRequest(
            name,
            tag,
            None if arguments.no_recipe else arguments.output,
            build=not arguments.no_build,
            force=arguments.force,
            secrets=arguments.with_secrets,
            how=BuildRequest(
                "",
                jobs=max(1, arguments.jobs),
                network=environment.network(),
                home=environment.home(),
                fetch_limit=environment.fetch_limit(),
                user=environment.user(),
            ),
        )
        enter_for(store)

        def say(text: str) -> None:
            environment.stderr.write(f"{visible(text)}\n")
            environment.stderr.flush()

        def may_fetch(lines: list[str]) -> bool:
            return arguments.fetch or _ask(environment, instance.name, lines)

        done = commit(store, instance, request, paused(instance), say, lambda event: None, may_fetch)
    plain = commit_plain(done)
    if arguments.format == "json":
        print_json(plain, environment.stdout)
    else:
        output = Output(environment.stdout, environment.colour(environment.stdout))
        environment.stdout.writelines(f"{line}\n" for line in commit_lines(plain, output))
    return 0


def _ask(environment: Environment, instance: str, lines: list[str]) -> bool:
    """Whether the user has packages fetched that the instance says it has. Raises UsageError where nobody can be
    asked."""
    if not environment.stdin.isatty() or not environment.stderr.isatty():
        shown = "\n".join(f"  {' '.join(visible(line).split())}" for line in lines)
        raise UsageError(
            f"to see whether its lines hold, commit would fetch packages that {instance} says it has:\n{shown}",
            "allow it: --fetch; or write lines that nobody has tried: --no-build; or make the image only: --no-recipe",
        )
    environment.stderr.write(f"{instance} says that it has packages which its image has not:\n")
    environment.stderr.writelines(f"  {' '.join(visible(line).split())}\n" for line in lines)
    environment.stderr.write("Fetch them from this machine's own package sources, and try the lines? [y/N] ")
    environment.stderr.flush()
    return environment.stdin.readline().strip().lower() in ("y", "yes")


def _tag(store: Store, given: str | None, instance: Instance) -> tuple[str, str]:
    """NAME and TAG. A name alone does not mean NAME:latest here, which must not move unless it is asked for."""
    if given is not None:
        name, tag = split_name(given)
        return name, tag if ":" in given else instance.name
    parsed = parse_reference(instance.reference.partition("@")[0])
    if parsed is not None and store.tags.length(parsed.name, parsed.tag):
        return parsed.name, instance.name
    image = store.images.get(instance.image)
    name = image.known.get("recipe", "") if image is not None else ""
    return name or instance.name, instance.name
