"""`envbuild push`."""

from __future__ import annotations

import argparse

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.handing_on import say_what_goes
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.key_options import add_sign, signing_key
from envbuild.cli.layer_options import add_layers, layering, threads
from envbuild.cli.registry_options import access, add_insecure
from envbuild.cli.user_namespace import enter_for
from envbuild.errors import UsageError
from envbuild.store.store import Store
from envbuild.text.sizes import format_size
from envbuild.ui.humanize import count

DESCRIPTION = """\
Send an image to a registry, under the name that it is to have there. What the registry has is not sent again. The
layers are those of `export`: an edit of the application sends one small layer. Its signatures go along; with --sign it
is signed under the name that it has there.

The user is that of docker's, podman's or envbuild's login."""

EXAMPLES = """\
examples:
  envbuild push web HOST/shop/web:1.2
  envbuild push web localhost:5000/web
  envbuild push web HOST/shop/web:1.2 --sign --key release"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, or the first digits of a digest")
    parser.add_argument("reference", metavar="HOST/PATH[:TAG]", help="what it is called in the registry")
    add_layers(parser, "zstd")
    add_insecure(parser)
    add_sign(parser)
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.registry.reference import LATEST, PUSH, parse_reference
    from envbuild.sharing.export import export
    from envbuild.sharing.known_manifests import note_image
    from envbuild.sharing.push import push

    reference = parse_reference(arguments.reference)
    if reference.digest:
        raise UsageError("an image is pushed to a tag: its digest follows from it", "leave @sha256:... out")
    tag = reference.tag or LATEST
    chosen = layering(arguments.layers)
    key = signing_key(arguments, environment)
    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        image = find_image(store, arguments.image)
        remote = access(arguments, environment).repository(reference, PUSH, insecure=arguments.insecure)
        there = remote.digest_of(tag)  # before layers are made: it may not let us in
        say_what_goes(store, image, arguments.image, environment)
        enter_for(store)
        store.bring(image.tree)
        with environment.progress_line() as line:
            exported = export(
                store,
                image,
                reference.path,
                tag,
                layering=chosen,
                compression=arguments.compression or "zstd",
                threads=threads(arguments.jobs),
                report=line,
            )
            if key is not None:
                from envbuild.sharing.signing import sign_image

                sign_image(store, image, f"{reference.host}/{reference.path}", key, exported.entry.digest)
            bundles = store.signatures.of(image.digest)
            signatures = 0
            if bundles:
                from envbuild.sharing.signing import push_signatures

                # Before the tag: nobody finds the image there without them.
                signatures = push_signatures(remote, exported.entry, bundles)
            pushed = push(store, remote, reference, exported, there, line)
        note_image(store, pushed.digest, image.digest)
    if arguments.format == "json":
        plain = {
            "reference": f"{reference.host}/{reference.path}:{tag}",
            "manifest": pushed.digest,
            "image": f"sha256:{image.digest}",
            "sent": pushed.sent,
            "mounted": pushed.mounted,
            "there": pushed.there,
            "signatures": signatures,
        }
        print_json(plain, environment.stdout)
        return 0
    note = f"{format_size(pushed.sent)} sent, {format_size(pushed.there + pushed.mounted)} there already"
    if signatures:
        note += f", {count(signatures, 'signed statement')}"
    environment.stdout.write(f"{reference.host}/{reference.path}:{tag} = {pushed.digest} ({note})\n")
    return 0
