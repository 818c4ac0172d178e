"""`envbuild gc`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.user_namespace import enter_for
from envbuild.errors import BadOption
from envbuild.store.store import Store
from envbuild.text.sizes import format_size, parse_size
from envbuild.ui.humanize import count

DESCRIPTION = """\
Remove what nothing needs: no tag (or its history), no lock on disk, no instance and no failed build. Tags of branches
(web:branch/fix) go when git no longer has the branch, neither here nor as one of a remote. With --keep or
--days, the history of a tag keeps only so many images; its entries remain readable. Captures that a machine took by
itself are thinned out as --captures says. With --budget, only what exceeds
the budget is removed, beginning with the cache that was not used for the longest time. Waits for running builds."""

EXAMPLES = """\
examples:
  envbuild gc --dry-run
  envbuild gc --keep 5 --days 30             of each tag the last 5 moves, and all of the last 30 days
  envbuild gc --budget 20g                   in a nightly job: only what goes beyond it
  envbuild gc --captures hours=48,days=90,months=24"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", "-n", action="store_true", help="only show what would be removed")
    parser.add_argument(
        "--keep",
        "--keep-history",
        type=int,
        metavar="N",
        help="keep the last N images of each tag (default, without --days: all)",
    )
    parser.add_argument("--days", type=float, metavar="D", help="keep the images that a tag named in the last D days")
    parser.add_argument(
        "--captures",
        metavar="LIMITS",
        help="keep captures that a machine took by itself: the last of each hour for so many hours, of each day for so "
        "many days, of each month for so many months (default: hours=24,days=31,months=all)",
    )
    parser.add_argument(
        "--budget",
        metavar="SIZE",
        help="keep the cache as long as the store is smaller than SIZE, such as 500m or 20g",
    )
    parser.add_argument("--no-wait", action="store_true", help="fail if the store is in use, instead of waiting")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.history.deleted_branches import tags_of_deleted_branches
    from envbuild.history.oneline import remember_changes
    from envbuild.instances.records import Instances
    from envbuild.instances.store_needs import pins
    from envbuild.store.capture_retention import Retention, parse_retention
    from envbuild.store.disk_usage import measure
    from envbuild.store.gc import collect
    from envbuild.store.reachability import Policy
    from envbuild.store.tags import GC

    if arguments.keep is not None and arguments.keep < 0:
        raise BadOption("--keep", str(arguments.keep), "number of entries", "--keep 3")
    if arguments.days is not None and not arguments.days >= 0:
        raise BadOption("--days", str(arguments.days), "number of days", "--days 30")
    budget = parse_size(arguments.budget) if arguments.budget is not None else None
    if arguments.budget is not None and budget is None:
        raise BadOption("--budget", arguments.budget, "size", "--budget 500m, --budget 20g")
    captures = parse_retention(arguments.captures) if arguments.captures is not None else Retention()
    with Store.open(environment.store_path(), create=False) as store:
        # As the user: git reads only the user's own repositories.
        deleted = tags_of_deleted_branches(store)
        enter_for(store)
        instances = Instances.of(store.path)
        store.tidy()
        instances.tidy()
        for tag in deleted if not arguments.dry_run else ():
            store.tags.remove(tag.name, tag.tag, GC, {"user": environment.user()})
        names = [store.projects.shown(tag.full) for tag in deleted]
        with environment.progress_line() as line:
            freed = collect(
                store,
                lambda: pins(instances),
                Policy(arguments.keep, arguments.days, frozenset((tag.name, tag.tag) for tag in deleted), captures),
                budget=budget,
                dry_run=arguments.dry_run,
                wait=not arguments.no_wait,
                going=lambda images: remember_changes(store, images),
                report=line,
            )
            left = measure(store, line) if budget is not None and not arguments.dry_run else 0
    plain: dict[str, object] = {name: getattr(freed, name) for name in freed.__match_args__}
    if arguments.format == "json":
        print_json({**plain, "tags": names, "dry_run": arguments.dry_run}, environment.stdout)
    else:
        verb = "would remove" if arguments.dry_run else "removed"
        if names:
            environment.stdout.write(f"{verb} tags of branches that git no longer has: {', '.join(names)}\n")
        parts = f"{count(freed.parts, 'part')} of installations, " if freed.parts else ""
        environment.stdout.write(
            f"{verb} {count(freed.images, 'image')}, {count(freed.steps, 'step')}, {parts}"
            f"{count(freed.layers, 'layer')}, {count(freed.objects, 'file')}: {format_size(freed.size)}\n"
        )
    if budget is not None and left > budget:
        environment.stderr.write(
            f"warning: the store still takes {format_size(left)}: tags, their history and locks need that\n"
            "hint: untag what is no longer needed, or keep less history: --keep N, --days D\n"
        )
        return 1
    return 0
