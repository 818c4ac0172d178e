"""`envbuild merge` without names: the images of the merge that git is in the middle of, and what the real build of the
merged recipe is found to be afterwards."""

from __future__ import annotations

import os

from envbuild.cli.build_display import display_of
from envbuild.cli.build_options import interrupt_on_termination, request_of_user
from envbuild.cli.environment import Environment
from envbuild.cli.json_output import print_json
from envbuild.cli.merge_options import MERGED, choices_of, write_if_asked
from envbuild.cli.user_namespace import enter_for
from envbuild.errors import UsageError, fields
from envbuild.git.merge_in_progress import merge_in_progress
from envbuild.git.repository import Repository
from envbuild.images.names import place_of
from envbuild.rebase.background import Background
from envbuild.rebase.git_images import sides_of_merge
from envbuild.rebase.git_locks import merge_locks, unmerged_paths
from envbuild.rebase.git_merge import RecipeMerge, merge_recipe, refuse_unused
from envbuild.rebase.rebuild import SAME, TIMES, WAITING, Rebuild, note, rebuild_of, run_rebuild
from envbuild.store.store import Store
from envbuild.store.tags import MERGE
from envbuild.ui.reports.git_merge import rebuild_of_recipe_lines, rebuild_plain, recipe_merge_lines, recipe_merge_plain
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from envbuild.git.merge_in_progress import GitMerge


@fields
class NoMergedImage(UsageError):
    """A rebuild was asked for of a recipe whose images nobody merged."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"no image of {self.path} was merged", "begin with: envbuild merge"


def run_in_git(arguments: argparse.Namespace, environment: Environment) -> int:
    """Merge the images of the merge in progress, and leave the rebuild of their recipes behind."""
    if arguments.status:
        return show_rebuilds(arguments, environment)
    if arguments.rebuild:
        return rebuild(arguments, environment)
    interrupt_on_termination()
    output = Output(environment.stdout, environment.colour(environment.stdout))
    repository = Repository(".")
    merge = merge_in_progress(repository)
    root = os.path.realpath(repository.root)
    # Before anything enters a user namespace.
    with Background() as background, Store.open(environment.store_path()) as store:
        store.share()
        store.sparse_limit = environment.sparse_limit()
        user = environment.user()
        environment.warn(list(_merge_locks(repository)), "note")
        if merge.bases > 1:
            text = f"the branches have {merge.bases} common ancestors: {merge.base[:12]} is taken"
            environment.warn([text], "note")
        all_sides = sides_of_merge(store, repository, merge)
        unmerged = unmerged_paths(repository)
        choices = choices_of(arguments)
        enter_for(store)
        request = request_of_user(environment)
        checked = not (arguments.no_verify or arguments.dry_run)
        merged = [merge_recipe(store, root, sides, unmerged, choices, request, checked=checked) for sides in all_sides]
        refuse_unused(merged)
        conflicts = [conflict for recipe in merged if recipe.result for conflict in recipe.result.conflicts]
        write_if_asked(store, arguments, conflicts, environment)
        for recipe in merged:
            if recipe.is_good and not arguments.dry_run:
                _put(store, root, recipe, merge, user)
        begun = [] if arguments.dry_run else [f"{root}/{recipe.sides.path}" for recipe in merged if _may_begin(recipe)]
        if begun and not arguments.no_rebuild:
            background.become(["merge", "--rebuild", *begun])
            if arguments.wait:
                background.wait()
        known = {recipe.sides.path: rebuild_of(store, f"{root}/{recipe.sides.path}") for recipe in merged}
    if arguments.format == "json":
        plain = [recipe_merge_plain(recipe, known[recipe.sides.path]) for recipe in merged]
        print_json(
            {"kind": merge.kind, "base": merge.base, "ours": merge.ours, "theirs": merge.theirs, "recipes": plain},
            environment.stdout,
        )
    elif arguments.dry_run and not conflicts:
        output.write_lines(["no conflicts"])
    else:
        for recipe in merged:
            output.write_lines(list(recipe_merge_lines(recipe, known[recipe.sides.path], output)))
    return 0 if all(recipe.is_good for recipe in merged) else 1


def _merge_locks(repository: Repository) -> Iterator[str]:
    """Merge the locks that git left unmerged; yield what is to be said of each."""
    for lock in merge_locks(repository):
        if lock.merged.conflicts:
            names = ", ".join(conflict.ours.name for conflict in lock.merged.conflicts[:5])
            yield f"{lock.path} was merged, but for {names}: choose a line of each pair"
        else:
            yield f"{lock.path} was merged package by package: git add it"


def _may_begin(recipe: RecipeMerge) -> bool:
    return recipe.is_good and not recipe.unmerged


def _put(store: Store, root: str, recipe: RecipeMerge, merge: GitMerge, user: str) -> None:
    """Put a merged image on record and have NAME:merged name it; note that its rebuild is to come."""
    assert recipe.finished is not None
    image = recipe.finished.image
    path = f"{root}/{recipe.sides.path}"
    store.images.put(image)
    place = place_of(os.path.dirname(path))
    if place.project is not None:
        store.projects.add(place.project)
    named = {"source": merge.ours, "from": merge.theirs, "base": merge.base}
    known = {"user": user, **{name: f"git:{commit}:/{recipe.sides.path}" for name, commit in named.items()}}
    store.tags.move([(place.own(recipe.name), MERGED)], image.digest, MERGE, known)
    note(store, Rebuild(path, image.digest, WAITING, lines=tuple(f"{name} has conflicts" for name in recipe.unmerged)))


def rebuild(arguments: argparse.Namespace, environment: Environment) -> int:
    """Build the recipes whose images were merged, and hold the results against these."""
    interrupt_on_termination()
    output = Output(environment.stdout, environment.colour(environment.stdout))
    status = 0
    with Store.open(environment.store_path()) as store:
        store.sparse_limit = environment.sparse_limit()
        user = environment.user()  # in the namespace that a build enters it is root
        request = request_of_user(environment).replace(user=lambda: user)
        for path in arguments.rebuild:
            before = rebuild_of(store, path)
            if before is None:
                raise NoMergedImage(path)
            with display_of("auto", environment) as display:
                done = run_rebuild(store, os.path.relpath(path), before.merged, request, display)
            output.write_lines(rebuild_of_recipe_lines(os.path.relpath(path), done))
            status = max(status, 0 if done.state in (SAME, TIMES) else 1)
    return status


def show_rebuilds(arguments: argparse.Namespace, environment: Environment) -> int:
    """Show what is known of the rebuilds of the repository's recipes."""
    from envbuild.history.status import recipes_of_repository

    with Store.open(environment.store_path()) as store:
        known = [(path, rebuild_of(store, path)) for path in recipes_of_repository(store, ".")]
    rebuilds = [(path, each) for path, each in known if each is not None]
    if arguments.format == "json":
        print_json([{"recipe": path, **rebuild_plain(each)} for path, each in rebuilds], environment.stdout)
    elif not rebuilds:
        environment.stdout.write("no image was merged here\n")
    else:
        output = Output(environment.stdout, environment.colour(environment.stdout))
        for path, each in rebuilds:
            output.write_lines(rebuild_of_recipe_lines(path, each))
    return 0 if all(each.state in (SAME, TIMES) for _, each in rebuilds) else 1
