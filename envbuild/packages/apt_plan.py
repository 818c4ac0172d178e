"""What apt would have dpkg do: the calls of an installation, in apt's order, which are then made one after the other.

The tree's apt is run with a program in dpkg's place that writes down what it is called with. So nothing here has to
know how apt orders packages, and a call is made on the same tree in the same order as apt would have made it.
"""

from __future__ import annotations

import re

from envbuild.debian.names import DebianFile, DebianName
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.packages.manager import FOLDER
from envbuild.record import Record

PLANNER = f"{FOLDER}/dpkg"
PLAN = "var/lib/dpkg/envbuild-plan"
MARKS = "var/lib/apt/extended_states"
"""Which packages were asked for and which are only needed: the one thing that apt itself writes, before it calls
dpkg."""
UNPACK, CONFIGURE = "--unpack", "--configure"
MAX_CALLS = 1000
_DIFFERENT = 75
"""How the plan ends where dpkg's calls are not all that happens: where the tree's apt has hooks, or another dpkg."""

PLANNER_SCRIPT = f"""\
#!/bin/sh
for word; do
    case $word in
        --print-* | --assert-* | --version) exec /usr/bin/dpkg "$@" ;;
    esac
done
{{
    echo call "$PATH"
    for word; do
        if [ -d "$word" ]; then
            for file in "$word"/*; do echo "word $(readlink "$file")"; done
        else
            echo "word $word"
        fi
    done
}} >> /{PLAN}
"""

PLAN_SCRIPT = f"""\
set -eu
mkdir -p /tmp/apt-log /tmp/lists/partial
cp $LISTS/* /tmp/lists/
apt-config -c $CONFIGURATION dump > /tmp/settings
grep -qx 'Dir::Bin::dpkg "/usr/bin/dpkg";' /tmp/settings || exit {_DIFFERENT}
if grep -iE '^DPkg::(Pre-Invoke|Post-Invoke|Pre-Install-Pkgs|Chroot-Directory)(::[^ ]*)? "[^"]' /tmp/settings |
    grep -vqx 'DPkg::Pre-Install-Pkgs:: "/usr/sbin/dpkg-preconfigure --apt || true";'; then
    exit {_DIFFERENT}
fi
if [ -e /usr/bin/apt-extracttemplates ]; then exit {_DIFFERENT}; fi
apt-get -c $CONFIGURATION -o Dir::Bin::dpkg={PLANNER} install -qq -- "$@" > /dev/null 2>&1
"""

_OPTION = re.compile(r"--(?:force-[a-z-]+|no-triggers|auto-deconfigure|pending|log=/dev/null)")
_PATH = re.compile(r"[A-Za-z0-9/_.:-]+")


class Call(Record):
    """One call of dpkg: what it does (`verb`), its other options, and what it does that to: the names of files for
    UNPACK, of packages for CONFIGURE. `path` is its $PATH."""

    verb: str
    options: tuple[str, ...]
    items: tuple[str, ...]
    path: str


def parse_plan(text: str) -> tuple[Call, ...] | None:
    """Return the calls that were written down, None if one of them does anything else than unpack and configure."""
    calls: list[Call] = []
    for part in re.split(r"^call ", text, flags=re.MULTILINE)[1:]:
        path, *lines = part.rstrip("\n").split("\n")
        call = _call(path, lines)
        if call is None or len(calls) == MAX_CALLS:
            return None
        calls.append(call)
    return tuple(calls) or None


def _call(path: str, lines: list[str]) -> Call | None:
    verb = ""
    options, items = [], []
    words = iter(lines)
    for line in words:
        word = line.removeprefix("word ")
        if word == "--status-fd":
            next(words, "")  # what apt reads there are progress and failures
        elif word in (UNPACK, CONFIGURE) and not verb:
            verb = word
        elif word == "--recursive":
            continue  # the files of the directory stand in its place
        elif word.startswith("-"):
            if _OPTION.fullmatch(word) is None:
                return None
            options.append(word)
        else:
            items.append(word.rpartition("/")[2])
    kind: type[str] = DebianFile if verb == UNPACK else DebianName
    try:
        checked = tuple(kind(item) for item in items)
    except UnsafeName:
        return None
    if not verb or _PATH.fullmatch(path) is None:
        return None
    return Call(verb, tuple(options), checked, path)
