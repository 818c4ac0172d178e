"""`envbuild bisect --commits`: git's history is walked before the differences.

Each commit is looked up, built and tried in processes of their own: a build begins as the user, and a sandbox is in a
user namespace, which a process enters once and never leaves.
"""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack

from envbuild.cli.environment import Environment
from envbuild.errors import BadOption, EnvbuildError
from envbuild.record import Record, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbuild.bisect.bisect import Search
    from envbuild.bisect.commits import FirstBadCommit
    from envbuild.bisect.verdict import Observation
    from envbuild.build.request import BuildRequest
    from envbuild.git.repository import Author, Repository


class CommitAnswer(Record):
    """The first bad commit, and who made it."""

    border: FirstBadCommit
    author: Author | None


def search_commits(
    arguments: argparse.Namespace, environment: Environment, search: Search, network: str
) -> CommitAnswer:
    """Return the first commit of `--commits` whose image breaks the test; `network` is that of the services that it
    needs, "" for none. The process has one thread and the rights of
    the user. Raises UsageError and kinds of WorkFailed."""
    from envbuild.bisect.commits import first_bad_commit
    from envbuild.cli.recipe_operand import recipe_path
    from envbuild.git.repository import Repository

    good, dots, bad = arguments.commits.partition("..")
    if not good or not dots or bad.startswith("."):
        raise BadOption("--commits", arguments.commits, "range of commits", "--commits v1.0..HEAD")
    recipe = recipe_path(arguments.good, "bisect")
    repository = Repository(os.path.dirname(recipe) or ".")
    inner = repository.path_of(recipe)
    commits = repository.commits_between(good, bad or "HEAD")
    walk = _Walk(environment, repository, inner, _request(environment), search, network)
    border = first_bad_commit(commits, walk.image_of, walk.runs_of, search)
    return CommitAnswer(border, repository.author(border.bad))


def _request(environment: Environment) -> BuildRequest:
    """Return a build as `envbuild build` without options makes it; it puts nothing into shared caches."""
    from envbuild.cli.build_options import request_of_user
    from envbuild.cli.cache_options import NONE, add_cache_options, shared_caches

    parser = argparse.ArgumentParser()
    add_cache_options(parser)
    options = parser.parse_args(["--cache-to", NONE])
    options.offline = False
    shared = shared_caches(options, environment)
    return request_of_user(environment).replace(epoch=environment.epoch(), **shared)


class _Walk:
    """The images of commits and the runs of the test in them."""

    def __init__(
        self,
        environment: Environment,
        repository: Repository,
        recipe: str,
        request: BuildRequest,
        search: Search,
        network: str,
    ) -> None:
        self._environment = environment
        self._repository = repository
        self._recipe = recipe
        self._request = request
        self._search = search
        self._network = network

    def image_of(self, commit: str) -> str | None:
        """Return the digest of a commit's image; say why if there is none."""
        from envbuild.git.checkout import checked_out
        from envbuild.linux.forked import call_in_child

        try:
            known = str(call_in_child(lambda: self._known(commit)))
            if known:
                return known
            with checked_out(self._repository, commit) as folder:
                asked = self._request.replace(
                    path=f"{folder}/{self._recipe}", project=os.path.realpath(folder), publish=False
                )
                call_in_child(lambda: self._build(asked))
                return str(call_in_child(lambda: self._recorded(asked)))
        except EnvbuildError as error:
            self._environment.warn([f"commit {commit[:12]} can't be tried: {error.message}"], "note")
            return None

    def runs_of(self, image: str, runs: int) -> Sequence[Observation]:
        """Return how the test ended in an image."""
        from envbuild.bisect.verdict import Observation
        from envbuild.linux.forked import call_in_child

        return [Observation(*seen) for seen in call_in_child(lambda: self._runs(image, runs))]

    def _known(self, commit: str) -> str:
        from envbuild.build.commit_image import image_in_store
        from envbuild.store.store import Store

        with Store.open(self._environment.store_path()) as store:
            image = image_in_store(store, self._repository, commit, self._recipe)
            return image.digest if image is not None else ""

    def _build(self, request: BuildRequest) -> None:
        from envbuild.build.build import build
        from envbuild.cli.build_display import display_of
        from envbuild.store.store import Store

        with Store.open(self._environment.store_path()) as store:
            store.sparse_limit = self._environment.sparse_limit()
            with display_of("auto", self._environment) as display:
                build(request, store, display)

    def _recorded(self, request: BuildRequest) -> str:
        from envbuild.build.commit_image import recorded_image
        from envbuild.store.store import Store

        with Store.open(self._environment.store_path()) as store:
            return recorded_image(store, request).digest

    def _runs(self, image: str, runs: int) -> list[list[object]]:
        from envbuild.bisect.image_trial import try_image
        from envbuild.bisect.probe import Surroundings
        from envbuild.build.helper_ahead import start_helper
        from envbuild.build.sandbox_worker import Worker
        from envbuild.instances.network.select import enter_network
        from envbuild.store.store import Store

        with ExitStack() as held:
            network = None
            if self._network:
                network = held.enter_context(enter_network(self._network, self._environment.store_path()))
            store = held.enter_context(Store.open(self._environment.store_path()))
            store.share()
            known = store.images.get(image)
            if known is None:
                raise EnvbuildError(f"the image {image[:12]} is gone", "run the same command again")
            around = Surroundings(self._environment.network(), self._environment.home(), network)
            with Worker.start(store, start_helper(store, known.tree)) as worker:
                seen, _ = try_image(store, worker, known, self._search.probe, runs, around)
        return [list(values(run)) for run in seen]
