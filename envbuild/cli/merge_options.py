"""The options of `merge` and `rebase` that decide conflicts and say where the result goes, and what they mean."""

from __future__ import annotations

from envbuild.cli.environment import Environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from envbuild.merge.choices import Choices
    from envbuild.merge.conflict import Conflict
    from envbuild.store.store import Store

MERGED = "merged"
"""The tag of a merged image, if none is given."""


def add_merge_options(parser: argparse.ArgumentParser, ours: str, theirs: str) -> None:
    """Declare the options of a merge of two sides, by the words that a command has for them."""
    parser.add_argument(
        "--ours", dest="our_names", action="append", default=[], metavar="NAME", help=f"decide a conflict for {ours}"
    )
    parser.add_argument(
        "--theirs",
        dest="their_names",
        action="append",
        default=[],
        metavar="NAME",
        help=f"decide a conflict for {theirs}",
    )
    parser.add_argument(
        "--renumber",
        action="store_true",
        help=f"give accounts of {theirs} free numbers where {ours} has given them to others",
    )
    parser.add_argument(
        "--write",
        metavar="DIR",
        help="write what conflicts into a new directory: each side, and the texts to be edited",
    )
    parser.add_argument(
        "--resolved", metavar="DIR", help="take the files in DIR/merged, which --write made, as they are edited"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would conflict")
    parser.add_argument("--no-verify", action="store_true", help="tag the image without running tests and audits")


def choices_of(arguments: argparse.Namespace) -> Choices:
    """Return what the options decide. Raises what `read_resolved` raises."""
    from envbuild.merge.choices import Choices
    from envbuild.merge.conflict_files import read_resolved

    contents = read_resolved(arguments.resolved) if arguments.resolved else ()
    return Choices(tuple(arguments.our_names), tuple(arguments.their_names), arguments.renumber, contents)


def write_if_asked(
    store: Store, arguments: argparse.Namespace, conflicts: Sequence[Conflict], environment: Environment
) -> None:
    """Write conflicts as files where `--write` says so."""
    from envbuild.merge.conflict_files import write_conflicts
    from envbuild.ui.humanize import count

    if conflicts and arguments.write:
        written = write_conflicts(store, arguments.write, conflicts)
        environment.warn([f"{count(written, 'conflict')} written to {arguments.write}"], "note")


def tag_beside(image: str, label: str) -> str:
    """Return the tag `label` of the name that an image is called by, "" where it is called by none."""
    from envbuild.images.reference import parse_tag

    reference = parse_tag(image.partition("@")[0])
    if reference is None:
        return ""
    return f"{reference.project}/{reference.name}:{label}" if reference.project else f"{reference.name}:{label}"
