"""`envbuild output`."""

from __future__ import annotations

import argparse
import os

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.errors import UsageError
from envbuild.images.build_steps import build_steps
from envbuild.images.names import last_failure
from envbuild.language.one_line import one_line
from envbuild.store.step_logs import open_output
from envbuild.store.store import Store
from envbuild.ui.sanitize import LineCleaner, visible

DESCRIPTION = """\
Print the output of all steps of an image, of one step (`envbuild show` lists their numbers), or of the step at which
the last build of a recipe failed. The output is never cut."""

EXAMPLES = """\
examples:
  envbuild output web
  envbuild output web 3
  envbuild output --failed"""

_CHUNK = 1 << 16


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="an image; with --failed, a recipe's name")
    parser.add_argument("step", nargs="?", metavar="STEP", help="print the output of this step only: 3 or #3")
    parser.add_argument(
        "--failed", action="store_true", help="print the output of the step at which the last build failed"
    )
    parser.add_argument("--raw", action="store_true", help="print the bytes as they are, with escape sequences")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        if arguments.failed:
            failure = last_failure(store, arguments.image, ".")
            if failure is None:
                raise UsageError("no build failed last", "name an image: envbuild output IMAGE")
            _print(store, failure.known["output"], arguments.raw, environment)
            return 0
        if arguments.image is None:
            raise UsageError("which image?", "envbuild output IMAGE [STEP], or envbuild output --failed")
        image = find_image(store, arguments.image)
        steps = list(build_steps(image))
        if arguments.step is None:
            for step in steps:
                if not step.base:
                    environment.stdout.write(f"== #{step.number} {visible(one_line(step.text))}\n")
                    _print(store, step.known["output"], arguments.raw, environment)
            return 0
        chosen = next((step for step in steps if str(step.number) == arguments.step.removeprefix("#")), None)
        if chosen is None:
            raise UsageError(
                f"{arguments.image} has no step {arguments.step}", f"its steps are 1 to {len(steps)}: envbuild show"
            )
        if chosen.base:
            raise UsageError(
                f"step {chosen.number} of {arguments.image} is '{chosen.text}', whose output is not kept",
                "the numbers of the steps: envbuild show",
            )
        _print(store, chosen.known["output"], arguments.raw, environment)
    return 0


def _print(store: Store, digest: str, raw: bool, environment: Environment) -> None:
    descriptor = open_output(store.objects, digest)
    if descriptor is None:
        return
    cleaner = LineCleaner()
    # On a terminal the bytes could do harm; a file or a program gets them as they are.
    clean = not raw and environment.stdout.isatty()
    environment.stdout.flush()
    try:
        while chunk := os.read(descriptor, _CHUNK):
            if clean:
                environment.stdout.writelines(f"{line}\n" for line in cleaner.feed(chunk))
            else:
                environment.stdout.buffer.write(chunk)
    finally:
        os.close(descriptor)
    if clean:
        environment.stdout.writelines(f"{line}\n" for line in cleaner.finish())
    environment.stdout.flush()
