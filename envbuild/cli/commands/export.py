"""`envbuild export`."""

from __future__ import annotations

import argparse
import os
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.handing_on import say_what_goes
from envbuild.cli.layer_options import add_layers, layering, threads
from envbuild.cli.user_namespace import enter_for
from envbuild.errors import UsageError
from envbuild.images.reference import BadName, parse_name, parse_tag
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.text.sizes import format_size
from envbuild.ui.humanize import count

DESCRIPTION = """\
Write an image as a file or a folder that other tools take: an OCI image layout for podman, buildah, skopeo, umoci and
containerd, an archive for `docker load`, a plain tar archive of all files, or a file system to mount. The same image
gives the same bytes.

Its layers are not those of its steps: what it began with, then its packages, then what each step brought, so that an
edit makes one small new layer. Layers that were made once are kept in the store."""

EXAMPLES = """\
examples:
  envbuild export web -o web.tar             an OCI archive
  envbuild export web -o layout/             an OCI image layout in a folder
  envbuild export web --format docker | docker load
  envbuild export web --format tar -o files.tar"""

OCI, DOCKER, TAR, SQUASHFS, EROFS = "oci", "docker", "tar", "squashfs", "erofs"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, or the first digits of a digest")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE|DIR",
        help="write to this file, or with a slash at its end to this folder (default: standard output)",
    )
    parser.add_argument(
        "--format", choices=(OCI, DOCKER, TAR, SQUASHFS, EROFS), default=OCI, help="what to write (default: oci)"
    )
    add_layers(parser, "zstd, and gzip for docker, whose versions before 23 know no other")
    parser.add_argument("--name", metavar="NAME:TAG", help="what the image is called there (default: as here)")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.sharing import export

    output = arguments.output
    chosen = layering(arguments.layers)
    folder = output is not None and (output.endswith("/") or os.path.isdir(output))
    if folder and arguments.format != OCI:
        raise UsageError(f"--format {arguments.format} is one file, and {output} is a folder", "name a file")
    if output is None and environment.stdout.isatty():
        raise UsageError("an image is nothing for a terminal", "name a file: envbuild export IMAGE -o FILE")
    if output is None and arguments.format in (SQUASHFS, EROFS):
        raise UsageError(
            f"--format {arguments.format} is written to a file, and not to a pipe", "name one with -o FILE"
        )
    jobs = threads(arguments.jobs)
    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        image = find_image(store, arguments.image)
        name, tag = _name(arguments.name, arguments.image, image)
        say_what_goes(store, image, arguments.image, environment)
        enter_for(store)
        store.bring(image.tree)
        if arguments.format == TAR:
            with _target(output, environment) as file:
                export.write_tar(store, image, file)
            return 0
        if arguments.format in (SQUASHFS, EROFS):
            from envbuild.sharing.disk_image import write_disk_image

            with export.new_path(output) as path:
                write_disk_image(store, image, arguments.format, path, jobs)
            return 0
        with environment.progress_line() as line:
            exported = export.export(
                store,
                image,
                name,
                tag,
                layering=chosen,
                compression=arguments.compression or ("gzip" if arguments.format == DOCKER else "zstd"),
                threads=jobs,
                report=line,
            )
        if folder:
            export.write_folder(exported, output.rstrip("/") or "/")
        else:
            with _target(output, environment) as file:
                export.write_archive(exported, file, docker=arguments.format == DOCKER)
    if output is not None:
        size = sum(export.parts(exported).values())
        layers = count(len(exported.layers), "layer")
        environment.stdout.write(f"{name}:{tag} = {exported.entry.digest} ({layers}, {format_size(size)})\n")
    return 0


def _name(wanted: str | None, reference: str, image: Image) -> tuple[str, str]:
    """Return what an image is called elsewhere: as the user says, or as the reference does, or the recipe."""
    named = parse_name(wanted) if wanted is not None else parse_tag(reference)
    if named is None:
        try:
            named = parse_name(str(image.known.get("recipe", "")))
        except BadName:
            return "image", image.digest[:12]
    # Docker's names are in lower case, and its tags have no slash (distribution's reference grammar).
    project = f"{named.project}/" if named.project else ""
    return f"{project}{named.name}".lower(), (named.tag or "latest").replace("/", "-")


def _target(output: str | None, environment: Environment) -> AbstractContextManager[BinaryIO]:
    from envbuild.sharing.export import new_file

    return new_file(output) if output is not None else nullcontext(environment.stdout.buffer)
