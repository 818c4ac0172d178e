"""`envbuild commit`."""

from __future__ import annotations

import argparse

from envbuild.cli.build_options import add_jobs, interrupt_on_termination, request_of_user
from envbuild.cli.environment import Environment
from envbuild.cli.fetch_question import FetchQuestion, may_write
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.user_namespace import enter_for
from envbuild.drift.commit import CommitRequest, commit
from envbuild.drift.copied_files import CopiedFiles
from envbuild.images.names import kept_tag, place_of, to_set
from envbuild.images.reference import parse_new_name
from envbuild.instances.control_client import paused
from envbuild.instances.records import Instance, Instances
from envbuild.store.project import Project, split_project
from envbuild.store.store import Store
from envbuild.ui.reports.drift import commit_lines, commit_plain
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

DESCRIPTION = """\
Make an image of an instance as it is now, and write a recipe that gives the same: NAME-TAG.env starts from the image
of the instance and has a line for each package, user and file that was changed by hand; the files are in
NAME-TAG.files beside it. The lines are tested by building them, and differences are listed. Packages are fetched for
that from this machine's own sources, after a question (or with --fetch); the instance's own settings of package
managers are not used.

The instance is paused while its files are read. The image is tagged NAME:TAG. By default NAME is the name of the
instance's image, and TAG the name of the instance."""

EXAMPLES = """\
examples:
  envbuild commit web-3f2a
  envbuild commit web-3f2a web:debugged --output recipes
  envbuild commit web-3f2a --no-recipe"""

_WAYS_OUT = "allow it: --fetch; or write lines that nobody has tried: --no-build; or make the image only: --no-recipe"
_DATA = "what is data belongs into a volume; --no-recipe makes only the image"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", metavar="INSTANCE", help="a name, or the first digits of an id")
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME[:TAG]",
        help="the tag (default: the name of the image, with the name of the instance)",
    )
    parser.add_argument(
        "--output",
        "-o",
        default=".",
        metavar="DIR",
        help="write the recipe to this directory (default: the current one)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing recipe")
    level = parser.add_mutually_exclusive_group()
    level.add_argument("--no-recipe", action="store_true", help="make only the image")
    level.add_argument("--no-build", action="store_true", help="do not test the lines by building them")
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="fetch packages from this machine's own sources to test the lines, without asking",
    )
    parser.add_argument(
        "--with-secrets", action="store_true", help="export files that look like keys or passwords, too"
    )
    add_jobs(parser)
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    interrupt_on_termination()
    with Store.open(environment.store_path(), create=False) as store:
        store.sparse_limit = environment.sparse_limit()
        instance = Instances.of(store.path).find(arguments.instance)
        project, name, tag = _tag(store, arguments.name, instance)
        request = CommitRequest(
            name,
            tag,
            None if arguments.no_recipe else arguments.output,
            build=not arguments.no_build,
            force=arguments.force,
            secrets=arguments.with_secrets,
            build_request=request_of_user(environment).replace(jobs=max(1, arguments.jobs)),
            project=project,
        )
        enter_for(store)

        def say(text: str) -> None:
            environment.stderr.write(f"{visible(text)}\n")
            environment.stderr.flush()

        def may_fetch(lines: list[str]) -> bool:
            question = FetchQuestion("commit", instance.name, "its image", _WAYS_OUT)
            return arguments.fetch or question.ask(environment, lines)

        def may_copy(files: CopiedFiles) -> bool:
            return may_write(environment, request.stem, files, _DATA)

        done = commit(store, instance, request, paused(instance), say, lambda event: None, may_fetch, may_copy)
    plain = commit_plain(done)
    if arguments.format == "json":
        print_json(plain, environment.stdout)
    else:
        output = Output(environment.stdout, environment.colour(environment.stdout))
        environment.stdout.writelines(f"{line}\n" for line in commit_lines(plain, output))
    return 0


def _tag(store: Store, given: str | None, instance: Instance) -> tuple[Project | None, str, str]:
    """Return the project, NAME and TAG. A name alone does not mean NAME:latest here, nor the branch's tag, which must
    not move unless they are asked for."""
    if given is not None:
        reference = parse_new_name(given)
        place, _ = to_set(store, given, ".")
        return place.project, reference.name, reference.tag or instance.name
    tag = kept_tag(instance.reference.partition("@{")[0])
    if tag is not None and store.tags.length(*tag):
        identity, name = split_project(tag[0])
        return store.projects.get(identity), name, instance.name
    image = store.images.get(instance.image)
    name = image.known.get("recipe", "") if image is not None else ""
    return place_of(".").project, name or instance.name, instance.name
