"""Finds the command that was asked for, runs it, and turns errors into messages and exit codes.

A command's module is imported when that command runs, so that none pays for another's imports. Such a module has
`DESCRIPTION`, `EXAMPLES`, `configure(parser)` and `run(arguments, environment) -> exit code`; with `TAKES_COMMAND`,
what follows `--`, or as many words as it says, is in `arguments.command` (options.split_command).
"""

from __future__ import annotations

import os
import sys

from envbuild import __version__
from envbuild.cli import options
from envbuild.cli.environment import Environment
from envbuild.errors import DISK_TROUBLE, DiskTrouble, EnvbuildError, Interrupted
from envbuild.store import supplier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbuild.store.objects import Objects
    from envbuild.store.promised import Promise

COMMANDS = {
    "build": ("build", "compile a recipe into an image, running only what changed"),
    "run": ("run", "run an image's start command, or another one, in a new instance"),
    "shell": ("shell", "open a shell in an image or an instance, or where the last build failed"),
    "up": ("up", "start a group of services that a compose file describes"),
    "down": ("down", "stop a group of services and remove its instances"),
    "ps": ("ps", "list the instances"),
    "exec": ("exec", "run another command in a running instance"),
    "cp": ("cp", "copy files out of an instance, or into one"),
    "stats": ("stats", "show what running instances use: processors, memory, disk"),
    "logs": ("logs", "print the output of an instance"),
    "stop": ("stop", "stop instances"),
    "start": ("start", "start instances that have ended again"),
    "restart": ("restart", "stop instances and start them again"),
    "attach": ("attach", "go back to an instance: its output, or in one that has ended its command"),
    "kill": ("kill", "send a signal to instances"),
    "wait": ("wait", "wait until instances end"),
    "rm": ("rm", "remove instances that have ended"),
    "clone": ("clone", "make a second instance with the same files"),
    "capture": ("capture", "take the files and the state of this machine as an image"),
    "recipe": ("recipe", "write the recipe of a captured machine"),
    "images": ("images", "list the images"),
    "show": ("show", "show an image's configuration, steps and sizes"),
    "ls": ("ls", "list a directory of an image"),
    "cat": ("cat", "print a file of an image"),
    "push": ("push", "send an image to a registry"),
    "pull": ("pull", "bring an image of a registry into the store"),
    "login": ("login", "log in to a registry, as docker and podman do"),
    "logout": ("logout", "forget a login"),
    "remote": ("remote", "list what a registry has, and compare two images there"),
    "export": ("export", "write an image as a file for other tools: OCI, docker, tar"),
    "import": ("import_", "take an image of other tools into the store: OCI, docker"),
    "key": ("key", "make and list keys that sign images"),
    "packages": ("packages", "list an image's Debian, Python and Node packages"),
    "sbom": ("sbom", "write an image's bill of materials, as CycloneDX or SPDX"),
    "output": ("output", "print the whole output of the steps of a build"),
    "explain": ("explain", "list what a step of a recipe reads, as `build --trace` noted it"),
    "status": ("status", "show whether the recipes of this directory are locked, built and tagged"),
    "log": ("log", "show the history of a tag: when it moved, by which build, what changed"),
    "rollback": ("rollback", "move a tag back to an earlier image"),
    "diff": ("diff", "show what differs between two environments"),
    "merge": ("merge", "merge two environments that began as one"),
    "rebase": ("rebase", "put the changes of an image on another base"),
    "drift": ("drift", "show what was changed by hand in the instances of an image"),
    "commit": ("commit", "make an image of an instance, and write a recipe that gives the same"),
    "bisect": ("bisect", "find what breaks an environment, with a test of yours"),
    "restore": ("restore", "put paths of this machine back to what they were in a capture"),
    "why": ("why", "explain a file of an image: statement, package, commit, since when"),
    "verify": ("verify", "rebuild an image and compare the result; with --key, check who signed it"),
    "git": ("git", "diff, merge and check locks in git"),
    "tag": ("tag", "give an image a tag"),
    "promote": ("promote", "have a tag name the image of another one, with the way on record"),
    "untag": ("untag", "remove a tag"),
    "update": ("update", "renew what a recipe's lock pins, and build"),
    "vendor": ("vendor", "put all files that locks pin into a directory, or check where they are"),
    "volume": ("volume", "list, create and remove named volumes"),
    "gc": ("gc", "remove what no tag, lock or instance needs"),
    "fsck": ("fsck", "check the whole store for damage"),
    "du": ("du", "show how much disk space the store uses"),
    "doctor": ("doctor", "try what this machine can do, and say how to fix what it can't"),
    "completion": ("completion", "print the script that completes command lines in a shell"),
    "man": ("man", "write the manual pages"),
}


def run(words: Sequence[str]) -> int:
    """Run one command line and return its exit code. Never lets an exception out."""
    # Folders of a tree are gone through by functions that call themselves, as deep as a path can be long.
    sys.setrecursionlimit(20_000)
    environment = Environment(os.environ, sys.stdin, sys.stdout, sys.stderr)

    def supply(promises: Sequence[Promise], objects: Objects) -> None:
        from envbuild.cli.promised_contents import bring_promised  # only after light captures

        bring_promised(promises, objects, environment)

    supplier.supplier = supply
    try:
        return _dispatch(list(words), environment)
    except KeyboardInterrupt:
        return _report(Interrupted(), environment)
    except EnvbuildError as error:
        return error.exit_code if error.reported else _report(error, environment)
    except BrokenPipeError as error:
        if not _reader_went_away():
            return _report_bug(error, environment)
        # `envbuild images | head`: point stdout elsewhere, or Python complains at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as bug:
        if isinstance(bug, OSError) and bug.errno in DISK_TROUBLE:
            return _report(DiskTrouble(bug), environment)
        return _report_bug(bug, environment)


def _dispatch(words: list[str], environment: Environment) -> int:
    if words and words[0] in COMMANDS:
        question = None
        if words[0] == "build":
            from envbuild.cli import unchanged_build

            question = unchanged_build.question(words[1:], environment)
            if question is not None and unchanged_build.tell(question, environment):
                return 0
        module_name, _ = COMMANDS[words[0]]
        # As importlib.import_module does, which loads warnings.
        module = __import__(f"envbuild.cli.commands.{module_name}", fromlist=("run",))
        own: list[str] = words[1:]
        command: list[str] = []
        if hasattr(module, "TAKES_COMMAND"):
            own, command = options.split_command(module.configure, own, module.TAKES_COMMAND)
        arguments = options.read(module.configure, own)
        if arguments is None:
            try:
                from envbuild.cli.parser import parse  # for help, mistakes and what options.read leaves to it

                arguments = parse(words[0], module, own)
            except SystemExit as end:
                return int(end.code or 0)
        arguments.command = tuple(command)
        arguments.question = question
        return int(module.run(arguments, environment))
    if words and words[0] in ("--version", "-V"):
        environment.stdout.write(f"envbuild {__version__}\n")
        return 0
    if not words or words[0] in ("--help", "-h", "help"):
        if len(words) > 1 and words[1] in COMMANDS:
            return _dispatch([words[1], "--help"], environment)
        from envbuild.cli.overview import overview

        (environment.stdout if words else environment.stderr).write(overview(COMMANDS))
        return 0 if words else 2
    return _dispatch_other(words, environment)


def _dispatch_other(words: list[str], environment: Environment) -> int:
    """Run what an alias stands for; of any other word, say what would be right."""
    from envbuild.text.docker_words import ALIASES
    from envbuild.text.docker_words import COMMANDS as ELSEWHERE

    for count in (2, 1):
        alias = ALIASES.get(" ".join(words[:count]))
        rest = words[count:]
        if alias is None or len(words) < count or not (alias or rest):
            continue
        if environment.stderr.isatty() and alias:
            environment.warn([f"envbuild's own word for `{' '.join(words[:count])}` is `{' '.join(alias)}`"], "note")
        return _dispatch([*alias, *rest], environment)
    hint = f"hint: {ELSEWHERE[words[0]]}\n" if words[0] in ELSEWHERE else _nearest(words[0])
    environment.stderr.write(f"error: unknown command '{words[0]}'\n{hint}")
    return 2


def _reader_went_away() -> bool:
    """Tell whether nobody reads stdout or stderr any more.

    Any other broken pipe is a fault, not the end of the output.
    """
    import select

    outputs = select.poll()
    for descriptor in (1, 2):
        outputs.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in outputs.poll(0))


def _nearest(word: str) -> str:
    from envbuild.text.suggestion import did_you_mean  # only on a mistake

    return f"hint: {did_you_mean(word, COMMANDS, '`envbuild --help` lists the commands')}\n"


def _report(error: EnvbuildError, environment: Environment) -> int:
    from envbuild.ui.errors import render_error

    render_error(error, environment.stderr, environment.colour(environment.stderr))
    return error.exit_code


def _report_bug(bug: Exception, environment: Environment) -> int:
    import traceback

    from envbuild.ui.errors import render_bug

    path = environment.save_report("".join(traceback.format_exception(bug)))
    render_bug(bug, path, environment.stderr)
    return 70  # EX_SOFTWARE of sysexits.h: a fault of the program, not of its user
