"""`envbuild bisect`."""

from __future__ import annotations

import os

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.contexts import contextmanager
from envbuild.errors import BadOption, FileUnusable, Interrupted, UsageError
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from envbuild.bisect.bisect import Finding, Search
    from envbuild.cli.commit_bisect import CommitAnswer
    from envbuild.history.operand import Operand
    from envbuild.history.origin import Origin
    from envbuild.instances.network.interface import Network

DESCRIPTION = """\
Find what breaks an environment. GOOD is one in which the test command succeeds, BAD one in which it fails; each is
whatever `diff` takes. What differs between them is put on GOOD in ever smaller sets, and the test is run on each, until
the smallest set is left that makes it fail: a package, a file, a line of it, a variable, or several that break it only
together. The smallest bad environment is tagged as bisect:bad, and the same without one of its differences as
bisect:good.

The test runs as `envbuild run` would run it, with the user, variables and working directory of the image, but for the
image's entry. It succeeds with exit code 0. A candidate is bad if the test fails there as it fails in BAD: with the
same exit code, or as --expect and --expect-exit say. Any other failure, and 125, means that this candidate can't tell.
Exit code: 0 with an answer."""

EXAMPLES = """\
examples:
  envbuild bisect web@{1} web -- curl -fsS https://localhost/
  envbuild bisect web@{last month} web --expect 'version mismatch' -- python3 -c 'import app'
  envbuild bisect web:v1 web:v2 --timeout 5 --format json -- /srv/check"""

TAKES_COMMAND = 2


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "envbuild bisect [OPTION ...] GOOD BAD [--] TEST [ARGUMENT ...]\n"
        "       envbuild bisect [OPTION ...] --commits GOOD..BAD [RECIPE] -- TEST [ARGUMENT ...]"
    )
    parser.add_argument(
        "good", nargs="?", metavar="GOOD", help="an environment in which the test succeeds; with --commits a recipe"
    )
    parser.add_argument("bad", nargs="?", metavar="BAD", help="an environment in which it fails")
    parser.add_argument(
        "--commits",
        metavar="GOOD..BAD",
        help="find the first bad commit of a recipe first, then what of its image breaks the test",
    )
    parser.add_argument("--expect", default="", metavar="TEXT", help="only a run that prints this text is bad")
    parser.add_argument(
        "--expect-exit", type=int, metavar="N", help="only a run that ends with this exit code is bad (default: as BAD)"
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="end a run of the test after this long")
    parser.add_argument(
        "--network",
        choices=("none", "host"),
        default="none",
        help="none: loopback only (default); host: the network of this machine. What was run with it is not remembered",
    )
    parser.add_argument(
        "--jobs", "-j", type=int, default=os.cpu_count() or 1, metavar="N", help="run up to N tests in parallel"
    )
    parser.add_argument(
        "--repeat",
        type=int,
        default=0,
        metavar="N",
        help="run GOOD, BAD and what decides the answer N times, to notice a flaky test (default: once, and 3 times)",
    )
    parser.add_argument(
        "--group",
        metavar="FILE",
        help="bring the services of this file up before the first run, for all of them: the test reaches each by its "
        "name. Tests then run one after the other, and are not remembered",
    )
    parser.add_argument("--html", metavar="FILE", help="write a report to this file, too: one page that needs no other")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    search = _search(arguments)
    if arguments.html is not None and not os.path.isdir(os.path.dirname(os.path.abspath(arguments.html))):
        raise FileUnusable(arguments.html, "there is no such directory", "name a file that can be written", "--html")
    if arguments.group is None:
        return _run(arguments, environment, search, "")
    from envbuild.cli.bisect_services import services_up
    from envbuild.cli.build_options import interrupt_on_termination

    interrupt_on_termination()
    try:
        with services_up(arguments.group, environment) as network:
            return _run(arguments, environment, search, network)
    except KeyboardInterrupt:
        raise Interrupted from None


def _run(arguments: argparse.Namespace, environment: Environment, search: Search, network: str) -> int:
    commits = None
    if arguments.commits is not None:
        from envbuild.cli.commit_bisect import search_commits

        commits = search_commits(arguments, environment, search, network)
    if not network:
        return _answer(arguments, environment, search, commits, "")
    from envbuild.linux.forked import call_in_child

    # The services end as the user began them: outside of the namespaces that this enters.
    return int(call_in_child(lambda: _answer(arguments, environment, search, commits, network)))


def _answer(
    arguments: argparse.Namespace,
    environment: Environment,
    search: Search,
    commits: CommitAnswer | None,
    network: str,
) -> int:
    with _entered(network, environment) as entered, Store.open(environment.store_path(), create=False) as store:
        store.share()
        if commits is not None:
            border = commits.border
            good, bad = (
                _operand(store, environment, f"sha256:{image}").replace(label=commit[:12])
                for image, commit in ((border.good_image, border.good), (border.bad_image, border.bad))
            )
        else:
            good, bad = (_operand(store, environment, text) for text in (arguments.good, arguments.bad))
        try:
            finding = _find(store, environment, good, bad, search, entered)
        except KeyboardInterrupt:
            raise Interrupted from None
        tags = _tag(store, environment, finding, good, bad)
        causes = _causes(store, bad, finding)
    from envbuild.ui.reports.bisect import border_lines, lines_of, plain, plain_border

    asked = {"good": good.label, "bad": bad.label, "test": arguments.command}
    report = {**asked, **plain(finding, causes), "tags": tags}
    if commits is not None:
        report |= plain_border(commits.border, commits.author)
    if arguments.html is not None:
        from envbuild.ui.reports.bisect_page import bisect_page  # jinja2: only for pages

        try:
            with open(arguments.html, "w", encoding="utf-8") as file:
                file.write(bisect_page(report))
        except OSError as error:
            raise FileUnusable(arguments.html, str(error.strerror), "name a file that can be written") from error
    if arguments.format == "json":
        print_json(report, environment.stdout)
        return 0
    if commits is not None:
        for line in border_lines(commits.border, commits.author):
            environment.stdout.write(f"{line}\n")
    for line in lines_of(finding, causes):
        environment.stdout.write(f"{line}\n")
    environment.stdout.write(f"to look into both: envbuild shell {tags['bad']}; envbuild shell {tags['good']}\n")
    return 0


def _search(arguments: argparse.Namespace) -> Search:
    from envbuild.bisect.bisect import Search
    from envbuild.bisect.probe import Probe

    if not arguments.command:
        raise UsageError("bisect needs a test command", "as in: envbuild bisect web@{1} web -- TEST")
    if arguments.commits is None and arguments.bad is None:
        raise UsageError("bisect needs a good and a bad environment", "as in: envbuild bisect web@{1} web -- TEST")
    if arguments.commits is not None and arguments.bad is not None:
        raise UsageError("--commits takes one recipe", "as in: envbuild bisect --commits v1.0..HEAD web.env -- TEST")
    if arguments.jobs < 1:
        raise BadOption("--jobs", str(arguments.jobs), "number of tests", "--jobs 2")
    if arguments.repeat < 0:
        raise BadOption("--repeat", str(arguments.repeat), "number of runs", "--repeat 20")
    if arguments.timeout is not None and not arguments.timeout > 0:
        raise BadOption("--timeout", str(arguments.timeout), "number of seconds", "--timeout 5")
    if arguments.expect_exit is not None and arguments.expect_exit not in range(1, 256):
        raise BadOption("--expect-exit", str(arguments.expect_exit), "exit code of a failure", "--expect-exit 1")
    if arguments.group is not None and arguments.network == "host":
        raise UsageError("--group and --network host", "leave out one of the two: a group has a network of its own")
    with_services = arguments.group is not None
    probe = Probe(
        arguments.command, arguments.timeout, arguments.network == "host", arguments.expect, services=with_services
    )
    return Search(probe, arguments.expect_exit, 1 if with_services else arguments.jobs, arguments.repeat)


def _operand(store: Store, environment: Environment, text: str) -> Operand:
    from envbuild.build.build import built_image
    from envbuild.cli.user_namespace import enter_for
    from envbuild.drift.instance_operand import instance_called, operand_of_instance
    from envbuild.history.operand import operand_of

    def running(text: str) -> Operand | None:
        instance = instance_called(store, text)
        if instance is None:
            return None
        enter_for(store)
        return operand_of_instance(store, instance, text)

    return operand_of(store, text, lambda path: built_image(path, store, environment.epoch()), running)


@contextmanager
def _entered(network: str, environment: Environment) -> Iterator[Network | None]:
    """Enter the network of a group, "" for none, for as long as this lasts."""
    if not network:
        yield None
        return
    from envbuild.instances.network.select import enter_network

    with enter_network(network, environment.store_path()) as entered:
        yield entered


def _find(
    store: Store, environment: Environment, good: Operand, bad: Operand, search: Search, network: Network | None
) -> Finding:
    from envbuild.bisect.bisect import bisect
    from envbuild.bisect.layer_folder import layer_folder
    from envbuild.bisect.probe import Surroundings
    from envbuild.build.helper_ahead import start_helper
    from envbuild.build.sandbox_worker import Worker
    from envbuild.cli.build_options import interrupt_on_termination
    from envbuild.cli.user_namespace import enter_for

    interrupt_on_termination()
    enter_for(store)
    around = Surroundings(environment.network(), environment.home(), network)
    with (
        layer_folder(store) as folder,
        Worker.start(store, start_helper(store, good.tree)) as worker,
        environment.progress_line() as report,
    ):
        return bisect(store, worker, folder, good, bad, search, around, report)


def _causes(store: Store, bad: Operand, finding: Finding) -> list[Origin | None]:
    """Return what brought each of the differences to the bad environment."""
    from envbuild.bisect.cause import cause_of
    from envbuild.drift.instance_operand import instance_called

    instance = instance_called(store, bad.label) if not bad.image else None
    image = store.images.get(instance.image if instance is not None else bad.image)
    if image is None:
        return []
    return [cause_of(store, bad, image, group, finding.parts) for group in finding.culprits]


def _tag(store: Store, environment: Environment, finding: Finding, good: Operand, bad: Operand) -> dict[str, str]:
    """Tag the smallest bad environment and its good neighbour; return the tags."""
    from envbuild.bisect.tagged import tag_candidates
    from envbuild.images.names import to_set

    tags = {side: f"bisect:{side}" for side in ("good", "bad")}
    place, of_good = to_set(store, tags["good"], ".")
    _, of_bad = to_set(store, tags["bad"], ".")
    if place.project is not None:
        store.projects.add(place.project)
    known = {"user": environment.user(), "source": bad.label, "from": good.label}
    tag_candidates(store, finding, of_good, of_bad, known)
    return tags
