"""`envbuild why`."""

from __future__ import annotations

import argparse

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.image_path import entry_at
from envbuild.cli.json_output import add_format, print_json
from envbuild.history.blame import Blame, blame
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.text.dates import iso
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DESCRIPTION = """\
Explain why a file of an image is as it is: the statement that made it, whether a later one changed it, the package
that it belongs to, who wrote that statement in which git commit, and since when the tag has had the file like that."""

EXAMPLES = """\
examples:
  envbuild why web /etc/nginx/nginx.conf
  envbuild why web@{3} /usr/bin/curl --format json"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="an image in any form")
    parser.add_argument("path", metavar="PATH", help="a file, link or directory in it")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        image = find_image(store, arguments.image)
        path, entry = entry_at(store, image, arguments.image, arguments.path, follow=False)
        reasons = blame(store, image, arguments.image, path, entry)
    shown = "/" + path.decode("utf-8", "backslashreplace")
    if arguments.format == "json":
        print_json(_plain(shown, image, reasons), environment.stdout)
        return 0
    environment.stdout.write(f"{visible(shown)} in {visible(arguments.image)} ({image.digest[:12]})\n")
    for name, value in _rows(reasons):
        environment.stdout.write(f"  {name:<8}  {visible(value)}\n")
    return 0


def _rows(reasons: Blame) -> list[tuple[str, str]]:
    rows = []
    for touch in reasons.touches:
        maker = touch.maker
        place = f"{maker.file}:{maker.line}: " if maker.file else ""
        head, _, more = maker.text.strip().partition("\n")
        rows.append((touch.verb, f"{place}{head}{' ...' if more else ''}  (stage {maker.stage})"))
    if not reasons.touches:
        rows.append(("made", "by a step whose tree is no longer in the store; build the recipe again to see which"))
    owner = reasons.owner
    rows.append(("package", f"{owner.name} {owner.version} ({owner.kind})" if owner else "none"))
    if reasons.author is not None:
        one = reasons.author
        rows.append(("written", f"by {one.name}, {iso(one.time)}, commit {one.commit[:12]}: {one.summary}"))
    elif reasons.uncommitted:
        rows.append(("written", "in no commit: the line was changed when the image was built"))
    if reasons.since is not None:
        since = reasons.since
        rows.append(("so since", f"{since.full}@{{{reasons.back}}}, {iso(since.moved)} ({since.action})"))
    return rows


def _plain(path: str, image: Image, reasons: Blame) -> dict[str, Any]:
    owner, author, since = reasons.owner, reasons.author, reasons.since
    return {
        "path": path,
        "image": f"sha256:{image.digest}",
        "touches": [
            {
                "verb": one.verb,
                "stage": one.maker.stage,
                "text": one.maker.text,
                "file": one.maker.file,
                "line": one.maker.line,
            }
            for one in reasons.touches
        ],
        "package": {"kind": owner.kind, "name": owner.name, "version": owner.version} if owner else None,
        "author": {"name": author.name, "commit": author.commit, "time": iso(author.time), "summary": author.summary}
        if author
        else None,
        "since": {"name": since.full, "back": reasons.back, "moved": iso(since.moved)} if since else None,
    }
