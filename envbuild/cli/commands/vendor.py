"""`envbuild vendor`."""

from __future__ import annotations

import argparse
import os

from envbuild.cli.build_options import interrupt_on_termination, request_of_user
from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.locked_recipes import locked_here
from envbuild.cli.recipe_operand import recipe_path
from envbuild.errors import UsageError
from envbuild.store.store import Store
from envbuild.text.sizes import format_size
from envbuild.ui.humanize import count
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.build.pinned_files import LockNeeds
    from envbuild.build.vendor_check import Whereabouts

DESCRIPTION = """\
Put every file that the locks of recipes pin into a directory: packages, the packages of bases, and fetched files, each
once, named by its hash. Files that are there and good stay. Any web server can serve the directory, and
$ENVBUILD_PLACES and `build --vendor` take files from it. Without a recipe, those of the current directory that have a
lock. With --check, fetch nothing and say where each file would come from today; exit with 1 if one is nowhere. Of a
lock for machines of several architectures the files of all are meant, or those of --arch."""

EXAMPLES = """\
examples:
  envbuild vendor -o vendored                all recipes of this directory
  envbuild vendor web.env -o /srv/vendored
  envbuild vendor -o vendored --sign ~/.ssh/id_ed25519
  envbuild build web.env --offline --vendor /srv/vendored
  envbuild vendor --check                    in a weekly CI job: can the locks still be rebuilt?
  envbuild vendor --check --format json"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="*", metavar="RECIPE", help="recipes (default: those here that have a lock)")
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="the directory to fill; with --check, one more place to look in"
    )
    parser.add_argument(
        "--arch",
        action="append",
        default=[],
        metavar="ARCH",
        help="only what machines of this architecture need, such as arm64 (may repeat; default: all in the locks)",
    )
    parser.add_argument(
        "--sums", action="store_true", help="also write SHA256SUMS and its like, which `sha256sum --check` reads"
    )
    parser.add_argument(
        "--sign", metavar="KEY", help="sign them too, with this private key of ssh-keygen: SHA256SUMS.sig"
    )
    parser.add_argument("--check", action="store_true", help="only say where each file would come from today")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    if not arguments.check and not arguments.output:
        raise UsageError("vendor: no directory to fill", "name one, as in: envbuild vendor -o vendored")
    if not arguments.check and arguments.format == "json":
        raise UsageError("vendor --format json without --check", "only --check has something to list")
    if arguments.check and (arguments.sums or arguments.sign):
        raise UsageError("vendor --check with --sums or --sign", "they are written where a directory is filled")
    interrupt_on_termination()
    recipes = [recipe_path(path, "vendor") for path in arguments.recipe] or locked_here("vendor")
    with Store.open(environment.store_path()) as store:
        from envbuild.build.pinned_files import needs_of

        wanted = arguments.arch
        needs = list({need.path: need for path in recipes for need in needs_of(path, store, wanted)}.values())
        if arguments.check:
            return _check(arguments, environment, store, needs)
        return _vendor(arguments, environment, store, needs)


def _vendor(arguments: argparse.Namespace, environment: Environment, store: Store, needs: list[LockNeeds]) -> int:
    from envbuild.build.vendor import vendor

    output = arguments.output
    folder = os.path.abspath(output)
    request = request_of_user(environment)
    request = request.replace(places=tuple(place for place in request.places if place != folder))
    with environment.progress_line() as line:
        done = vendor(needs, folder, store, request, lambda text: environment.warn([text]), line)
    out = environment.stdout
    parts = [(done.there, "there already"), (done.store, "from the store"), (done.places, "from places")]
    parts += [(done.fetched, "fetched")]
    known = ", ".join(f"{count} {what}" for count, what in parts if count)
    out.write(
        f"{visible(output)}: {count(done.files, 'file')}, {format_size(done.size)}{f' ({known})' if known else ''}\n"
    )
    if arguments.sums or arguments.sign:
        from envbuild.build.vendor_sums import write_sums

        out.write(f"{visible(output)}: {', '.join(write_sums(folder, arguments.sign or '')) or 'no files, no sums'}\n")
    _print_unpinned(needs, environment)
    for failure in done.failures:
        environment.stderr.write(f"error: {failure.message}\n")
    return 1 if done.failures or any(item.lost for need in needs for item in need.unpinned) else 0


def _check(arguments: argparse.Namespace, environment: Environment, store: Store, needs: list[LockNeeds]) -> int:
    from envbuild.build.vendor_check import NOWHERE, check

    request = request_of_user(environment)
    if arguments.output:
        request = request.replace(places=(os.path.abspath(arguments.output), *request.places))
    with environment.progress_line() as line:
        sources = check(needs, store, request, lambda text: environment.warn([text]), line)
    lost = {need.path: _is_lost(need, sources) for need in needs}
    if arguments.format == "json":
        print_json([_plain(need, sources, rebuildable=not lost[need.path]) for need in needs], environment.stdout)
        return 1 if any(lost.values()) else 0
    for need in needs:
        counts: dict[str, int] = {}
        for file in need.files:
            source = sources[file.package.hash].source
            counts[source] = counts.get(source, 0) + 1
        listed = ", ".join(f"{count} {source}" for source, count in sorted(counts.items()))
        verdict = "can't be rebuilt on an empty machine" if lost[need.path] else "can be rebuilt"
        environment.stdout.write(
            f"{visible(need.path)}: {verdict}: {count(len(need.files), 'file')} ({listed or 'none'})\n"
        )
        for file in need.files:
            answer = sources[file.package.hash]
            if answer.source == NOWHERE:
                of = f" ({', '.join(file.architectures)})" if len(need.architectures) > 1 else ""
                name = visible(f"{file.package.name} {file.package.version}{of}")
                environment.stdout.write(f"  {name}: nowhere\n")
                environment.stdout.writelines(f"    {visible(reason)}\n" for reason in answer.reasons)
    _print_unpinned(needs, environment)
    return 1 if any(lost.values()) else 0


def _is_lost(need: LockNeeds, sources: dict[str, Whereabouts]) -> bool:
    from envbuild.build.vendor_check import NOWHERE

    return any(item.lost for item in need.unpinned) or any(
        sources[file.package.hash].source == NOWHERE for file in need.files
    )


def _print_unpinned(needs: list[LockNeeds], environment: Environment) -> None:
    for need in needs:
        for item in need.unpinned:
            kind = "warning" if item.lost else "note"
            of = f" ({', '.join(item.architectures)})" if item.architectures else ""
            environment.warn([f"{need.recipe}: not vendored: {item.text}{of}"], kind)


def _plain(need: LockNeeds, sources: dict[str, Whereabouts], *, rebuildable: bool) -> dict[str, Any]:
    files = []
    for file in need.files:
        answer = sources[file.package.hash]
        files.append(
            {
                "kind": file.kind,
                "name": file.package.name,
                "version": file.package.version,
                "hash": file.package.hash,
                "from": answer.source,
                "where": answer.where or None,
                "reasons": list(answer.reasons),
                "architectures": list(file.architectures),
            }
        )
    return {
        "recipe": need.recipe,
        "lock": need.path,
        "architectures": list(need.architectures),
        "rebuildable": rebuildable,
        "files": files,
        "not_files": [
            {"text": item.text, "lost": item.lost, "architectures": list(item.architectures or need.architectures)}
            for item in need.unpinned
        ],
    }
