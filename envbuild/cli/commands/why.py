"""`envbuild why`."""

from __future__ import annotations

import argparse
import os
from itertools import islice

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.image_path import NoSuchPath, entry_at
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.user_namespace import with_rights
from envbuild.history.blame import Blame, blame, blame_missing, moves_from
from envbuild.history.capture_blame import CaptureBlame, capture_blame
from envbuild.history.file_diff import text_changes
from envbuild.history.line_blame import Line, blame_lines
from envbuild.images.capture_record import is_capture
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.ui.reports.why import (
    capture_plain,
    capture_rows,
    line_rows,
    lines_plain,
    reason_rows,
    why_plain,
)
from envbuild.ui.sanitize import visible

DESCRIPTION = """\
Explain why a file of an image is as it is: the statement that made it, whether a later one changed it, the package
that it belongs to, who wrote it in which git commit, and since when the tag has had the file like that. The commit is
the newest that touched a line of the statement, the copied file, or the value of a parameter in it. Of a path that is
gone, the statement or the commit that removed it.

Of a capture: the first capture in which the file was so, with its reason, what it was before, its package and whether
it is as that shipped it, and what the package manager did meanwhile. With --lines, the entry of the history that each
line came with."""

EXAMPLES = """\
examples:
  envbuild why web /etc/nginx/nginx.conf
  envbuild why web@{3} /usr/bin/curl --format json
  envbuild why laptop /etc/resolv.conf                 what changed it, and when
  envbuild why laptop /etc/ssh/sshd_config --lines"""

MAX_DIFF = 40
"""Lines of a difference that are shown without --all."""


class _Reasons(Record):
    path: bytes
    reasons: Blame
    capture: CaptureBlame | None = None
    diff: tuple[str, ...] = ()
    lines: tuple[Line, ...] | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="an image in any form")
    parser.add_argument("path", metavar="PATH", help="a file, link or directory in it")
    parser.add_argument("--lines", action="store_true", help="show what each line of the file came with")
    parser.add_argument("--all", "-a", action="store_true", help="shorten nothing")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        image = find_image(store, arguments.image)
        known = with_rights(store, lambda: _reasons(store, image, arguments))
    shown = "/" + known.path.decode("utf-8", "backslashreplace")
    reasons, capture = known.reasons, known.capture
    if arguments.format == "json":
        plain = why_plain(shown, image, reasons)
        if capture is not None:
            plain["capture"] = capture_plain(capture, reasons.owner, list(known.diff))
        if known.lines is not None:
            plain["lines"] = lines_plain(known.lines)
        print_json(plain, environment.stdout)
        return 0
    if known.lines is not None:
        environment.stdout.writelines(f"{line}\n" for line in line_rows(known.lines))
        return 0
    is_there = "in" if reasons.entry is not None else "is not in"
    environment.stdout.write(f"{visible(shown)} {is_there} {visible(arguments.image)} ({image.digest[:12]})\n")
    rows = reason_rows(reasons)
    if capture is not None:
        rows = capture_rows(capture, reasons.owner, everything=arguments.all)
    width = 9 if capture is not None else 8
    for name, value in rows:
        environment.stdout.write(f"  {name:<{width}}  {visible(value)}\n")
    most = None if arguments.all else MAX_DIFF
    environment.stdout.writelines(f"{visible(line)}\n" for line in islice(known.diff, most))
    if most is not None and len(known.diff) > most:
        environment.stdout.write(f"... and {len(known.diff) - most} lines more (--all)\n")
    return 0


def _reasons(store: Store, image: Image, arguments: argparse.Namespace) -> _Reasons:
    reference = arguments.image
    try:
        path, entry = entry_at(store, image, reference, arguments.path, follow=False)
    except NoSuchPath:
        missing = blame_missing(store, image, reference, os.fsencode(arguments.path))
        if missing is None:
            raise
        return _of_capture(store, image, reference, _Reasons(*missing))
    if arguments.lines:
        moves = moves_from(store, image, reference)
        lines = blame_lines(store, path, entry, moves)
        return _Reasons(path, blame(store, image, reference, path, entry), lines=lines)
    return _of_capture(store, image, reference, _Reasons(path, blame(store, image, reference, path, entry)))


def _of_capture(store: Store, image: Image, reference: str, known: _Reasons) -> _Reasons:
    """Add what is known of a path of a capture."""
    if not is_capture(store, image.tree):
        return known
    moves = list(moves_from(store, image, reference))
    reasons = capture_blame(store, image.tree, known.path, known.reasons.owner, moves)
    diff: list[str] = []
    entry, before = known.reasons.entry, reasons.before.entry if reasons.before is not None else None
    if reasons.before is not None and entry is not None:
        diff += text_changes(store, Change(known.path, before, entry))
    original = reasons.original
    if original is not None and entry is not None and (before is None or before.digest != original.digest):
        shipped = reasons.shipped.package if reasons.shipped is not None else ""
        diff += [f"compared with what {shipped} shipped:", *text_changes(store, Change(known.path, original, entry))]
    # The names that git gives the contents are for `git apply`.
    diff = [line for line in diff if not line.startswith("index ")]
    return known.replace(capture=reasons, diff=tuple(diff))
