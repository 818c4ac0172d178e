"""`envbuild recipe`."""

from __future__ import annotations

import argparse
import os

from envbuild.build.named_image import find_image
from envbuild.capture.machine_base import base_of_machine, checked_base
from envbuild.capture.recipe import RecipeRequest, build_base, write_recipe
from envbuild.cli.build_options import add_jobs, interrupt_on_termination, request_of_user
from envbuild.cli.environment import Environment
from envbuild.cli.fetch_question import FetchQuestion, may_write
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.user_namespace import enter_for
from envbuild.errors import UsageError
from envbuild.images.reference import parse_tag
from envbuild.linux.forked import call_in_child
from envbuild.store.store import Store
from envbuild.text.sizes import parse_size
from envbuild.ui.reports.recipe import recipe_lines, recipe_plain
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

DESCRIPTION = """\
Write the recipe of a captured machine: the base, the packages chosen by hand with their versions, other vendors'
sources and keys, users and groups, pip's and npm's packages, enabled units, and what was edited or added by hand, which
is laid beside it in FILE.files. Each line is built as it is written, and what it doesn't give is named at the end:
versions that no source has any more, secrets, what belongs to this machine alone, files above a size.

Packages are fetched for that from this machine's own sources, after a question (or with --fetch). CAPTURE is the name
of a capture, or of any other image."""

EXAMPLES = """\
examples:
  envbuild recipe laptop
  envbuild recipe laptop@{1.week.ago} -o machines/laptop.env --fetch
  envbuild recipe router --from image:router-base"""
MAX_LINE = 200
"""Characters that are shown of a line that is tried: hundreds of packages can be in one."""
DEFAULT_MOST = "10m"
_DATA = "--max-size says above which size files and directories are only named"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("capture", metavar="CAPTURE", help="a capture, or another image")
    parser.add_argument(
        "--output",
        "-o",
        metavar="FILE",
        help="write the recipe to this file, and what it copies beside it (default: CAPTURE.env in this directory)",
    )
    parser.add_argument("--from", dest="base", metavar="BASE", help="start from this base (default: debian:SUITE)")
    parser.add_argument(
        "--max-size",
        default=DEFAULT_MOST,
        metavar="SIZE",
        help=f"name new files and directories above this size in comments, and do not copy them "
        f"(default: {DEFAULT_MOST})",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing recipe")
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="fetch packages from this machine's own sources to test the lines, without asking",
    )
    add_jobs(parser)
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    interrupt_on_termination()
    most = parse_size(arguments.max_size)
    if most is None:
        raise UsageError(f"--max-size: '{arguments.max_size}' is not a size", "as in: 10m, 1.5g")
    folder, stem = _place(arguments.output, arguments.capture)
    build_request = request_of_user(environment).replace(jobs=max(1, arguments.jobs))

    def say(text: str) -> None:
        text = visible(text)
        environment.stderr.write(f"{text[:MAX_LINE]}{'...' if len(text) > MAX_LINE else ''}\n")
        environment.stderr.flush()

    with Store.open(environment.store_path(), create=False) as store:
        image = find_image(store, arguments.capture)
        given = arguments.base
        base = base_of_machine(store, image.tree, arguments.capture) if given is None else checked_base(given)
    say(f"building the base {base}")

    def make_base() -> None:
        with Store.open(environment.store_path()) as own:
            build_base(own, base, folder, build_request, lambda event: None)

    # Before the user namespace is entered: in it, bases can't be made from files of this machine.
    call_in_child(make_base)
    with Store.open(environment.store_path(), create=False) as store:
        store.sparse_limit = environment.sparse_limit()
        enter_for(store)
        question = FetchQuestion("recipe", arguments.capture, "its base", "allow it: --fetch")
        request = RecipeRequest(
            arguments.capture, base, folder, stem, most, force=arguments.force, build_request=build_request
        )
        written = write_recipe(
            store,
            image,
            request,
            say,
            lambda event: None,
            lambda lines: arguments.fetch or question.ask(environment, lines),
            lambda files: may_write(environment, stem, files, _DATA),
        )
    plain = recipe_plain(written)
    if arguments.format == "json":
        print_json(plain, environment.stdout)
    else:
        output = Output(environment.stdout, environment.colour(environment.stdout))
        environment.stdout.writelines(f"{line}\n" for line in recipe_lines(plain, output))
    return 0


def _place(output: str | None, capture: str) -> tuple[str, str]:
    """Return the directory and the name, without `.env`, of the recipe. Raises UsageError."""
    if output is None:
        tag = parse_tag(capture)
        return ".", tag.name if tag is not None else capture.removeprefix("sha256:")[:12]
    folder, name = os.path.split(output)
    if not os.path.isdir(folder or "."):
        raise UsageError(f"there is no directory {folder}", "create it, or name another with --output")
    stem = name.removesuffix(".env")
    if parse_tag(stem) is None or ":" in stem or "@" in stem or stem == name:
        raise UsageError(f"--output: '{name}' can't name a recipe", "as in: --output laptop.env")
    return folder or ".", stem
