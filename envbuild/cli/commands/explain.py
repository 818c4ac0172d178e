"""`envbuild explain`."""

from __future__ import annotations

import argparse

from envbuild.build.explained_reads import StepReads, reads_of
from envbuild.cli.build_options import parameter, request_of_user
from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.recipe_operand import recipe_path
from envbuild.store.store import Store
from envbuild.trace.reads import ABSENT, ATTRIBUTES, CONTENT, LISTING, RIGHTS
from envbuild.ui.humanize import count
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

DESCRIPTION = """\
List what a step reads of the tree that it runs on: each path that it opens, lists, asks for or looks for in vain. If
none of these is another one on another tree, `build --trace` does not run the step there."""

EXAMPLES = """\
examples:
  envbuild explain 12                 the step at line 12 of the recipe of this directory
  envbuild explain web.env:12
  envbuild explain web.env:12 --format json"""

_WORDS = ((ABSENT, "absent"), (CONTENT, "content"), (LISTING, "names"), (ATTRIBUTES, "attributes"), (RIGHTS, "rights"))


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("step", metavar="STEP", help="the line of a step: LINE, or RECIPE:LINE")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="set a parameter of the recipe (may repeat)"
    )
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    recipe, _, line = arguments.step.rpartition(":")
    path = recipe_path(recipe or None, "explain")
    request = request_of_user(environment).replace(
        path=path, settings=tuple(parameter(text) for text in arguments.set), epoch=environment.epoch()
    )
    with Store.open(environment.store_path()) as store:
        steps = reads_of(request, store, f"{path}:{line}")
    if arguments.format == "json":
        print_json([_plain(step) for step in steps], environment.stdout)
    else:
        environment.stdout.writelines(f"{visible(line)}\n" for step in steps for line in _lines(step))
    return 0


def _lines(step: StepReads) -> Iterator[str]:
    place = step.step.place
    yield f"{place.file}:{place.line} [{step.stage}] {step.step.text.strip().partition(chr(10))[0]}"
    if step.runs_nothing:
        yield "  it runs nothing: it is done on any tree"
    elif step.run is None or step.reads is None:
        yield "  no run of it was traced: envbuild build --trace does that when it runs"
    elif step.reads.untraceable:
        yield f"  what it reads can't be followed: it {step.reads.untraceable}"
    else:
        yield f"  it took {step.run.seconds:.2f} seconds and reads {count(len(step.reads.paths), 'path')}"
        for path, access in step.reads.paths.items():
            yield f"  {_words(access)[0]:<10}  /{path.decode(errors='backslashreplace')}"
    if step.distrusted:
        yield f"  this does not count: {step.distrusted}"


def _words(access: int) -> list[str]:
    """Return what was asked of a path, without what another word says, too."""
    if access & CONTENT:
        access &= ~(ATTRIBUTES | RIGHTS)
    elif access & ATTRIBUTES:
        access &= ~RIGHTS
    return [word for bit, word in _WORDS if access & bit]


def _plain(step: StepReads) -> dict[str, Any]:
    place, reads = step.step.place, step.reads
    return {
        "stage": step.stage,
        "text": step.step.text,
        "file": place.file,
        "line": place.line,
        "traced": reads is not None and not reads.untraceable,
        "untraceable": reads.untraceable if reads is not None else "",
        "distrusted": step.distrusted,
        "seconds": step.run.seconds if step.run is not None else None,
        "reads": [
            {"path": "/" + path.decode("utf-8", "backslashreplace"), "what": _words(access)}
            for path, access in (reads.paths.items() if reads is not None else ())
        ],
    }
