"""`envbuild restore`."""

from __future__ import annotations

import argparse
import os

from envbuild.cli.build_options import interrupt_on_termination
from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.errors import UsageError
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.capture.capture import CaptureOptions, Taker
    from envbuild.capture.going_back import KnownCapture
    from envbuild.capture.machine_root import MachineRoot
    from envbuild.capture.stored_contents import Contents

DESCRIPTION = """\
Put paths of this machine back to what they were in a capture: files with their content, owner, mode, time and extended
attributes, links, and directories with all that the capture has in them. Shows what it will do and asks; --yes does it,
and where nobody can be asked nothing is changed. What is replaced is captured first. Only what is named is changed:
files that a named directory did not have then stay, and --delete removes paths that are named and were not there.

Each path is either what it was or what it becomes, whenever this is interrupted. Secrets that the capture does not have
stay as they are. Exit code: 1 if something that was named could not be put back."""

EXAMPLES = """\
examples:
  envbuild restore laptop@{1} /etc/ssh/sshd_config
  envbuild restore laptop@{yesterday} /etc/nginx --yes
  envbuild restore laptop@{2} /etc/apt/sources.list.d/new.list --delete
  envbuild restore laptop@{yesterday} --package libssl3"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="CAPTURE", help="a capture, such as laptop@{2}")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="what to put back")
    parser.add_argument(
        "--packages",
        action="store_true",
        help="print the package managers' commands that bring the versions of all packages back, and have apt do it",
    )
    parser.add_argument("--package", action="append", metavar="NAME", help="the same for this package; may be repeated")
    parser.add_argument("--delete", action="store_true", help="remove named paths that were not there")
    parser.add_argument("--yes", "-y", action="store_true", help="do it without asking")
    parser.add_argument("--dry-run", "-n", action="store_true", help="only show what would be done")
    parser.add_argument("--save-as", metavar="NAME", help="the name of the capture of what is replaced")
    parser.add_argument("--secrets", action="store_true", help="save secrets that are replaced, too")
    parser.add_argument("--root", default="/", metavar="DIR", help="the system whose files lie in DIR")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.build.named_image import find_image
    from envbuild.capture.going_back import KnownCapture
    from envbuild.capture.machine_root import MachineRoot
    from envbuild.capture.stored_contents import stored_contents

    interrupt_on_termination()
    packages = arguments.packages or arguments.package
    if not arguments.paths and not packages:
        raise UsageError("restore needs the paths to put back", "as in: envbuild restore laptop@{1} /etc/hosts")
    if arguments.paths and packages:
        raise UsageError("restore puts paths back, or packages", "do the one after the other")
    with (
        Store.open(environment.store_path(), create=False) as store,
        MachineRoot(arguments.root) as root,
        stored_contents(store) as contents,
    ):
        store.share()
        known = KnownCapture(store, find_image(store, arguments.image), arguments.image, root, contents)
        work = _packages if packages else _paths
        return work(store, known, root, contents, arguments, environment)


def _paths(
    store: Store,
    known: KnownCapture,
    root: MachineRoot,
    contents: Contents,
    arguments: argparse.Namespace,
    environment: Environment,
) -> int:
    from envbuild.capture.going_back import go_back, plan_going_back
    from envbuild.ui.reports.restore import plan_lines, restore_plain, result_lines

    paths = [_below(path, arguments.root) for path in arguments.paths]
    plan = plan_going_back(store, known, root.descriptor, paths, delete=arguments.delete)
    text = arguments.format == "text"
    if text:
        environment.stdout.writelines(f"{line}\n" for line in plan_lines(plan))
    restored = None
    number = len(plan.steps)
    question = (
        f"Capture the machine as it is now, and change {'this path' if number == 1 else f'these {number} paths'}?"
    )
    # What a restore that was killed left is removed without a question.
    if (plan.steps or plan.leftovers) and (not plan.steps or _may(question, arguments, environment)):
        name, options = _saved_as(store, known, arguments, environment)
        taker = _taker(environment, f"before restore {arguments.image} {' '.join(arguments.paths)}")
        with environment.progress_line() as line:
            restored = go_back(store, contents, plan, root.descriptor, name, options, taker, line)
    if not text:
        print_json(restore_plain(plan, restored, known.image.digest), environment.stdout)
    elif restored is not None:
        environment.stdout.writelines(f"{line}\n" for line in result_lines(restored))
    elif plan.steps:
        environment.stdout.write("nothing was changed; --yes does it\n")
    return 1 if plan.refused or (restored is not None and restored.failed) else 0


def _packages(
    store: Store,
    known: KnownCapture,
    root: MachineRoot,
    _contents: Contents,
    arguments: argparse.Namespace,
    environment: Environment,
) -> int:
    from envbuild.capture.capture import capture
    from envbuild.cli.restore_packages import PackagesBack

    back = PackagesBack(store, known.image.tree, root, arguments.package or (), known.name)
    if arguments.format == "text":
        environment.stdout.writelines(f"{line}\n" for line in back.lines())

    def save() -> None:
        name, options = _saved_as(store, known, arguments, environment)
        named = " ".join(f"--package {package}" for package in arguments.package or ()) or "--packages"
        with environment.progress_line() as line:
            capture(store, name, options, _taker(environment, f"before restore {arguments.image} {named}"), line)

    code = 1 if back.missing else 0
    does = bool(back.commands) and root.is_this_machine and _may(back.question(), arguments, environment)
    if does:
        code = back.run(save, environment, yes=arguments.yes) or code
    if arguments.format == "json":
        print_json({**back.plain(), "done": does and not code}, environment.stdout)
    elif back.commands and not does:
        environment.stdout.write("nothing was changed; --yes runs it\n" if root.is_this_machine else "")
    return code


def _below(path: str, root: str) -> bytes:
    """Return a path relative to the root. What is given without a slash at its beginning is one of this directory."""
    whole = os.path.abspath(path) if root == "/" else os.path.normpath(f"/{path}")
    return os.fsencode(whole.strip("/"))


def _may(question: str, arguments: argparse.Namespace, environment: Environment) -> bool:
    """Return whether it may be done: asked for, or allowed by somebody at a terminal."""
    if arguments.dry_run:
        return False
    if arguments.yes:
        return True
    if not environment.stdin.isatty() or not environment.stderr.isatty():
        return False
    environment.stdout.flush()
    environment.stderr.write(f"{question} [y/N] ")
    environment.stderr.flush()
    return environment.stdin.readline().strip().lower() in ("y", "yes")


def _saved_as(
    store: Store, known: KnownCapture, arguments: argparse.Namespace, environment: Environment
) -> tuple[str, CaptureOptions]:
    """Return the name under which the machine is captured first, and what of it: as in the last capture of the name.
    A capture of another machine lends no name."""
    from envbuild.capture.capture import CaptureOptions, capture_name
    from envbuild.capture.left_out import USER_FILE
    from envbuild.images.capture_record import read_about
    from envbuild.images.reference import LATEST, parse_tag

    given = arguments.save_as
    reference = parse_tag(arguments.image)
    if given is None and known.about.host == environment.machine() and reference is not None and not reference.project:
        given = reference.name if reference.tag in (None, "", LATEST) else None
    name = capture_name(given, environment.machine())
    last = store.tags.image_of(name, LATEST)
    image = store.images.get(last) if last is not None else None
    about = read_about(store, image.tree) if image is not None else None
    words = about.options if about is not None else frozenset()
    return name, CaptureOptions(
        arguments.root,
        home="home" in words,
        secrets=arguments.secrets or "secrets" in words,
        light="light" in words,
        user_file=f"{environment.config_folder()}/{USER_FILE}",
    )


def _taker(environment: Environment, why: str) -> Taker:
    from envbuild.capture.capture import Taker
    from envbuild.capture.going_back import TRIGGER
    from envbuild.linux.own_id import own_uid

    return Taker(environment.machine(), own_uid(), environment.user(), why, TRIGGER)
