"""`envbuild git`: install, check, and what git itself calls."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial

from envbuild.cli.environment import Environment
from envbuild.cli.user_namespace import with_rights
from envbuild.errors import FileUnusable
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

_MAX_REASONS = 5

DESCRIPTION = """\
Work with git: `install` sets up the clone that contains this directory, so that `git diff` and `git log -p` show
locks in a readable form, `git merge` merges them package by package, and `git commit` refuses a lock that is out of
date. `check` prints what changed in the environments between two revisions, as markdown for a pull request; exit
code 1 if a lock is out of date. The other commands are called by git."""

EXAMPLES = """\
examples:
  envbuild git install
  envbuild git install --remove
  envbuild git check main..HEAD
  envbuild git check origin/main... > comment.md"""


def configure(parser: argparse.ArgumentParser) -> None:
    words = "install|check|pre-commit|show-lock|diff-lock|merge-lock|fill-locks"
    parts = parser.add_subparsers(dest="part", metavar=words, required=True)
    subparser = parts.add_parser("install", help="set this clone up")
    subparser.add_argument("--remove", action="store_true", help="undo the setup")
    subparser = parts.add_parser(
        "check", help="show what changed between two revisions, and whether locks are up to date"
    )
    subparser.add_argument("range", metavar="REV1..REV2", help="two revisions; with three dots, from their merge base")
    subparser.add_argument("--format", choices=("markdown", "json"), default="markdown", help="print markdown or JSON")
    parts.add_parser("pre-commit", help="fail if a lock of the next commit is out of date")
    parts.add_parser("fill-locks", help="after a merge, write results that this store has into locks that lack them")
    subparser = parts.add_parser("show-lock", help="print a lock as text with a readable diff")
    subparser.add_argument("file", metavar="FILE")
    subparser = parts.add_parser("diff-lock", help="print what changed in a lock, for git diff")
    subparser.add_argument("path", metavar="PATH")
    subparser.add_argument("rest", nargs="*", metavar="OLD OLD-ID OLD-MODE NEW NEW-ID NEW-MODE")
    subparser = parts.add_parser("merge-lock", help="merge three locks; the result is written over OURS")
    for name in ("base", "ours", "theirs"):
        subparser.add_argument(name, metavar=name.upper())
    subparser.add_argument("path", nargs="?", default="", metavar="PATH", help="the path of the lock, for messages")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    match arguments.part:
        case "install":
            return _install(arguments, environment)
        case "check":
            return _check(arguments, environment)
        case "pre-commit":
            return _pre_commit(environment)
        case "show-lock":
            return _show_lock(arguments, environment)
        case "fill-locks":
            return _fill_locks(environment)
        case "diff-lock":
            return _diff_lock(arguments, environment)
        case _:
            return _merge_lock(arguments, environment)


def _install(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.git.install import CALL_OF_HOOK, install, remove
    from envbuild.git.repository import Repository
    from envbuild.ui.sanitize import visible

    repository = Repository(".")
    if arguments.remove:
        remove(repository)
        return 0
    # The very program that is running now: git's hooks may see another PATH.
    installed = install(repository, sys.executable, os.path.abspath(sys.modules["envbuild"].__file__ or ""))
    attributes, hook = os.path.relpath(installed.attributes), os.path.relpath(installed.hook or installed.other_hook)
    environment.stdout.write(f"git diff and git merge of locks: {visible(attributes)}\n")
    if installed.hook:
        environment.stdout.write(f"check before each commit: {visible(hook)}\n")
        for after in installed.after_merges:
            environment.stdout.write(f"results filled in after merges: {visible(os.path.relpath(after))}\n")
    else:
        environment.stderr.write(
            f"warning: {visible(hook)} exists already, or git is configured to use it: it stays as it is\n"
            f"hint: add to it: {CALL_OF_HOOK} || exit 1\n"
        )
    return 0


def _check(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.git.repository import Repository
    from envbuild.history.review import review, split_range
    from envbuild.ui.reports.comment import review_comment
    from envbuild.ui.reports.report import review_plain

    repository = Repository(".")
    old, new = split_range(repository, arguments.range)
    with Store.open(environment.store_path()) as store:
        findings = with_rights(store, lambda: [review_plain(recipe) for recipe in review(store, repository, old, new)])
    if arguments.format == "json":
        from envbuild.cli.json_output import print_json

        print_json(findings, environment.stdout)
    else:
        environment.stdout.write(review_comment(findings, f"{old[:12]}..{new[:12]}"))
    return 1 if any(finding["outdated"] for finding in findings) else 0


def _pre_commit(environment: Environment) -> int:
    from envbuild.build.lock_status import INCOMPLETE
    from envbuild.git.repository import Repository
    from envbuild.history.review import outdated, staged
    from envbuild.ui.sanitize import visible

    # git tells its hooks so of the index of `git commit -a`, which is not the repository's own yet.
    repository = Repository(".", environment.variables.get("GIT_INDEX_FILE", ""))
    status = 0
    with Store.open(environment.store_path()) as store:
        for path, state, notes in staged(store, repository):
            environment.stderr.writelines(f"note: {visible(note)}\n" for note in notes[:_MAX_REASONS])
            if outdated(state.state):
                status = 1
                environment.stderr.write(f"error: {visible(path)}.lock is {state.state} in this commit\n")
                environment.stderr.writelines(f"  {visible(reason)}\n" for reason in state.reasons)
                environment.stderr.write(
                    f"hint: envbuild build {visible(path)}, git add {visible(path)} {visible(path)}.lock; "
                    "git commit --no-verify commits it as it is\n"
                )
            elif state.state == INCOMPLETE:
                environment.stderr.write(f"note: {visible(path)}.lock does not have all results of this commit\n")
                environment.stderr.writelines(f"  {visible(reason)}\n" for reason in state.reasons[:_MAX_REASONS])
    return status


def _fill_locks(environment: Environment) -> int:
    """Complete the locks of the recipes that a merge or a rebase concerned. It never fails: git is done already."""
    from envbuild.build.lock_fill import fill_in
    from envbuild.errors import EnvbuildError
    from envbuild.git.repository import Repository
    from envbuild.history.concerned_recipes import RECIPE, Recipes
    from envbuild.ui.sanitize import visible

    repository = Repository(".")
    root = os.path.realpath(repository.root)
    try:
        changed = repository.changed(repository.commit_of("ORIG_HEAD"), repository.commit_of("HEAD"))
    except EnvbuildError:
        return 0  # the first commit of a clone
    paths = [path for path in repository.in_working_tree() if path.endswith(RECIPE)]
    with Store.open(environment.store_path()) as store:
        for path in Recipes(store, root, paths).concerned(changed):
            try:
                written = with_rights(store, partial(fill_in, f"{root}/{path}", store))
            except EnvbuildError as error:
                first = error.message.partition("\n")[0].removesuffix(":")
                environment.stderr.write(f"note: {visible(path)}: {visible(first)}\n")
                continue
            for lock in written:
                name = os.path.relpath(lock, root)
                environment.stderr.write(f"note: {visible(name)} has the results of the merge: commit it\n")
    return 0


def _show_lock(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.lockfile.lock import BadLock, readable
    from envbuild.lockfile.lock_file import parse
    from envbuild.ui.sanitize import visible

    text = _read(arguments.file)
    try:
        text = readable(parse(text, arguments.file))
    except BadLock:
        pass  # a lock with conflict markers, or none at all: git shows what is there
    # git hands a converter's output to the terminal as it is.
    environment.stdout.writelines(f"{visible(line)}\n" for line in text.removesuffix("\n").split("\n"))
    return 0


def _diff_lock(arguments: argparse.Namespace, environment: Environment) -> int:
    """Print the difference of two locks, with what a reader must not miss before it (gitattributes(5), "Defining an
    external diff driver"; git(1), GIT_EXTERNAL_DIFF)."""
    from envbuild.git.repository import Repository
    from envbuild.ui.reports.lock_diff import lock_diff
    from envbuild.ui.sanitize import visible
    from envbuild.ui.stream import Output

    paths = arguments.rest[0:1] + arguments.rest[3:4]
    if len(paths) < 2:
        environment.stdout.write(f"* Unmerged path {visible(arguments.path)}\n")
        return 0
    old, new = ("" if path == os.devnull else _read(path) for path in paths)
    # git tells what it starts so that its output goes to a terminal by way of a pager (git-var(1), GIT_PAGER).
    terminal = environment.stdout.isatty() or environment.variables.get("GIT_PAGER_IN_USE") == "true"
    output = Output(environment.stdout, Repository(".").wants_colour(terminal))
    output.write_lines(list(lock_diff(arguments.path, old, new, output)))
    return 0


def _merge_lock(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.lockfile.lock_file import parse, write
    from envbuild.lockfile.merge import dump, merge
    from envbuild.ui.sanitize import visible

    name = arguments.path or arguments.ours
    base_text = _read(arguments.base)
    base = parse(base_text, f"{name} (base)") if base_text.strip() else None
    merged = merge(
        base, parse(_read(arguments.ours), f"{name} (ours)"), parse(_read(arguments.theirs), f"{name} (theirs)")
    )
    write(arguments.ours, dump(merged))
    for conflict in merged.conflicts:
        ours, theirs = conflict.ours, conflict.theirs
        message = f"conflict in {name}: {ours.name} is {ours.version} here and {theirs.version} there"
        environment.stderr.write(f"{visible(message)}\n")
    for doubt in merged.doubts:
        moved, other = doubt.moved, doubt.other
        message = f"warning: {name}: {moved.name} is {moved.version} now, and {other.name} is still {other.version}"
        recipe = name.removesuffix(".lock")
        environment.stderr.write(f"{visible(message)}: they were pinned in one version, and may not go together\n")
        environment.stderr.write(f"hint: envbuild update {visible(f'{recipe} {moved.name} {other.name}')}\n")
    return 1 if merged.conflicts else 0


def _read(path: str) -> str:
    from envbuild.build.recipe_files import MAX_LOCK
    from envbuild.linux.nofollow import read_plain

    try:
        return read_plain(os.path.realpath(path), MAX_LOCK).decode("utf-8", "replace")
    except OSError as error:
        raise FileUnusable(path, str(error.strerror), "name a lock that can be read") from error
