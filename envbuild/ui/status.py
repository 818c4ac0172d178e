"""A command's exit status in words."""

from __future__ import annotations

# signal(7), the numbers of all architectures but Alpha, MIPS, SPARC and PA-RISC. A table of our own, because
# Python's `signal` module builds an enumeration of them on import.
# fmt: off
_SIGNALS = (
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE",
    "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
    "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU",
    "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
)
# fmt: on
_REALTIME_FIRST, _REALTIME_LAST = 34, 64

_MEANINGS = {
    126: "the command was found but can't be executed",
    127: "command not found",
    128 + 6: "it aborted itself",
    128 + 9: "killed from outside; often the machine was out of memory",
    128 + 11: "it accessed memory that is not its own",
    128 + 13: "it wrote to a pipe that nobody reads",
    128 + 31: "it made a system call that the sandbox forbids",
}


def status_in_words(status: int) -> str:
    """`exit status 2`, `exit status 127 (command not found)`, `ended by SIGKILL (...)`; "" for 0.

    `status` is as a shell gives it: 128 and the signal's number for a command that a signal ended.
    """
    if status == 0:
        return ""
    signal = signal_name(status - 128)
    words = f"ended by {signal}" if signal else f"exit status {status}"
    meaning = _MEANINGS.get(status)
    return f"{words} ({meaning})" if meaning else words


def signal_name(number: int) -> str:
    """`SIGTERM` for 15, `SIGRTMIN+1` for 35; "" for what is no signal's number."""
    if 1 <= number <= len(_SIGNALS):
        return "SIG" + _SIGNALS[number - 1]
    if _REALTIME_FIRST <= number <= _REALTIME_LAST:
        offset = number - _REALTIME_FIRST
        return f"SIGRTMIN+{offset}" if offset else "SIGRTMIN"
    return ""
