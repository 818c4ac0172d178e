"""`envbuild import`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.platform_option import add_platform, platform
from envbuild.cli.user_namespace import enter_for
from envbuild.errors import UsageError
from envbuild.store.store import Store
from envbuild.store.tags import IMPORT

DESCRIPTION = """\
Take an image that other tools made into the store: an OCI image layout, as a folder or an archive, or what `docker
save` wrote. Its layers become a tree, its configuration the image's facts. An image that `envbuild export` wrote comes
back with the digest that it had, and with its recipe and steps on record."""

EXAMPLES = """\
examples:
  docker save web | envbuild import -
  skopeo copy docker://HOST/web:1.2 oci:layout; envbuild import layout web:1.2
  envbuild import all.tar --image db --platform linux/arm64"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE|DIR", help="an archive or a folder with images, or - for standard input")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="the image's name here, or NAME:TAG (default: as it is called there)"
    )
    parser.add_argument("--image", metavar="NAME", default="", help="which one, where the file has several")
    add_platform(parser)
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.images.names import to_set
    from envbuild.sharing.image_file import ImageFile
    from envbuild.sharing.import_image import choose, import_image, name_of

    architecture, variant = platform(arguments.platform)
    with Store.open(environment.store_path()) as store:
        store.share()
        store.tidy()
        if arguments.name is not None:
            to_set(store, arguments.name, ".")  # a name that can't be one is said before anything is read
        user = environment.user()  # in the namespace that is entered now, it is root
        enter_for(store)
        with store.work.file() as scratch, store.work.file() as spooled, environment.progress_line() as line:
            file = ImageFile(_spooled(spooled, environment) if arguments.file == "-" else arguments.file, scratch)
            if arguments.file == "-":
                file.shown = "standard input"
            image = choose(file.images(architecture, variant), arguments.image, file.shown)
            named = arguments.name
            if named is None:
                own = name_of(image)
                if own is None:
                    raise UsageError(
                        f"{file.shown} does not say what its image is called",
                        f"give it a name: envbuild import {arguments.file} NAME",
                    )
                named = f"{own.name}:{own.tag}"
            imported = import_image(store, file, image, line)
        environment.warn(imported.notes, "note")
        place, names = to_set(store, named, ".")
        if place.project is not None:
            store.projects.add(place.project)
        known = {"user": user, "file": file.shown}
        store.tags.move(names, imported.image.digest, IMPORT, known)
    name, tag = names[0]
    shown = f"{name.rpartition('/')[2]}:{tag}"  # the project is the one that the user is in, or named
    if arguments.format == "json":
        print_json(
            {"name": shown, "image": f"sha256:{imported.image.digest}", "same": imported.same}, environment.stdout
        )
        return 0
    note = " (as it was exported)" if imported.same else ""
    environment.stdout.write(f"{shown} = {imported.image.digest}{note}\n")
    return 0


def _spooled(path: str, environment: Environment) -> str:
    """Put what comes in on standard input into a file, in which one can go to and fro."""
    import shutil

    with open(path, "xb") as file:
        shutil.copyfileobj(environment.stdin.buffer, file)
    return path
