"""`envbuild why`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.image_path import NoSuchPath, entry_at
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.user_namespace import with_rights
from envbuild.history.authorship import STATEMENT, Credit
from envbuild.history.blame import Blame, Touch, blame, blame_missing
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import HistoryEntry
from envbuild.text.dates import iso
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.git.repository import Author

DESCRIPTION = """\
Explain why a file of an image is as it is: the statement that made it, whether a later one changed it, the package
that it belongs to, who wrote it in which git commit, and since when the tag has had the file like that. The commit is
the newest that touched a line of the statement, the copied file, or the value of a parameter in it. Of a path that is
gone, the statement or the commit that removed it."""

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
        path, reasons = with_rights(store, lambda: _reasons(store, image, arguments))
    shown = "/" + path.decode("utf-8", "backslashreplace")
    if arguments.format == "json":
        print_json(_plain(shown, image, reasons), environment.stdout)
        return 0
    is_there = "in" if reasons.entry is not None else "is not in"
    environment.stdout.write(f"{visible(shown)} {is_there} {visible(arguments.image)} ({image.digest[:12]})\n")
    for name, value in _rows(reasons):
        environment.stdout.write(f"  {name:<8}  {visible(value)}\n")
    return 0


def _reasons(store: Store, image: Image, arguments: argparse.Namespace) -> tuple[bytes, Blame]:
    try:
        path, entry = entry_at(store, image, arguments.image, arguments.path, follow=False)
    except NoSuchPath:
        missing = blame_missing(store, image, arguments.image, os.fsencode(arguments.path))
        if missing is None:
            raise
        return missing
    return path, blame(store, image, arguments.image, path, entry)


def _rows(reasons: Blame) -> Iterator[tuple[str, str]]:
    removal = reasons.removal
    if removal is not None:
        yield from _touches(removal.touches)
        yield "removed", f"with {_moved(removal.entry, removal.back)}"
        if removal.author is not None:
            yield "by", _author(removal.author)
        return
    yield from _touches(reasons.touches)
    if not reasons.touches:
        yield "made", "by a step whose tree is no longer in the store; build the recipe again to see which"
    owner = reasons.owner
    if reasons.entry is not None:
        yield "package", f"{owner.name} {owner.version} ({owner.kind})" if owner else "none"
    if reasons.credit is not None:
        yield "written", _written(reasons.credit)
    if reasons.since is not None:
        yield "so since", _moved(reasons.since, reasons.back)


def _touches(touches: Iterable[Touch]) -> Iterator[tuple[str, str]]:
    for touch in touches:
        maker = touch.maker
        place = f"{maker.file}:{maker.line}: " if maker.file else ""
        head, _, more = maker.text.strip().partition("\n")
        yield touch.verb, f"{place}{head}{' ...' if more else ''}  (stage {maker.stage})"


def _written(credit: Credit) -> str:
    what = "the line" if credit.what == STATEMENT else credit.what
    if credit.uncommitted:
        return f"in no commit: {what} was changed when the image was built"
    if credit.set:
        return f"in no commit: {what} was set on the command line when the image was built (--set)"
    if credit.author is None:
        return f"before this shallow clone begins ({what}): git fetch --unshallow"
    return f"by {_author(credit.author)}" + ("" if credit.what == STATEMENT else f" ({credit.what})")


def _author(author: Author) -> str:
    return f"{author.name}, {iso(author.time)}, commit {author.commit[:12]}: {author.summary}"


def _moved(entry: HistoryEntry, back: int) -> str:
    return f"{entry.full}@{{{back}}}, {iso(entry.moved)} ({entry.action})"


def _plain(path: str, image: Image, reasons: Blame) -> dict[str, Any]:
    owner, credit, since, removal = reasons.owner, reasons.credit, reasons.since, reasons.removal
    return {
        "path": path,
        "image": f"sha256:{image.digest}",
        "exists": reasons.entry is not None,
        "touches": [_plain_touch(touch) for touch in reasons.touches],
        "package": {"kind": owner.kind, "name": owner.name, "version": owner.version} if owner else None,
        "author": _plain_author(credit.author) if credit is not None else None,
        "credit": {"what": credit.what, "uncommitted": credit.uncommitted, "set": credit.set, "shallow": credit.shallow}
        if credit is not None
        else None,
        "since": _plain_move(since, reasons.back) if since else None,
        "removal": {
            **_plain_move(removal.entry, removal.back),
            "touches": [_plain_touch(touch) for touch in removal.touches],
            "author": _plain_author(removal.author),
        }
        if removal is not None
        else None,
    }


def _plain_touch(touch: Touch) -> dict[str, Any]:
    maker = touch.maker
    return {"verb": touch.verb, "stage": maker.stage, "text": maker.text, "file": maker.file, "line": maker.line}


def _plain_author(author: Author | None) -> dict[str, Any] | None:
    if author is None:
        return None
    return {"name": author.name, "commit": author.commit, "time": iso(author.time), "summary": author.summary}


def _plain_move(entry: HistoryEntry, back: int) -> dict[str, Any]:
    return {"name": entry.full, "back": back, "moved": iso(entry.moved)}
