"""`envbuild verify`."""

from __future__ import annotations

import argparse

from envbuild.cli.build_display import display_of
from envbuild.cli.build_options import (
    add_grants,
    add_jobs,
    add_progress,
    add_vendor,
    granted,
    interrupt_on_termination,
    places_of,
    request_of_user,
)
from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format
from envbuild.cli.registry_options import add_insecure
from envbuild.errors import UsageError
from envbuild.store.store import Store

DESCRIPTION = """\
Rebuild an image from the recipe, the lock and the files that it was built from, which are kept with it, and compare
the digests. Every step runs; tags, locks and the cache stay as they are. If the digests differ, list the files that
do, and exit with 1.

With --key nothing is built: the signatures of the image are held against the key, here or in a registry. Exit with 1 if
none is that key's."""

EXAMPLES = """\
examples:
  envbuild verify web:prod
  envbuild verify 8e33e825 --secret token=~/.token
  envbuild verify web --vendor vendored      files that the store lacks come from there
  envbuild verify web --key release.pub      was it signed with this key?
  envbuild verify HOST/shop/web:1.2 --key release.pub"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="an image in any form; with --key also HOST/PATH:TAG")
    parser.add_argument(
        "--key", action="append", default=[], metavar="KEY", help="check signatures with this public key (may repeat)"
    )
    add_insecure(parser)
    add_format(parser)
    add_jobs(parser)
    add_grants(parser)
    add_vendor(parser)
    add_progress(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.build.named_image import find_image
    from envbuild.build.verify import verify
    from envbuild.ui.sanitize import visible

    if arguments.key:
        from envbuild.cli.signature_check import check_signatures

        return check_signatures(arguments, environment)
    if arguments.format == "json" or arguments.insecure:
        raise UsageError("--format and --insecure are for signatures", "name a key: --key FILE")
    interrupt_on_termination()
    request = request_of_user(environment).replace(
        jobs=max(1, arguments.jobs), places=places_of(arguments.vendor, environment), **granted(arguments, environment)
    )
    with Store.open(environment.store_path(), create=False) as store:
        store.sparse_limit = environment.sparse_limit()
        image = find_image(store, arguments.image)
        with display_of(arguments.progress, environment) as display:
            verified = verify(store, image, arguments.image, request, display)
    if verified.image == verified.rebuilt:
        environment.stdout.write(f"{arguments.image} is what its recipe gives: sha256:{verified.image}\n")
        return 0
    environment.stdout.write(
        f"{arguments.image} is sha256:{verified.image}\nits recipe gives sha256:{verified.rebuilt}\n"
    )
    environment.stdout.writelines(f"  {visible(line)}\n" for line in verified.differing)
    return 1
