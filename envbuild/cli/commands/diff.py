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
    from typing import Any

DESCRIPTION = """\
Shows what differs between two environments. Each is an image in any form (web, web:v1, web@{2}, web@{yesterday},
web@main, a digest), an instance by name or id, a recipe's file, git:REV:FILE, or a lock. Of one alone, an instance is
compared with its image, NAME with what it was, NAME@{N} with NAME. Where an image and an instance have one name, the
instance is meant: web:latest means the image.

The summary has the packages that were added, removed or upgraded, the facts that differ, and the paths that no package
explains. Exit code: 0 if both are the same image, 1 if not."""

EXAMPLES = """\
examples:
  envbuild diff web@{1} web
  envbuild diff git:main:web.env web.env
  envbuild diff web:prod web:qa --files
  envbuild diff web:prod web:qa --text /etc/nginx
  envbuild diff web@main web --format markdown
  envbuild diff web-3f2a --files                 what was changed by hand in an instance"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="an image, an instance, a recipe, git:REV:FILE or a lock")
    parser.add_argument(
        "new",
        nargs="?",
        metavar="NEW",
        help="another one; default: OLD itself, compared with what it was, or of an instance with its image; of "
        "NAME@..., NAME as it is",
    )
    level = parser.add_mutually_exclusive_group()
    level.add_argument("--files", action="store_true", help="every path that differs, and in what")
    level.add_argument(
        "--text", nargs="?", const="/", metavar="PATH", help="how files differ line by line: all, or those at PATH"
    )
    level.add_argument("--recipe", action="store_true", help="the statements that differ")
    parser.add_argument("--all", "-a", action="store_true", help="cut no list of the summary short")
    parser.add_argument(
        "--format",
        choices=("text", "json", "markdown", "html"),
        default="text",
        help="for a terminal, programs, a comment on a pull request, or a page",
    )
    parser.add_argument("--no-pager", action="store_true", help="print, however long it is")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path()) as store:
        store.sparse_limit = environment.sparse_limit()
        report, same = with_rights(store, lambda: _report(arguments, environment, store))
    if arguments.format == "json":
        print_json(report, environment.stdout)
    elif arguments.format == "text":
        from envbuild.ui.pager import paged
        from envbuild.ui.reports.terminal import lines_of
        from envbuild.ui.stream import Output

        with paged(environment.stdout, environment.variables, wanted=not arguments.no_pager) as stream:
            output = Output(stream, environment.colour(environment.stdout))
            for line in lines_of(report, output, everything=arguments.all):
                stream.write(f"{line}\n")
    elif arguments.format == "markdown":
        from envbuild.ui.reports.comment import comparison_comment

        environment.stdout.write(f"{comparison_comment(report)}\n")
    else:
        from envbuild.ui.reports.document import page  # jinja2: only for pages

        environment.stdout.write(page(report))
    return 0 if same else 1


def _report(arguments: argparse.Namespace, environment: Environment, store: Store) -> tuple[dict[str, Any], bool]:
    from envbuild.build.built_image import built_image
    from envbuild.cli.user_namespace import enter_for
    from envbuild.drift.instance_operand import before_name, instance_called, side_of_instance
    from envbuild.history.compare import compare
    from envbuild.history.operand import Side, side_of
    from envbuild.ui.reports.report import report_of

    def running(text: str) -> Side | None:
        """The instance that is called so."""
        instance = instance_called(store, text)
        if instance is None:
            return None
        enter_for(store)
        return side_of_instance(store, instance, text)

    def side(text: str) -> Side:
        return side_of(store, text, lambda path: built_image(path, store, environment.epoch()), running)

    old, new = arguments.old, arguments.new
    alone = instance_called(store, old) if new is None else None
    if alone is not None:
        old, new = before_name(store, alone), old
    if new is None:
        if old.startswith("git:") or "/" in old:
            raise UsageError("diff needs two environments", f"as in: envbuild diff {old} web")
        old, new = (old, old.partition("@")[0]) if "@" in old else (f"{old}@{{1}}", old)
    one, other = side(old), side(new)
    comparison = compare(store, one, other)
    texts = statements = None
    if arguments.text is not None:
        from envbuild.history.file_diff import texts_of

        texts = texts_of(store, comparison, arguments.text)
    if arguments.recipe or arguments.format in ("markdown", "html"):
        from envbuild.history.recipe_diff import statement_changes

        statements = statement_changes(one, other)
    report = report_of(comparison, files=arguments.files, texts=texts, statements=statements)
    return report, comparison.same
