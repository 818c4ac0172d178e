"""Names of signals and their numbers (signal(7)).

A table of our own: the standard library's is an enumeration, which takes 1.5 ms to make, and knows two of the
realtime signals.
"""

from __future__ import annotations

# The numbers of all architectures but Alpha, MIPS, SPARC and PA-RISC.
# fmt: off
_NAMES = (
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE",
    "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
    "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU",
    "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
)
# fmt: on
_OTHER_NAMES = {"IOT": 6, "CLD": 17, "POLL": 29, "UNUSED": 31}
_FIRST, _LAST = 34, 64
"""The realtime signals that programs have: the C library keeps the two before them for itself (nptl(7))."""
_MIDDLE = 49
"""The last that is counted from the first, and not from the last."""

KNOWN = (*_NAMES, "RTMIN", "RTMAX")
"""Names to choose from, without SIG."""


def signal_number(text: str) -> int:
    """Return the number of a signal: of `TERM`, `sigterm`, `15`, `RTMIN+3`, `SIGRTMAX-2`. 0 for what is none."""
    name = text.upper().removeprefix("SIG")
    if name in _NAMES:
        return _NAMES.index(name) + 1
    if name in _OTHER_NAMES:
        return _OTHER_NAMES[name]
    for base, sign, number in (("RTMIN", "+", _FIRST), ("RTMAX", "-", _LAST)):
        if name == base:
            return number
        head, separator, offset = name.partition(sign)
        if head == base and separator and _is_count(offset):
            number = number + int(offset) if sign == "+" else number - int(offset)
            return number if _FIRST <= number <= _LAST else 0
    return int(text) if _is_count(text) and int(text) <= _LAST else 0


def signal_name(number: int) -> str:
    """Return `TERM` for 15, `RTMIN+1` for 35, `RTMAX-2` for 62; the number itself for the two without a name, "" for
    what is no signal's number."""
    if 1 <= number <= len(_NAMES):
        return _NAMES[number - 1]
    if not 1 <= number <= _LAST:
        return ""
    if number < _FIRST:
        return str(number)
    base, offset = ("RTMIN+", number - _FIRST) if number <= _MIDDLE else ("RTMAX-", _LAST - number)
    return f"{base}{offset}" if offset else base[:-1]


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 3
