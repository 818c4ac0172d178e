"""`envbuild pull`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.platform_option import add_platform, platform
from envbuild.cli.registry_options import access, add_insecure
from envbuild.cli.user_namespace import enter_for
from envbuild.store.store import Store
from envbuild.store.tags import PULL as PULLED
from envbuild.text.sizes import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.registry.reference import RegistryReference

DESCRIPTION = """\
Bring an image of a registry into the store. An image that `envbuild push` sent has the digest that it had, and its
recipe and steps on record. Layers that are here are not fetched again; where the image itself is, only the tag moves.

The user is that of docker's, podman's or envbuild's login."""

EXAMPLES = """\
examples:
  envbuild pull HOST/shop/web:1.2            is web:1.2 here
  envbuild pull HOST/shop/web:1.2 web
  envbuild pull HOST/shop/web@sha256:DIGEST web:pinned"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference", metavar="HOST/PATH[:TAG][@DIGEST]", help="what it is called in the registry")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="the image's name here, or NAME:TAG (default: the last part of PATH)"
    )
    add_platform(parser)
    add_insecure(parser)
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.images.names import to_set
    from envbuild.registry.reference import PULL, parse_reference
    from envbuild.sharing.base_record import note_said
    from envbuild.sharing.import_image import import_image
    from envbuild.sharing.known_manifests import note_blobs, note_image
    from envbuild.sharing.promote_remote import claims_of
    from envbuild.sharing.pull import pull
    from envbuild.sharing.pulled_signatures import PulledSignatures
    from envbuild.store.project import split_project

    reference = parse_reference(arguments.reference)
    named = arguments.name or _name(reference)
    architecture, variant = platform(arguments.platform)
    most = environment.fetch_limit()
    trust = environment.trust()
    with Store.open(environment.store_path()) as store:
        store.share()
        store.tidy()
        place, names = to_set(store, named, ".")  # a name that can't be one is said before anything is asked
        remotes = access(arguments, environment).repositories(reference, PULL, insecure=arguments.insecure)
        local = split_project(names[0][0])[1]
        signatures = PulledSignatures(trust, reference, local, remotes, "pulled")
        user = environment.user()  # in the namespace that is entered below, it is root
        with environment.progress_line() as line:
            judge = signatures.judge
            pulled = pull(store, remotes, reference, architecture, variant, most, line, judge, lambda: enter_for(store))
            promotions = [claim.plain for claim in claims_of(pulled.repository, pulled.remote.digest)]
            image = pulled.image
            left_out: tuple[str, ...] = ()
            if image is None:
                assert pulled.source is not None
                imported = import_image(store, pulled.source, pulled.source.image, line)
                image, left_out = imported.image, imported.notes
            note_image(store, pulled.remote.descriptor.digest, image.digest)
            note_said(store, image.digest, pulled.remote.manifest.annotations)
        environment.warn((*pulled.notes, *signatures.notes))
        environment.warn(left_out, "note")
        signatures.keep(store, image)
        manifest = pulled.remote.manifest
        blobs = [blob.digest for blob in (manifest.config, *manifest.layers)]
        note_blobs(store, pulled.repository.host, pulled.repository.path, blobs)
        if place.project is not None:
            store.projects.add(place.project)
        known = {
            "user": user,
            "reference": reference.text,
            "manifest": pulled.remote.digest,
            **({"promotions": promotions} if promotions else {}),
        }
        store.tags.move(names, image.digest, PULLED, known)
    name, tag = names[0]
    shown = f"{name.rpartition('/')[2]}:{tag}"  # the project is the one that the user is in, or named
    if arguments.format == "json":
        plain = {
            "name": shown,
            "image": f"sha256:{image.digest}",
            "manifest": pulled.remote.digest,
            "fetched": pulled.fetched,
        }
        print_json(plain, environment.stdout)
        return 0
    note = f"{format_size(pulled.fetched)} fetched" if pulled.fetched else "all of it was here"
    environment.stdout.write(f"{shown} = {image.digest} ({note})\n")
    return 0


def _name(reference: RegistryReference) -> str:
    """Return what an image is called here: the last part of its path there, and its tag, or the digits of a digest."""
    tag = reference.tag or reference.digest.removeprefix("sha256:")[:12]
    return f"{reference.name}:{tag}" if tag else f"{reference.name}:latest"
