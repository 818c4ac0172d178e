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
    from envbuild.capture.restore_plan import RestorePlan

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
  envbuild restore laptop@{2} /etc/apt/sources.list.d/new.list --delete"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="CAPTURE", help="a capture, such as laptop@{2}")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="what to put back")
    parser.add_argument("--delete", action="store_true", help="remove named paths that were not there")
    parser.add_argument("--yes", "-y", action="store_true", help="do it without asking")
    parser.add_argument("--dry-run", "-n", action="store_true", help="only show what would be done")
    parser.add_argument("--save-as", metavar="NAME", help="the name of the capture of what is replaced")
    parser.add_argument("--secrets", action="store_true", help="save secrets that are replaced, too")
    parser.add_argument("--root", default="/", metavar="DIR", help="the system whose files lie in DIR")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.build.named_image import find_image
    from envbuild.capture.going_back import KnownCapture, go_back, plan_going_back
    from envbuild.capture.machine_root import MachineRoot
    from envbuild.capture.stored_contents import stored_contents
    from envbuild.ui.reports.restore import plan_lines, restore_plain, result_lines

    interrupt_on_termination()
    if not arguments.paths:
        raise UsageError("restore needs the paths to put back", "as in: envbuild restore laptop@{1} /etc/hosts")
    with (
        Store.open(environment.store_path(), create=False) as store,
        MachineRoot(arguments.root) as root,
        stored_contents(store) as contents,
    ):
        store.share()
        known = KnownCapture(store, find_image(store, arguments.image), arguments.image, contents)
        paths = [_below(path, arguments.root) for path in arguments.paths]
        plan = plan_going_back(store, known, root.descriptor, paths, delete=arguments.delete)
        text = arguments.format == "text"
        if text:
            environment.stdout.writelines(f"{line}\n" for line in plan_lines(plan))
            environment.stdout.flush()
        restored = None
        # What a restore that was killed left is removed without a question.
        wanted = arguments.yes or not plan.steps or (not arguments.dry_run and _ask(plan, environment))
        if (plan.steps or plan.leftovers) and wanted and not arguments.dry_run:
            name, options = _saved_as(store, known, arguments, environment)
            why = f"before restore {arguments.image} {' '.join(arguments.paths)}"
            with environment.progress_line() as line:
                taker = _taker(environment, why)
                restored = go_back(store, contents, plan, root.descriptor, name, options, taker, line)
    if not text:
        print_json(restore_plain(plan, restored, known.image.digest), environment.stdout)
    elif restored is not None:
        environment.stdout.writelines(f"{line}\n" for line in result_lines(restored))
    elif plan.steps:
        environment.stdout.write("nothing was changed; --yes does it\n")
    return 1 if plan.refused or (restored is not None and restored.failed) else 0


def _below(path: str, root: str) -> bytes:
    """Return a path relative to the root. What is given without a slash at its beginning is one of this directory."""
    whole = os.path.abspath(path) if root == "/" else os.path.normpath(f"/{path}")
    return os.fsencode(whole.strip("/"))


def _ask(plan: RestorePlan, environment: Environment) -> bool:
    if not environment.stdin.isatty() or not environment.stderr.isatty():
        return False
    count = len(plan.steps)
    paths = "this path" if count == 1 else f"these {count} paths"
    environment.stderr.write(f"Capture the machine as it is now, and change {paths}? [y/N] ")
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
