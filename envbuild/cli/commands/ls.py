"""`envbuild ls`."""

from __future__ import annotations

import stat

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.image_path import entry_at
from envbuild.cli.json_output import add_format, print_json
from envbuild.store.store import Store
from envbuild.text.dates import iso
from envbuild.tree.entry import DIRECTORY, KIND_WORDS, LINK, ROOT_NAME, TYPE_BITS, Entry
from envbuild.tree.lookup import walk
from envbuild.ui.sanitize import visible
from envbuild.ui.tables import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = "List a directory of an image, or one path. Nothing is run and nothing mounted."

EXAMPLES = """\
examples:
  envbuild ls web /etc
  envbuild ls web --recursive /srv --format json"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, or the first digits of a digest")
    parser.add_argument("path", nargs="?", default="/", metavar="PATH", help="list this directory or file (default: /)")
    parser.add_argument("--recursive", "-R", action="store_true", help="list subdirectories, too")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        image = find_image(store, arguments.image)
        path, entry = entry_at(store, image, arguments.image, arguments.path, follow=True)
        if entry.kind != DIRECTORY:
            listed = [(path, entry)]
        elif arguments.recursive:
            listed = list(walk(store.trees, entry.digest))
        else:
            listed = [(entry.name, entry) for entry in store.trees.load(entry.digest) if entry.name != ROOT_NAME]
    if arguments.format == "json":
        print_json([_plain(name, entry) for name, entry in listed], environment.stdout)
        return 0
    rows = [
        (
            stat.filemode(TYPE_BITS[entry.kind] | entry.mode),
            f"{entry.uid}:{entry.gid}",
            str(entry.size),
            iso(entry.mtime / 1e9),
            visible(name.decode(errors="surrogateescape"))
            + (f" -> {visible(entry.target.decode(errors='surrogateescape'))}" if entry.kind == LINK else ""),
        )
        for name, entry in listed
    ]
    table(("MODE", "OWNER", "SIZE", "TIME", "NAME"), rows, stream=environment.stdout, right=(2,))
    return 0


def _plain(name: bytes, entry: Entry) -> dict[str, object]:
    plain: dict[str, object] = {
        "name": name.decode(errors="backslashreplace"),
        "kind": KIND_WORDS[entry.kind],
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime": iso(entry.mtime / 1e9),
    }
    if entry.digest:
        plain["digest"] = f"sha256:{entry.digest}"
    if entry.kind == "f":
        plain["size"] = entry.size
    if entry.target:
        plain["target"] = entry.target.decode(errors="backslashreplace")
    if entry.xattrs:
        plain["xattrs"] = {key.decode(errors="backslashreplace"): value.hex() for key, value in entry.xattrs}
    return plain
