"""What `preinst` scripts look at and change when a package is installed for the first time (deb-preinst(5)).

dpkg then calls them with the one word `install`. Most scripts are there for upgrades, and say so in a few forms that
debhelper and maintainers use. Of what is not in these forms nothing is known.
"""

from __future__ import annotations

import re
import shlex

MAX_SCRIPT = 1 << 16
"""Characters of a script that is looked at."""

_NOTHING = re.compile(r"set -e|exit 0|:|true")
_NAMED = re.compile(r"(?:rm -f|mkdir -p|touch)((?: /[A-Za-z0-9/._+-]+)+)")
"""Goes by nothing but what lies at the paths that it names."""
_HELPER = re.compile(
    r"(?:if )?dpkg-maintscript-helper (?:rm_conffile|mv_conffile|symlink_to_dir|dir_to_symlink)"
    r"(?: [A-Za-z0-9/._+:~\\-]+)+ -- \"\$@\""
)
"""Moves what an earlier version left (dpkg-maintscript-helper(1)): it looks first whether there is a second word."""
_CASE = re.compile(r"""case ["']?\$\{?1\}?["']? in""")
_ENDS_CASE = re.compile(r"(?:case|esac)\b")
_PATTERN = re.compile(r"\(?\s*([a-z|* -]+?)\s*\)")
_TEST = r"""(?:\[ (?:%s) \]|test (?:%s))"""
_FIRST = r"""["x]*\$\{?1\}?"? ==? ["x]*%s"?"""
_IS_UPGRADE = re.compile(_TEST % ((_FIRST % "upgrade",) * 2))
_HAS_VERSION = re.compile(_TEST % ((r"""-n "\$\{?2\}?\"""",) * 2))
_IS_INSTALL = re.compile(_TEST % ((_FIRST % "install",) * 2))


def named_at_first(script: str) -> frozenset[str] | None:
    """Return the paths without which a `preinst` that is called as `install` looks at no file and changes none; None
    where that is not sure."""
    if len(script) > MAX_SCRIPT:
        return None
    head, _, body = script.partition("\n")
    if re.fullmatch(r"#! ?/bin/(?:sh|bash|dash)(?: -e)?", head.rstrip()) is None or "<<" in body:
        return None
    text = body.replace("\\\n", " ")
    lines = [line.strip() for line in text.split("\n")]
    lines = [re.sub(r"\s+", " ", line) for line in lines if line and not line.startswith("#")]
    try:
        for line in lines:
            shlex.split(line, comments=True)  # a string of more lines could hide where a branch ends
    except ValueError:
        return None
    named: set[str] = set()
    return frozenset(named) if _is_known(_joined(lines), named) else None


def _joined(lines: list[str]) -> list[str]:
    """Return the lines, those that end with `&&` together with the next one."""
    joined: list[str] = []
    for line in lines:
        if joined and joined[-1].endswith("&&"):
            joined[-1] = f"{joined[-1]} {line}"
        else:
            joined.append(line)
    return joined


def _is_known(lines: list[str], named: set[str]) -> bool:
    """Return whether it is known what the lines do, and add to `named` the paths that they do it to."""
    position = 0
    while position < len(lines):
        line = lines[position]
        if _NOTHING.fullmatch(line) or _HELPER.fullmatch(line):
            position += 1
        elif match := _NAMED.fullmatch(line):
            named.update(path.strip("/") for path in match[1].split())
            position += 1
        elif _CASE.fullmatch(line):
            end = _end_of_case(lines, position + 1, named)
            if end is None:
                return False
            position = end
        elif line.startswith("if ") and _is_false(line):
            end = _end_of_if(lines, position + 1)
            if end is None:
                return False
            position = end
        else:
            return False
    return True


def _is_false(line: str) -> bool:
    """Return whether the condition of an `if` is sure to be false, and only compares words before it is."""
    condition = re.fullmatch(r"if (.+?) ?; then", line)
    if condition is None or "||" in line or "!" in line:
        return False
    for part in condition[1].split(" && "):
        if _IS_UPGRADE.fullmatch(part) or _HAS_VERSION.fullmatch(part):
            return True
        if not _IS_INSTALL.fullmatch(part):
            return False
    return False


def _end_of_if(lines: list[str], position: int) -> int | None:
    """Return where an `if` without any other branch ends that begins before `position`; None where that is not
    sure."""
    depth = 1
    while position < len(lines):
        line = lines[position]
        if depth == 1 and re.match(r"else|elif", line):
            return None
        if re.match(r"if\b", line):
            depth += 0 if re.search(r"; ?fi$", line) else 1
        elif re.search(r"\b(?:if|fi)\b", line) and line != "fi":
            return None
        position += 1
        if line == "fi":
            depth -= 1
            if not depth:
                return position
    return None


def _end_of_case(lines: list[str], position: int, named: set[str]) -> int | None:
    """Return where a `case "$1" in` ends of which it is known what the branch for `install` does; None otherwise."""
    handled = False
    while position < len(lines) and lines[position] != "esac":
        match = _PATTERN.match(lines[position])
        if match is None:
            return None
        words = [word.strip() for word in match[1].split("|")]
        body = [lines[position][match.end() :].strip()]
        while body[-1] not in (";;", "esac") and not body[-1].endswith(";;"):
            position += 1
            if position >= len(lines) or _ENDS_CASE.match(lines[position]):
                return None
            body.append(lines[position])
        if body[-1] == "esac":
            return None
        position += 1
        if not handled and ("install" in words or any("*" in word for word in words)):
            body[-1] = body[-1].removesuffix(";;").strip()
            if not _is_known([line for line in body if line], named):
                return None
            handled = True
    return position + 1 if position < len(lines) else None
