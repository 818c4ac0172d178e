"""`envbuild promote`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.errors import BadOption, UsageError
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_LEAST = 6
"""Digits of a digest that `--expect` takes."""

DESCRIPTION = """\
Have a tag name the image that another one names, as from qa to prod: by its digest, with nothing built, and with the
way on record (who, when, from where, which tests had passed), which `envbuild log` shows. In the store, or in a
registry, between any of its repositories, or from the store into a registry.

A tag that moves in the meantime is left as it is. With --expect it is, too, unless it names that image before."""

EXAMPLES = """\
examples:
  envbuild promote web:qa web:prod
  envbuild promote web:qa web:prod --expect 8e33e8253967
  envbuild promote HOST/shop/web:qa HOST/shop/web:prod
  envbuild promote HOST/qa/web:1.2 HOST/prod/web:1.2 --expect none
  envbuild log HOST/shop/web:prod"""


def configure(parser: argparse.ArgumentParser) -> None:
    from envbuild.cli.json_output import add_format
    from envbuild.cli.registry_options import add_insecure

    parser.add_argument("source", metavar="SOURCE", help="an image of the store, or HOST/PATH[:TAG][@DIGEST]")
    parser.add_argument("target", metavar="TARGET", help="the tag: NAME[:TAG], or HOST/PATH:TAG")
    parser.add_argument(
        "--expect",
        metavar="DIGEST",
        help="only if TARGET names the image with this digest (its first digits will do) before, or `none` at all",
    )
    add_insecure(parser)
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    expected = _expected(arguments.expect)
    if _is_remote(arguments.target):
        raise UsageError("promotion in a registry comes", "")
    if _is_remote(arguments.source):
        raise UsageError(
            "an image of a registry gets a name here by a pull",
            f"envbuild pull {arguments.source} {arguments.target}",
        )
    return _in_store(arguments, expected, environment)


def _in_store(arguments: argparse.Namespace, expected: str | None, environment: Environment) -> int:
    from envbuild.build.named_image import find_image
    from envbuild.cli.json_output import print_json
    from envbuild.cli.left_behind import tell_of_left_behind
    from envbuild.images.names import to_set
    from envbuild.sharing.promote import promote_here
    from envbuild.sharing.promotion import checks_of

    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        image = find_image(store, arguments.source)
        place, names = to_set(store, arguments.target, ".")
        checks = checks_of(image)
        known = {"user": environment.user(), "host": environment.machine(), "source": arguments.source}
        before = promote_here(store, names, image, {**known, "checks": list(checks)}, expected)
        if place.project is not None:
            store.projects.add(place.project)
        shown = store.projects.shown(":".join(names[-1]), place.id)
        if arguments.format == "json":
            plain = {"name": shown, "image": f"sha256:{image.digest}", "replaced": before, "checks": list(checks)}
            print_json({**plain, "moved": before != image.digest}, environment.stdout)
        elif before == image.digest:
            environment.stdout.write(f"{shown} is {image.digest[:12]} already\n")
        else:
            environment.stdout.write(f"{shown}: {f'{before[:12]} -> ' if before else ''}{image.digest[:12]}\n")
        environment.stdout.flush()
        for name in names if before != image.digest else ():
            tell_of_left_behind(store, ":".join(name), environment)
    return 0


def _is_remote(text: str) -> bool:
    """Return whether a text names an image of a registry: it begins with a host."""
    host, slash, _ = text.partition("/")
    if not slash:
        return False
    from envbuild.registry.reference import is_host

    return is_host(host)


def _expected(text: str | None) -> str | None:
    """Return the digits that `--expect` says, "" for none at all, None without it. Raises BadOption."""
    if text is None:
        return None
    digits = "" if text == "none" else text.removeprefix("sha256:")
    fits = not digits.strip("0123456789abcdef") and _LEAST <= len(digits) <= 64
    if text != "none" and not fits:
        raise BadOption("--expect", text, "digest", "--expect 8e33e8253967, or --expect none")
    return digits
