"""`envbuild merge`."""

from __future__ import annotations

from envbuild.build.named_image import find_image
from envbuild.cli.build_options import request_of_user
from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.left_behind import tell_of_left_behind
from envbuild.cli.merge_options import MERGED, add_merge_options, choices_of, tag_beside, write_if_asked
from envbuild.cli.user_namespace import enter_for
from envbuild.errors import UsageError
from envbuild.images.names import to_set
from envbuild.merge.merge import merge_images
from envbuild.merge.merged_image import finish_merge
from envbuild.rebase.verification import TestsOf, Verification, verify
from envbuild.store.store import Store
from envbuild.store.tags import MERGE
from envbuild.ui.reports.git_merge import verification_lines, verification_plain
from envbuild.ui.reports.merge import conflict_lines, merge_plain, merged_lines
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Merge two environments that began as one: what led from BASE to OURS and from BASE to THEIRS is put together, path by
path, and database by database (dpkg's status, accounts, alternatives, npm's lock ...). Caches are made anew by the
programs that make them, in a sandbox without a network.

What both changed, and differently, is a conflict: it is listed with all three sides, and nothing is tagged. --ours and
--theirs decide conflicts by the names in that list: a path (or a directory, for all in it), a package, a fact such as
env.PATH, or all of them with `all`.

With no conflicts, the tests of both sides' recipes run in the merged image, and `dpkg --audit`, `apt-get check` and
`pip check` where it has these programs; what they find, and found in neither side, keeps the image from being tagged.

Without names it does this for the merge, cherry-pick, revert or rebase that git is in the middle of, or else for the
merge that HEAD is: for each recipe that both sides changed, the images of the commits are merged and tagged
NAME:merged. Meanwhile the merged recipe is really built, in the background, and compared: --status tells what came of
it. The lock gets what that build gave. Locks that git could not merge are merged package by package.

Exit code: 0 if the merged image is tagged, 1 if there are conflicts or a check failed."""

EXAMPLES = """\
examples:
  git merge feature; envbuild merge; envbuild merge --status
  envbuild merge web@{1.month} web:main web:feature
  envbuild merge web:base web:ours web:theirs --ours /etc/app.conf --theirs nginx -t web:both
  envbuild merge web:base web:ours web:theirs --renumber --dry-run"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", nargs="?", metavar="BASE", help="the image that both began as")
    parser.add_argument("ours", nargs="?", metavar="OURS", help="an image in any form")
    parser.add_argument("theirs", nargs="?", metavar="THEIRS", help="the image that is merged into it")
    parser.add_argument(
        "--tag", "-t", metavar="NAME[:TAG]", help=f"the tag of the merged image (default: OURS' name, with :{MERGED})"
    )
    add_merge_options(parser, "OURS", "THEIRS")
    parser.add_argument("--wait", action="store_true", help="in git: wait for the real build of the merged recipes")
    parser.add_argument("--no-rebuild", action="store_true", help="in git: leave the real build to you")
    parser.add_argument("--status", action="store_true", help="in git: show what the real builds came to")
    parser.add_argument(
        "--rebuild", nargs="+", default=[], metavar="RECIPE", help="in git: do the real build of merged recipes now"
    )
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    named = [text for text in (arguments.base, arguments.ours, arguments.theirs) if text is not None]
    if not named:
        from envbuild.cli.merge_in_git import run_in_git

        return run_in_git(arguments, environment)
    if len(named) < 3:
        raise UsageError("merge takes three images, or none in a merge of git", "envbuild merge BASE OURS THEIRS")
    output = Output(environment.stdout, environment.colour(environment.stdout))
    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        store.sparse_limit = environment.sparse_limit()
        user, request = environment.user(), request_of_user(environment)
        base, ours, theirs = (find_image(store, text) for text in (arguments.base, arguments.ours, arguments.theirs))
        tag = arguments.tag or tag_beside(arguments.ours, MERGED) or tag_beside(arguments.theirs, MERGED) or MERGED
        place, names = to_set(store, tag, ".")
        choices = choices_of(arguments)
        enter_for(store)
        if not arguments.dry_run and store.stacks.chain(ours.tree):
            # Caches are made on these layers: looked through meanwhile, as that takes as long as all else.
            store.stacks.check_ahead(ours.tree)
        result = merge_images(store, base, ours, theirs, choices, keep=not arguments.dry_run)
        plain = merge_plain(result)
        checks = Verification()
        write_if_asked(store, arguments, result.conflicts, environment)
        if not result.conflicts and not arguments.dry_run:
            done = finish_merge(store, result, names[0][0].rpartition("/")[2], base, ours, theirs)
            if not arguments.no_verify:
                tests = TestsOf(images=(ours, theirs))
                checks = verify(store, request, done.image.tree, result.facts, tests, (ours.tree, theirs.tree))
            plain |= {
                "image": f"sha256:{done.image.digest}",
                "tree": f"sha256:{done.image.tree}",
                "tag": tag if not checks.failures else None,
                "caches": list(done.made),
                "stale": dict(done.left),
                "checks": verification_plain(checks),
            }
            environment.warn([f"{name} is not made anew: {reason}" for name, reason in done.left])
            if not checks.failures:
                store.images.put(done.image)
                known = {"user": user, "source": arguments.ours, "from": arguments.theirs, "base": arguments.base}
                if place.project is not None:
                    store.projects.add(place.project)
                store.tags.move(names, done.image.digest, MERGE, known)
                for name in names:
                    tell_of_left_behind(store, ":".join(name), environment)
    if arguments.format == "json":
        print_json(plain, environment.stdout)
    elif result.conflicts:
        output.write_lines(list(conflict_lines(plain["conflicts"], output)))
    elif arguments.dry_run:
        output.write_lines(["no conflicts"])
    else:
        side = {ours.digest: "OURS", theirs.digest: "THEIRS"}.get(done.image.digest, "")
        bad = [f"image {done.image.digest[:12]} is not tagged: it fails"]
        lines = bad if checks.failures else list(merged_lines(plain, side))
        output.write_lines([*lines, *verification_lines(checks, output)])
    return 1 if result.conflicts or checks.failures else 0
