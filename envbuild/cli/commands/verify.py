"""`envbuild verify`."""

from __future__ import annotations

import argparse
import os
import signal

from envbuild.build.request import BuildRequest
from envbuild.cli.commands import build
from envbuild.cli.environment import Environment
from envbuild.store.store import Store

DESCRIPTION = """\
Builds an image again from the recipe, the lock and the files that it was built from, which are kept beside it, and
says whether the same digest comes out. Every step runs; tags, locks and the cache stay as they are. Exit code 1 if it
differs, with the files that do."""

EXAMPLES = """\
examples:
  envbuild verify web:prod
  envbuild verify 8e33e825 --secret token=~/.token"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="an image in any form")
    parser.add_argument(
        "--jobs", "-j", type=int, default=os.cpu_count() or 1, metavar="N", help="steps that run at the same time"
    )
    parser.add_argument(
        "--secret", action="append", default=[], metavar="NAME[=FILE]", help="a secret that the build was given"
    )
    parser.add_argument(
        "--progress", choices=("auto", "plain", "json"), default="auto", help="how to show what happens"
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.build.named_image import find_image
    from envbuild.build.verify import verify
    from envbuild.errors import EnvbuildError
    from envbuild.ui.sanitize import visible
    from envbuild.ui.select_display import display

    signal.signal(signal.SIGTERM, build.interrupt)
    request = BuildRequest(
        path="",
        jobs=max(1, arguments.jobs),
        secrets=tuple(build.secret(text, environment) for text in arguments.secret),
        network=environment.network(),
        home=environment.home(),
        fetch_limit=environment.fetch_limit(),
    )
    stream = environment.stdout if arguments.progress == "json" else environment.stderr
    terminal = stream.isatty() and environment.variables.get("TERM") != "dumb"
    with Store.open(environment.store_path(), create=False) as store:
        store.sparse_limit = environment.sparse_limit()
        image = find_image(store, arguments.image)
        shown = display(arguments.progress, stream, terminal, environment.colour(stream))
        try:
            with shown:
                verified = verify(store, image, arguments.image, request, shown)
        except EnvbuildError as error:
            if not error.told:
                raise
            return error.exit_code
    if verified.image == verified.rebuilt:
        environment.stdout.write(f"{arguments.image} is what its recipe gives: sha256:{verified.image}\n")
        return 0
    environment.stdout.write(
        f"{arguments.image} is sha256:{verified.image}\nits recipe gives sha256:{verified.rebuilt}\n"
    )
    environment.stdout.writelines(f"  {visible(line)}\n" for line in verified.differing)
    return 1
