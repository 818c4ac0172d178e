"""`envbuild cat`."""

from __future__ import annotations

import os

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.image_path import entry_at
from envbuild.errors import UsageError
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, KIND_WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = "Print files of an image, byte for byte. Nothing is run and nothing mounted."

EXAMPLES = """\
examples:
  envbuild cat web /etc/os-release"""

_CHUNK = 1 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, or the first digits of a digest")
    parser.add_argument("path", nargs="+", metavar="PATH", help="files; links are followed inside the image")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        image = find_image(store, arguments.image)
        for path in arguments.path:
            _, entry = entry_at(store, image, arguments.image, path, follow=True)
            if entry.kind != FILE:
                raise UsageError(f"{path} is a {KIND_WORDS[entry.kind]}", "only files can be printed; see: envbuild ls")
            try:
                descriptor = store.objects.open(entry)
            except PermissionError:
                # A file that its owner keeps to itself, and that owner is a user of the image.
                from envbuild.cli.user_namespace import enter_for

                enter_for(store)
                descriptor = store.objects.open(entry)
            try:
                while chunk := os.read(descriptor, _CHUNK):
                    environment.stdout.buffer.write(chunk)
            finally:
                os.close(descriptor)
        environment.stdout.buffer.flush()
    return 0
