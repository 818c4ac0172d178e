"""`envbuild promote`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.cli.operand_kind import is_remote
from envbuild.errors import BadOption, UsageError
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from envbuild.registry.client import Repository
    from envbuild.registry.reference import RegistryReference
    from envbuild.sharing.image_trust import Trust
    from envbuild.sharing.promote_remote import Promoted, Who

_USE = "promoted"
SIGNED = "signed as the policy asks"
"""What is on record of a policy that was asked."""
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
    if is_remote(arguments.target):
        return _in_registry(arguments, expected, environment)
    if is_remote(arguments.source):
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

    trust = environment.trust()
    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        image = find_image(store, arguments.source)
        place, names = to_set(store, arguments.target, ".")
        checks = checks_of(image)
        if trust is not None:
            trust.check_image(store, image, arguments.target, _USE)
            checks = (*checks, *([SIGNED] if trust.needs_signatures(*_local_name(names[-1])) else []))
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


def _local_name(name: tuple[str, str]) -> tuple[str, str]:
    from envbuild.store.project import split_project

    return split_project(name[0])[1], name[1]


def _in_registry(arguments: argparse.Namespace, expected: str | None, environment: Environment) -> int:
    import time

    from envbuild.cli.json_output import print_json
    from envbuild.cli.registry_options import access
    from envbuild.registry.reference import LATEST, PULL, PUSH, parse_reference
    from envbuild.sharing.promote_remote import Who, promote_there
    from envbuild.sharing.pulled_signatures import PulledSignatures
    from envbuild.text.dates import iso

    wanted = parse_reference(arguments.target)
    if wanted.digest:
        raise UsageError("a promotion is to a tag: its digest follows from it", "leave @sha256:... out")
    wanted = wanted.replace(tag=wanted.tag or LATEST)
    who = Who(environment.user(), environment.machine(), iso(time.time()))
    trust = environment.trust()
    needed = trust is not None and trust.needs_signatures(f"{wanted.host}/{wanted.path}", wanted.tag)
    agreed = (SIGNED,) if needed else ()
    registries, most = access(arguments, environment), environment.fetch_limit()
    with Store.open(environment.store_path()) as store:
        store.share()
        target = registries.repository(wanted, PUSH, insecure=arguments.insecure)
        if is_remote(arguments.source):
            named = parse_reference(arguments.source)
            source = target
            if (named.host, named.path) != (wanted.host, wanted.path):
                source = registries.repository(named, PULL, insecure=arguments.insecure)
            judge = PulledSignatures(trust, wanted, "", [source], _USE).judge
            with environment.progress_line() as line:
                done = promote_there(store, source, named, target, wanted, who, expected, judge, agreed, most, line)
        else:
            done = _from_store(arguments, store, target, wanted, who, expected, trust, agreed, environment)
    if arguments.format == "json":
        plain = {"name": wanted.text, "manifest": done.digest, "replaced": done.replaced, "checks": list(done.checks)}
        print_json({**plain, "moved": done.replaced != done.digest}, environment.stdout)
    elif done.replaced == done.digest:
        environment.stdout.write(f"{wanted.text} is {done.digest} already\n")
    else:
        before = f"{done.replaced[:19]} -> " if done.replaced else ""
        environment.stdout.write(f"{wanted.text}: {before}{done.digest}\n")
    return 0


def _from_store(
    arguments: argparse.Namespace,
    store: Store,
    target: Repository,
    wanted: RegistryReference,
    who: Who,
    expected: str | None,
    trust: Trust | None,
    agreed: tuple[str, ...],
    environment: Environment,
) -> Promoted:
    from envbuild.build.named_image import find_image
    from envbuild.cli.layer_options import layering, threads
    from envbuild.cli.user_namespace import enter_for
    from envbuild.sharing.export import export
    from envbuild.sharing.known_manifests import note_image
    from envbuild.sharing.promote import check_expected
    from envbuild.sharing.promote_remote import Promoted, move
    from envbuild.sharing.promotion import Promotion, checks_of
    from envbuild.sharing.push import push

    image = find_image(store, arguments.source)
    checks = (*checks_of(image), *agreed)
    bundles = store.signatures.of(image.digest)
    if trust is not None:
        name = f"{wanted.host}/{wanted.path}"
        trust.check_manifest(name, wanted.tag, "", (), image.digest, bundles, _USE)
    before = target.digest_of(wanted.tag)
    check_expected(wanted.text, before, expected)
    enter_for(store)
    with environment.progress_line() as line:
        exported = export(
            store,
            image,
            wanted.path,
            wanted.tag,
            layering=layering("60"),
            compression="zstd",
            threads=threads(None),
            report=line,
        )
        digest = exported.entry.digest
        if before != digest:
            # By its digest first: the tag moves when the way is on record.
            push(store, target, wanted.replace(tag=digest), exported, "", line)
            promotion = Promotion(arguments.source, wanted.text, digest, before, who.user, who.host, who.when, checks)
            move(target, wanted, exported.entry, dict(exported.small)[digest], promotion, signatures=bundles)
    note_image(store, digest, image.digest)
    return Promoted(digest, before, checks)


def _expected(text: str | None) -> str | None:
    """Return the digits that `--expect` says, "" for none at all, None without it. Raises BadOption."""
    if text is None:
        return None
    digits = "" if text == "none" else text.removeprefix("sha256:")
    fits = not digits.strip("0123456789abcdef") and _LEAST <= len(digits) <= 64
    if text != "none" and not fits:
        raise BadOption("--expect", text, "digest", "--expect 8e33e8253967, or --expect none")
    return digits
