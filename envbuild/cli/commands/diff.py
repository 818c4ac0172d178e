"""`envbuild diff`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import print_json
from envbuild.cli.user_namespace import with_rights
from envbuild.errors import UsageError
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator
    from typing import Any

    from envbuild.history.operand import Operand
    from envbuild.store.images import Image

DESCRIPTION = """\
Show what differs between two environments. Each is an image in any form (web, web:v1, web@{2}, web@{yesterday},
web@main, a digest), an instance by name or id, a recipe's file, git:REV:FILE, or a lock. With only one, an instance
is compared with its image, NAME with its previous image, and NAME@{N} with NAME. If an image and an instance have
the same name, the instance is used: web:latest means the image.

The summary lists the packages that were added, removed or upgraded, the facts that differ, and the paths that no
package explains. Exit code: 0 if both are the same image, 1 if not, 3 if that can't be told: one of them is a merged
lock, whose image is unknown until a build, and all that is known of both is equal."""

EXAMPLES = """\
examples:
  envbuild diff web@{1} web
  envbuild diff git:main:web.env web.env
  envbuild diff web:prod web:qa --files
  envbuild diff web:prod web:qa --text /etc/nginx
  envbuild diff web@main web --format markdown
  envbuild diff web-3f2a --files                 what was changed by hand in an instance
  envbuild diff laptop@{3.weeks.ago} laptop      what was done to a machine that was captured
  envbuild diff laptop --live                    what was done to it since its last capture"""


UNKNOWN = 3
"""The exit code if it can't be told whether both are the same image."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="an image, an instance, a recipe, git:REV:FILE or a lock")
    parser.add_argument(
        "new",
        nargs="?",
        metavar="NEW",
        help="another environment (default: the previous image of OLD, an instance's image, or for NAME@..., NAME)",
    )
    parser.add_argument(
        "--live", action="store_true", help="compare OLD, a capture, with the machine as it is now; nothing is stored"
    )
    level = parser.add_mutually_exclusive_group()
    level.add_argument("--files", action="store_true", help="list every path that differs, and how")
    level.add_argument(
        "--text",
        nargs="?",
        const="/",
        metavar="PATH",
        help="show how the contents of files differ: of all, or of those at PATH",
    )
    level.add_argument("--recipe", action="store_true", help="show the statements that differ")
    parser.add_argument("--all", "-a", action="store_true", help="show the lists of the summary in full")
    parser.add_argument(
        "--format",
        choices=("text", "json", "markdown", "html"),
        default="text",
        help="print text, JSON, a comment for a pull request, or a web page",
    )
    parser.add_argument("--no-pager", action="store_true", help="do not use a pager")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path()) as store:
        store.sparse_limit = environment.sparse_limit()
        if arguments.live:
            report, same = _report_of_live(arguments, environment, store)
        else:
            report, same = with_rights(store, lambda: _report(arguments, environment, store))
    if arguments.format == "json":
        print_json(report, environment.stdout)
    elif arguments.format == "text" and "texts" in report and not environment.stdout.isatty():
        # For patch(1): as the files have it, and not as a terminal may see it.
        environment.stdout.flush()
        for line in report["texts"].raw():
            environment.stdout.buffer.write(line)
        environment.stdout.buffer.flush()
    elif arguments.format == "text":
        from envbuild.ui.pager import paged
        from envbuild.ui.reports.screen import screen_of
        from envbuild.ui.reports.terminal import lines_of
        from envbuild.ui.stream import Output

        screen = screen_of(environment.stdout)
        with paged(environment.stdout, environment.variables, wanted=not arguments.no_pager) as stream:
            output = Output(stream, environment.colour(environment.stdout))
            for line in lines_of(report, output, everything=arguments.all, screen=screen):
                stream.write(f"{line}\n")
    elif arguments.format == "markdown":
        from envbuild.ui.reports.comment import comparison_comment

        environment.stdout.write(f"{comparison_comment(report)}\n")
    else:
        from envbuild.ui.reports.document import page  # jinja2: only for pages

        environment.stdout.write(page(report))
    if report["unknown"]:
        return UNKNOWN
    return 0 if same else 1


class Spool:
    """Lines on disk: those of a patch may be more than memory takes, and are complete before the first is shown."""

    def __init__(self, lines: Iterable[str]) -> None:
        import tempfile

        self._file = tempfile.TemporaryFile(prefix="envbuild-diff-")  # noqa: SIM115 (it ends with the command)
        for line in lines:
            self._file.write(line.encode("utf-8", "surrogateescape") + b"\n")

    def raw(self) -> Iterator[bytes]:
        """Yield the lines with their ends."""
        self._file.seek(0)
        yield from self._file

    def __iter__(self) -> Iterator[str]:
        return (line.decode("utf-8", "surrogateescape").removesuffix("\n") for line in self.raw())


def _report(arguments: argparse.Namespace, environment: Environment, store: Store) -> tuple[dict[str, Any], bool]:
    from envbuild.cli.user_namespace import enter_for
    from envbuild.drift.instance_operand import instance_called, instance_image_name, operand_of_instance
    from envbuild.history.operand import operand_of
    from envbuild.images.reference import parse_tag

    def running(text: str) -> Operand | None:
        """Return the instance that is called so."""
        instance = instance_called(store, text)
        if instance is None:
            return None
        enter_for(store)
        from envbuild.ui.reports.drift import volume_line, volumes_plain

        environment.warn([f"{instance.name}: {volume_line(volume)}" for volume in volumes_plain(instance)], "note")
        return operand_of_instance(store, instance, text)

    def built(path: str) -> Image | None:
        from envbuild.build.build import built_image  # all of a build: only for files of recipes

        return built_image(path, store, environment.epoch())

    def side(text: str) -> Operand:
        return operand_of(store, text, built, running)

    old, new = arguments.old, arguments.new
    alone = instance_called(store, old) if new is None else None
    if alone is not None:
        old, new = instance_image_name(store, alone), old
    if new is None:
        if old.startswith("git:") or ("/" in old and (parse_tag(old) is None or old.endswith((".env", ".lock")))):
            raise UsageError("diff needs two environments", f"as in: envbuild diff {old} web")
        old, new = (old, old.partition("@")[0]) if "@" in old else (f"{old}@{{1}}", old)
    return _report_between(arguments, store, side(old), side(new))


def _report_of_live(
    arguments: argparse.Namespace, environment: Environment, store: Store
) -> tuple[dict[str, Any], bool]:
    """Return the report on what became of a machine since one of its captures."""
    from envbuild.build.named_image import find_image
    from envbuild.cli.live_machine import with_live_machine
    from envbuild.history.operand import operand_of_image

    if arguments.new is not None:
        raise UsageError("--live compares one capture with the machine", "as in: envbuild diff laptop --live")
    image = find_image(store, arguments.old)
    before = operand_of_image(store, arguments.old, image)
    reports: list[tuple[dict[str, Any], bool]] = []

    def look(live: Operand) -> None:
        reports.append(with_rights(store, lambda: _report_between(arguments, store, before, live)))

    with_live_machine(store, environment, arguments.old, image, look)
    return reports[0]


def _report_between(
    arguments: argparse.Namespace, store: Store, before: Operand, after: Operand
) -> tuple[dict[str, Any], bool]:
    from envbuild.history.compare import compare
    from envbuild.ui.reports.report import report_of

    comparison = compare(store, before, after)
    if arguments.files and not comparison.whole and not comparison.same:
        from envbuild.history.file_diff import NotInStore

        raise NotInStore(next(operand.label for operand in (before, after) if operand.tree is None))
    texts: Iterable[str] | None = None
    statements = None
    if arguments.text is not None:
        from envbuild.history.file_diff import texts_of

        lines = texts_of(store, comparison, arguments.text)
        texts = Spool(lines) if arguments.format == "text" else list(lines)
    if arguments.recipe or arguments.format in ("markdown", "html"):
        from envbuild.history.recipe_diff import statement_changes

        statements = statement_changes(before, after)
    report = report_of(comparison, files=arguments.files, texts=texts, statements=statements)
    return report, comparison.same
