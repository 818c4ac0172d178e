"""An installation of Debian packages call by call: apt's plan, and the tasks that carry out some of it.

The calls that unpack come first, and most of the time goes into them; what they leave on a tree follows from the
archives. The last call configures everything. build/staged_installer.py keeps what the first ones left.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from envbuild.debian.deb import control_files
from envbuild.debian.preinst import named_at_first
from envbuild.lockfile.lock import Package
from envbuild.packages.apt_plan import (
    CONFIGURE,
    MARKS,
    PLAN_SCRIPT,
    PLANNER,
    PLANNER_SCRIPT,
    UNPACK,
    Call,
    parse_plan,
)
from envbuild.packages.apt_tasks import CLEAN_SCRIPT, POLICY, file_name, install_task
from envbuild.packages.manager import FOLDER, INSTALLED, PACKAGES, InStages, Task
from envbuild.plan.step import InstallPackages
from envbuild.record import Record

_MARKS = f"{FOLDER}/marks"
_CALLS = f"{FOLDER}/calls"

_UNPACK_SCRIPT = f"""\
set -eu
. {_CALLS}
# What scripts leave there for each other ends with this sandbox.
[ -z "$(ls -A /tmp)" ]
"""
_FINISH_SCRIPT = f"""\
set -eu
touch -d "@$BEGAN" /tmp/begun
if [ -e {_MARKS} ]; then cat {_MARKS} > /{MARKS}; fi
for directory; do touch -- "/$directory"; done
. {_CALLS}
{CLEAN_SCRIPT}"""


class Archive(Record):
    """A package that is unpacked: the `hash` and `size` of its file, and the paths that a script of its own looks at
    or changes before (`named`), None where that may be any."""

    hash: str
    size: int
    named: frozenset[str] | None


class Plan(Record):
    """The calls of an installation: `first` ones, then the one that unpacks the `archives` with `unpack`'s options, and
    the `last` one, which configures what is unpacked. `marks` are what apt itself writes, and `touched` the
    directories in which it does something."""

    first: tuple[Call, ...]
    unpack: Call
    archives: tuple[Archive, ...]
    last: Call
    marks: bytes | None
    touched: tuple[str, ...]


class AptStages(InStages):
    """An installation of one statement, in stages."""

    def __init__(self, action: InstallPackages, packages: Sequence[tuple[Package, str]]) -> None:
        """`packages` are the locked ones with the paths of their files."""
        self._whole = install_task(action, packages)
        self._files = {
            str(file_name(package)): (package, path)
            for package, path in packages
            if not package.origin.startswith(INSTALLED)
        }

    @property
    def number(self) -> int:
        """How many packages are installed."""
        return len(self._files)

    @property
    def size(self) -> int:
        """The bytes of their archives."""
        return sum(os.stat(path).st_size for _, path in self._files.values())

    def plan_task(self) -> Task:
        """Return what leaves in the tree, as PLAN, which calls apt makes, and nothing else but MARKS."""
        words = self._whole.argv[3:]
        planner = ((PLANNER, PLANNER_SCRIPT.encode()),)
        return self._whole.replace(
            argv=("/bin/sh", "-c", PLAN_SCRIPT, *words),
            files=(*self._whole.files, *planner),
            executable=(*self._whole.executable, PLANNER),
        )

    def plan(self, text: str, marks: bytes | None, touched: tuple[str, ...], status: str) -> Plan | None:
        """Return the plan that PLAN has, None for one of another form: of which the last call but one unpacks, and the
        last one configures what is left. `status` is dpkg's, of the tree on which it is carried out."""
        calls = parse_plan(text)
        if calls is None or len(calls) < 2:
            return None
        *first, unpack, last = calls
        files = [name for call in calls if call.verb == UNPACK for name in call.items]
        if unpack.verb != UNPACK or last.verb != CONFIGURE or last.items or "--pending" not in last.options:
            return None
        if len(set(files)) != len(files) or not self._files.keys() >= set(files):
            return None
        there = frozenset(re.findall(r"^Package: (\S+)$", status, re.MULTILINE))
        archives = tuple(self._archive(item, there) for item in unpack.items)
        return Plan(tuple(first), unpack, archives, last, marks, touched)

    def hashes(self, calls: Sequence[Call]) -> list[list[str]]:
        """Return all that decides what some calls do to a tree, beside the program that runs them."""
        return [
            [
                call.verb,
                call.path,
                *call.options,
                *(self._files[item][0].hash if call.verb == UNPACK else item for item in call.items),
            ]
            for call in calls
        ]

    def call_task(self, calls: Sequence[Call]) -> Task:
        """Return what makes some calls."""
        return self._task(_UNPACK_SCRIPT, calls)

    def finish_task(self, plan: Plan, began: int) -> Task:
        """Return what configures the packages that were unpacked, the first of them at the time `began` (seconds)."""
        task = self._task(_FINISH_SCRIPT, (plan.last,), ("BEGAN", str(began)))
        task = task.replace(argv=(*task.argv, "sh", *plan.touched))
        return task if plan.marks is None else task.replace(files=(*task.files, (_MARKS, plan.marks)))

    def _task(self, script: str, calls: Sequence[Call], *variables: tuple[str, str]) -> Task:
        unpacked = {item for call in calls if call.verb == UNPACK for item in call.items}
        policy = [(path, content) for path, content in self._whole.files if path == POLICY]
        return Task(
            ("/bin/sh", "-c", script),
            # As apt sets them for dpkg.
            (*self._whole.environment, ("DPKG_FRONTEND_LOCKED", "true"), ("DPKG_COLORS", "never"), *variables),
            (*policy, (_CALLS, "".join(map(_line, calls)).encode())),
            tuple((name, path) for name, path in self._whole.packages if str(name) in unpacked),
            (POLICY,),
        )

    def _archive(self, name: str, there: frozenset[str]) -> Archive:
        package, path = self._files[name]
        preinst = control_files(path, ("preinst",)).get("preinst")
        named = frozenset() if preinst is None else named_at_first(preinst)
        if package.name.partition(":")[0] in there:
            named = None  # the scripts of the version that is there run, too
        return Archive(package.hash, os.stat(path).st_size, named)


def _line(call: Call) -> str:
    items = (f"{PACKAGES}/./{item}" if call.verb == UNPACK else item for item in call.items)
    words = " ".join(f"'{word}'" for word in (*call.options, call.verb, *items))
    return f"PATH='{call.path}' /usr/bin/dpkg {words}\n"


def stages_of(action: InstallPackages, packages: Sequence[tuple[Package, str]]) -> AptStages | None:
    """Return the stages of an installation; None if it does more than to call dpkg for archives."""
    if any(":" in word.partition("=")[0] for word in action.wanted):
        return None  # an architecture may have to be added first
    return AptStages(action, packages)
