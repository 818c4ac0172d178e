"""`envbuild capture`."""

from __future__ import annotations

import argparse

from envbuild.cli.build_options import interrupt_on_termination
from envbuild.cli.capture_schedule import TRIGGERS, add_schedule_options, begin_as, set_up
from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.store.store import Store

DESCRIPTION = """\
Take the files of this machine, and what else is its state, as an image. Each capture is one more entry in the history
of NAME, so that `log`, `diff`, `why`, `run`, `bisect` and `push` work on what the machine was (docs/capture.md).

Root takes everything, an ordinary user what it can read; what could not be read is counted, and --unread lists it. Not
taken are other file systems, caches, logs, temporary files, homes, and what /etc/envbuild/capture.ignore and
~/.config/envbuild/capture.ignore say, in .gitignore's form. Of secrets only digests are kept.

--install has this machine capture itself: every hour, if something changed, and before and after each run of apt, whose
command line is the reason. --dry-run shows what that writes, and --uninstall takes it away."""

EXAMPLES = """\
examples:
  envbuild capture
  envbuild capture laptop -m "before the new kernel"
  envbuild capture laptop --home --include /srv
  envbuild capture rescue --root /mnt
  envbuild capture --install --home"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to call it (default: the host's name)")
    parser.add_argument("-m", "--message", default="", metavar="WHY", help="say why: `log` shows it")
    parser.add_argument("--home", action="store_true", help="take homes, too")
    parser.add_argument(
        "--include",
        action="append",
        metavar="PATH",
        help="take this path too, though it is another file system or left out by default; may be repeated",
    )
    parser.add_argument("--root", default="/", metavar="DIR", help="capture the system whose files lie in DIR")
    parser.add_argument("--secrets", action="store_true", help="keep secrets as they are, and not only digests")
    parser.add_argument(
        "--light", action="store_true", help="keep only digests of files that are as their package shipped them"
    )
    parser.add_argument("--left-out", action="store_true", help="list what was left out, with the reasons")
    parser.add_argument("--unread", action="store_true", help="list what could not be read, with the reasons")
    add_schedule_options(parser)
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.capture.capture import BY_HAND, CaptureOptions, Taker, capture, capture_name
    from envbuild.capture.left_out import USER_FILE
    from envbuild.linux.own_id import own_uid
    from envbuild.ui.reports.capture import capture_lines, capture_plain

    interrupt_on_termination()
    host = environment.machine()
    name = capture_name(arguments.name, host)
    if arguments.install or arguments.uninstall:
        return set_up(arguments, environment, arguments.name)
    reason = arguments.message or (begin_as(arguments.by) if arguments.by else "")
    options = CaptureOptions(
        arguments.root,
        home=arguments.home,
        included=tuple(arguments.include or ()),
        secrets=arguments.secrets,
        light=arguments.light,
        user_file=f"{environment.config_folder()}/{USER_FILE}",
    )
    trigger = TRIGGERS.get(arguments.by, BY_HAND)
    taker = Taker(host, own_uid(), environment.user(), reason, trigger)
    with Store.open(environment.store_path()) as store:
        store.share()
        store.tidy()
        store.sparse_limit = environment.sparse_limit()
        with environment.progress_line() as line:
            captured = capture(store, name, options, taker, line, only_changes=arguments.by is not None)
    if arguments.by is not None and not captured.recorded and arguments.format == "text":
        return 0  # nobody waits for it
    plain = capture_plain(captured)
    if arguments.format == "json":
        print_json(plain, environment.stdout)
    else:
        lines = capture_lines(plain, left_out=arguments.left_out, unread=arguments.unread)
        environment.stdout.writelines(f"{text}\n" for text in lines)
    return 0
